package adminapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

func TestARobotHasPeopleSentToAnApplication(t *testing.T) {
	h := open(t)
	h.User("ada@example.org", "")
	all := h.robot(adminapi.ScopeWrite)
	now := time.Now().Truncate(time.Millisecond)
	h.Must(h.DB.PutClient(t.Context(), idp.Client{ID: "app", Name: "App", CreatedAt: now, UpdatedAt: now}))
	const at = "/clients/app/provisioning"
	wish := adminapi.NewProvisioning{BaseURL: "https://app.example.org/scim/v2/", Token: "a-secret-token"}
	h.problem(404, "not_found", "GET", at, all, nil)
	if p := h.problem(422, "faults", "PUT", at, all, adminapi.NewProvisioning{BaseURL: "http://app.example.org"}); len(p.Faults) != 2 {
		t.Errorf("%+v", p)
	}
	made := h.call(200, "PUT", at, all, wish)
	p := in[adminapi.Provisioning](h, made)
	if p.BaseURL != "https://app.example.org/scim/v2" || len(p.Attributes) != 3 || strings.Contains(string(made.body), "secret") {
		t.Errorf("%s", made.body)
	}
	tag := made.Header.Get("ETag")
	wish.Delete = true
	h.call(200, "PUT", at, all, wish, with("If-Match", tag))
	h.problem(412, "stale", "PUT", at, all, wish, with("If-Match", tag))
	preview := in[adminapi.ProvisioningPreview](h, h.call(200, "GET", at+"/preview", all, nil))
	if preview.Counts["create"] != 1 || preview.People[0].Email != "ada@example.org" {
		t.Errorf("%+v", preview)
	}
	if p := in[adminapi.Provisioning](h, h.call(200, "POST", at+"/pause", all, nil)); p.PausedBy != "admin" {
		t.Errorf("%+v", p)
	}
	h.problem(409, "already", "POST", at+"/pause", all, nil)
	h.call(200, "POST", at+"/resume", all, nil)
	h.call(200, "POST", at+"/sync", all, nil)

	// Who manages clients does not thereby learn who the users are.
	clients := h.robot(adminapi.ScopeClientsWrite)
	h.problem(403, "insufficient_scope", "PUT", at, clients, wish)
	h.problem(403, "insufficient_scope", "GET", at+"/preview", clients, nil)
	both := h.robot(adminapi.ScopeClientsWrite, adminapi.ScopeUsersRead)
	h.call(200, "PUT", at, both, wish)
	h.problem(403, "insufficient_scope", "DELETE", at, h.robot(adminapi.ScopeClientsRead), nil)
	h.call(204, "DELETE", at, clients, nil)
	h.problem(404, "not_found", "GET", at, clients, nil)
}
