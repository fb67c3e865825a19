package adminapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/admin"
	inside "github.com/stepward/stepward/internal/adminapi"
	"github.com/stepward/stepward/pkg/adminapi"
)

// within returns the API as a command on the store of a server has it.
func (h *house) within() *adminapi.API {
	h.Helper()
	transport, err := inside.Inside(inside.Config{
		Issuer: h.Issuer, Policy: h.Config.Policy,
		Operations: admin.New(admin.Config{DB: h.DB, Policy: h.Config.Policy, Issuer: h.Issuer, Settings: h.Config}),
	})
	h.Must(err)
	if _, served := transport.(http.Handler); served {
		h.Error("it can be served")
	}
	return adminapi.With("http://stepward", &http.Client{Transport: transport})
}

func TestTheWayInsideIsForTheOperatorAlone(t *testing.T) {
	h := open(t)
	api := h.within()
	owner, err := api.Users.Create(t.Context(), adminapi.NewUser{Email: "ada@example.org", Role: "owner"}) // as no client may
	h.Must(err)
	for event, err := range api.Users.Events(t.Context(), owner.ID) {
		h.Must(err)
		if event.Detail["by"] != "operator" {
			t.Errorf("%+v", event)
		}
	}
	h.problem(401, "token_required", "GET", "/users/"+owner.ID, "", nil) // the server asks as ever
}

// The operator reads what failed, and nobody else does.
func TestAFailureInsideSaysWhatFailed(t *testing.T) {
	h := open(t)
	api := h.within()
	token := h.robot(adminapi.ScopeRead)
	h.Must(h.DB.Close())
	_, _, err := api.Users.Get(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("inside: %v", err)
	}
	if got := h.do(h.request("GET", "/users/x", token, nil)); got.StatusCode < 500 || strings.Contains(got.body, "closed") {
		t.Errorf("outside: %d %s", got.StatusCode, got.body)
	}
}

func TestStandingFindingsAndNames(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	u := h.User("ada@example.org", "")
	for query, n := range map[string]int{"ADA@example.org": 1, u.ID: 1, "ada": 0, "example.org": 0, "bob@example.org": 0} {
		if page := in[adminapi.Page[adminapi.User]](h, h.call(200, "GET", "/users?find="+query, token, nil)); len(page.Items) != n {
			t.Errorf("%s: %+v", query, page)
		}
	}
	standing := in[adminapi.Standing](h, h.call(200, "GET", "/users/"+u.ID+"/standing", token, nil))
	if len(standing.Groups)+len(standing.Claims) > 0 {
		t.Errorf("%+v", standing)
	}
	h.problem(404, "not_found", "GET", "/users/nobody/standing", token, nil)
	h.problem(404, "not_found", "GET", "/users/"+u.ID+"/recovery-link", token, nil)
	h.call(201, "POST", "/clients", token, adminapi.Client{
		ID: "app", Name: "App", RedirectURIs: []string{"https://app.example/cb"}, Scopes: []string{"openid"},
		GrantTypes: []string{"authorization_code"}, MinimumACR: "phrh",
	})
	found := in[adminapi.Findings](h, h.call(200, "GET", "/lint", token, nil)).Findings
	if len(found) == 0 || found[0].Text == "" || found[0].Remedy == "" {
		t.Errorf("%+v", found)
	}
	h.problem(403, "insufficient_scope", "GET", "/lint", h.robot(adminapi.ScopeClientsRead), nil)
}
