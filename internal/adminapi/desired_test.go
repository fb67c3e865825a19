package adminapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

func TestAStateIsAppliedOverTheAPI(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeApplyWrite)
	on := true
	state := adminapi.Desired{
		Groups: []adminapi.DesiredGroup{{Name: "staff"}},
		Clients: []adminapi.DesiredClient{{
			Client:   adminapi.Client{ID: "wiki", Name: "Wiki", RedirectURIs: []string{"https://wiki.example/cb"}, AllowedGroups: []string{"staff"}},
			Disabled: &on,
			Secrets:  []adminapi.DesiredSecret{{Value: "sha256:" + idp.Secret("x").Hash()}},
		}},
		Policy: map[string]json.RawMessage{"scopes": []byte(`{"payouts":{"description":"Pay"}}`)},
	}
	const path = "/apply?source=stepward.yaml&hash=abc"
	plan := in[adminapi.Plan](h, h.call(200, "POST", path+"&dry_run=true", token, state))
	if plan.Applied || !plan.Drift() || len(plan.Changes) != 3 || plan.Changes[1].Text != "+ client wiki" {
		t.Errorf("plan %+v", plan)
	}
	h.problem(404, "not_found", "GET", "/clients/wiki", h.robot(adminapi.ScopeRead), nil)
	h.problem(412, "stale", "POST", path+"&expect=other", token, state)
	plan = in[adminapi.Plan](h, h.call(200, "POST", path+"&expect="+plan.Digest, token, state))
	if !plan.Applied {
		t.Errorf("%+v", plan)
	}
	if plan = in[adminapi.Plan](h, h.call(200, "POST", path, token, state)); plan.Drift() {
		t.Errorf("again: %+v", plan)
	}
	c, err := h.DB.StoredClient(t.Context(), "wiki")
	h.Must(err)
	if _, ok := c.MatchSecret("x", c.CreatedAt); !ok || c.DisabledAt.IsZero() {
		t.Errorf("client %+v", c)
	}
	exported := in[adminapi.Desired](h, h.call(200, "GET", "/export", h.robot(adminapi.ScopeApplyRead), nil))
	if len(exported.Groups) != 1 || len(exported.Clients) < 2 || string(exported.Policy["scopes"]) == "" {
		t.Errorf("exported %+v", exported)
	}

	// What a file manages is changed only there, and says so.
	all := h.robot(adminapi.ScopeWrite)
	h.problem(403, "denied_managed", "DELETE", "/clients/wiki", all, nil)
	if c := in[adminapi.Client](h, h.call(200, "GET", "/clients/wiki", all, nil)); c.ManagedBy != "stepward.yaml" {
		t.Errorf("the client is managed by %q", c.ManagedBy)
	}
	for _, c := range in[adminapi.Page[adminapi.Client]](h, h.call(200, "GET", "/clients", all, nil)).Items {
		if (c.ManagedBy == "stepward.yaml") != (c.ID == "wiki") {
			t.Errorf("in the list, %s is managed by %q", c.ID, c.ManagedBy)
		}
	}
	for _, path := range []string{"/groups", "/groups?name=staff"} {
		groups := in[adminapi.Page[adminapi.Group]](h, h.call(200, "GET", path, all, nil)).Items
		if len(groups) != 1 || groups[0].ManagedBy != "stepward.yaml" {
			t.Errorf("%s: %+v", path, groups)
		}
	}
	for _, s := range in[adminapi.Policy](h, h.call(200, "GET", "/policy", all, nil)).Sections {
		if (s.ManagedBy == "stepward.yaml") != (s.Key == "scopes") {
			t.Errorf("section %s is managed by %q", s.Key, s.ManagedBy)
		}
	}
	h.problem(422, "faults", "POST", "/apply?source=other.yaml", token, `{"clients":[{"client_id":"a","client_name":"A","managed_by":"x"}]}`)

	// Tokens for other parts do not lead here.
	for _, scope := range []string{adminapi.ScopeClientsWrite, adminapi.ScopeApplyRead, adminapi.ScopeRead} {
		h.problem(403, "insufficient_scope", "POST", path, h.robot(scope), state)
	}
	h.problem(403, "insufficient_scope", "GET", "/export", h.robot(adminapi.ScopeClientsRead), nil)

	// A client makes nobody an owner.
	h.User("ada@example.org", directory.RoleUser)
	h.problem(403, "denied_own_role", "POST", path, token, adminapi.Desired{Roles: map[string]string{"ada@example.org": "owner"}})
	h.call(200, "POST", path, token, adminapi.Desired{Roles: map[string]string{"ada@example.org": "support"}})

	p := h.problem(422, "faults", "POST", path, token, adminapi.Desired{
		Groups: []adminapi.DesiredGroup{{Name: "a", Within: []string{"a"}}}, Roles: map[string]string{"x@example.org": "boss"},
	})
	if len(p.Faults) != 1 || p.Faults[0].Field != "roles.x@example.org" {
		t.Errorf("faults %+v", p.Faults)
	}
	p = h.problem(422, "faults", "POST", path, token, `{"clients": [{"client_id": "a", "client_name": "A", "created_at": "2026-01-01T00:00:00Z", "secrets": [{"value": "in clear"}]}]}`)
	if len(p.Faults) != 1 || p.Faults[0].Field != "clients[0].created_at" {
		t.Errorf("faults %+v", p.Faults)
	}
	p = h.problem(422, "faults", "POST", path, token, adminapi.Desired{Clients: []adminapi.DesiredClient{{
		Client: adminapi.Client{ID: "a", Name: "A"}, Secrets: []adminapi.DesiredSecret{{Value: "0123456789abcdef0123456789abcdef"}},
	}}})
	if len(p.Faults) != 1 || p.Faults[0].Field != "clients[0].secrets[0].value" {
		t.Errorf("faults %+v", p.Faults)
	}
}

// Other paths take 64 KiB.
func TestAStateMayBeLong(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeApplyWrite)
	var groups []adminapi.DesiredGroup
	for i := range 600 {
		groups = append(groups, adminapi.DesiredGroup{Name: "g" + strings.Repeat("x", 80) + string(rune('a'+i%26)) + string(rune('a'+i/26)), Description: strings.Repeat("d", 100)})
	}
	plan := in[adminapi.Plan](h, h.call(200, "POST", "/apply?source=long.yaml", token, adminapi.Desired{Groups: groups}))
	if len(plan.Changes) != 600 {
		t.Errorf("%d changes", len(plan.Changes))
	}
	h.problem(http.StatusRequestEntityTooLarge, "too_large", "POST", "/groups", h.robot(adminapi.ScopeWrite), adminapi.NewGroup{Name: strings.Repeat("x", 70<<10)})
	h.problem(http.StatusRequestEntityTooLarge, "too_large", "POST", "/apply?source=x", token, `{"x": "`+strings.Repeat("x", 9<<20)+`"}`)
}
