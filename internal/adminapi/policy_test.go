package adminapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/pkg/adminapi"
)

func sections(pairs ...string) adminapi.PolicyChange {
	c := adminapi.PolicyChange{Sections: adminapi.Sections{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.Sections[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return c
}

func TestThePolicyIsReadAndChanged(t *testing.T) {
	h := open(t, "STEPWARD_HELP_URL=https://example.com/help")
	read, write := h.robot(adminapi.ScopePolicyRead), h.robot(adminapi.ScopePolicyWrite)
	got := h.call(200, "GET", "/policy", read, nil)
	tag := got.Header.Get("ETag")
	if p := in[adminapi.Policy](h, got); p.Version != 0 || tag != `"0"` || len(p.Sections) < 15 {
		t.Errorf("version %d, tag %s, %d sections", p.Version, tag, len(p.Sections))
	}
	change := sections("scopes", `{"payouts": {"description": "Pay", "action-class": "payments"}}`,
		"action-classes", `{"payments": {"description": "pay", "window": "5m"}}`)

	h.problem(403, "insufficient_scope", "PATCH", "/policy", read, change, with("If-Match", tag))
	h.problem(428, "precondition_required", "PATCH", "/policy", write, change)
	h.problem(428, "precondition_required", "PUT", "/policy", write, change)
	dry := in[adminapi.Policy](h, h.call(200, "PATCH", "/policy?dry_run=true", write, change, with("If-Match", tag)))
	if dry.Version != 0 || strings.Join(dry.Changes, "; ") != "action-classes: added payments; scopes: added payouts" {
		t.Errorf("dry run: version %d, %q", dry.Version, dry.Changes)
	}
	got = h.call(200, "PATCH", "/policy", write, change, with("If-Match", tag))
	p := in[adminapi.Policy](h, got)
	if p.Version != 1 || got.Header.Get("ETag") != `"1"` || len(p.Stored) != 2 || p.ChangedAt == nil ||
		!slices.ContainsFunc(p.Scopes, func(s adminapi.PolicyScope) bool { return s.Name == "payouts" && s.ActionClass == "payments" }) {
		t.Errorf("changed: %+v", p)
	}
	created := h.call(201, "POST", "/clients", h.robot(adminapi.ScopeWrite), adminapi.Client{
		Name: "x", RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid", "payouts"},
	})
	id := in[adminapi.MadeClient](h, created).ID
	problem := h.problem(422, "faults", "PATCH", "/policy", write, sections("scopes", "null"), with("If-Match", `"1"`))
	if len(problem.Faults) != 1 || problem.Faults[0].Field != "client "+id {
		t.Errorf("the scope of a client goes: %+v", problem.Faults)
	}
	h.call(204, "DELETE", "/clients/"+id, h.robot(adminapi.ScopeWrite), nil)
	for _, stale := range []string{`"0"`, `"x"`, `W/"1"`, "1"} {
		h.problem(412, "stale", "PATCH", "/policy", write, change, with("If-Match", stale))
		h.problem(412, "stale", "PUT", "/policy", write, change, with("If-Match", stale))
	}

	faults := h.problem(422, "faults", "PATCH", "/policy", write, sections("scope", `{}`, "help-url", `null`,
		"acr-decay", `{"phr": {"absolute": "1h"}}`), with("If-Match", `"1"`)).Faults
	for _, want := range []string{"scope is not a section", "help-url is locked: it is set in STEPWARD_HELP_URL", "acr-decay.phr needs both"} {
		if !slices.ContainsFunc(faults, func(f adminapi.Fault) bool { return strings.HasPrefix(f.Field+" "+f.Text, want) }) {
			t.Errorf("no fault %q in %+v", want, faults)
		}
	}
	h.problem(422, "faults", "PATCH", "/policy", write, `{"sections": {"scopes": {"payouts": {"text": 1}}}}`, with("If-Match", `"1"`))

	got = h.call(200, "PUT", "/policy", write, sections("product-name", `"Acme"`), with("If-Match", "*"))
	if p := in[adminapi.Policy](h, got); p.Version != 2 || len(p.Stored) != 1 || len(p.Changes) != 3 {
		t.Errorf("replaced: %+v", p)
	}
	page := in[adminapi.Page[adminapi.PolicyVersion]](h, h.call(200, "GET", "/policy/versions?limit=1", read, nil))
	if len(page.Items) != 1 || page.Items[0].Version != 2 || page.Items[0].Stored != nil {
		t.Fatalf("versions %+v", page)
	}
	page = in[adminapi.Page[adminapi.PolicyVersion]](h, h.call(200, "GET", "/policy/versions?limit=1&cursor="+page.Next, read, nil))
	if len(page.Items) != 1 || page.Items[0].Version != 1 || len(page.Items[0].Changes) != 2 {
		t.Errorf("the next page: %+v", page)
	}
	h.problem(400, "invalid_cursor", "GET", "/policy/versions?cursor=eA", read, nil)
	former := in[adminapi.PolicyVersion](h, h.call(200, "GET", "/policy/versions/1", read, nil))
	got = h.call(200, "PUT", "/policy", write, adminapi.PolicyChange{Sections: former.Stored}, with("If-Match", `"2"`))
	if p := in[adminapi.Policy](h, got); p.Version != 3 || len(p.Stored) != 2 {
		t.Errorf("back: %+v", p)
	}
	h.problem(404, "not_found", "GET", "/policy/versions/9", read, nil)
}

func TestThePolicyIsForRolesAndItsChangesForAdmins(t *testing.T) {
	h := open(t)
	h.call(200, "PATCH", "/policy", h.robot(adminapi.ScopeWrite), sections("product-name", `"first"`), with("If-Match", "*"))
	for _, role := range directory.Roles {
		token := h.person(h.User(role.Name()+"@roles.example", role), time.Now(), adminapi.ScopeRead, adminapi.ScopeWrite)
		for _, method := range []string{"PATCH", "PUT"} {
			if role == directory.RoleOwner || role == directory.RoleAdmin {
				h.call(200, method, "/policy", token, sections("product-name", `"`+role.Name()+method+`"`), with("If-Match", "*"))
			} else {
				h.problem(403, "denied_role", method, "/policy", token, sections("product-name", `"x"`), with("If-Match", "*"))
			}
		}
		for _, path := range []string{"/policy", "/policy/versions", "/policy/versions/1"} {
			if role == directory.RoleUser {
				h.problem(403, "denied_role", "GET", path, token, nil)
			} else {
				h.call(200, "GET", path, token, nil)
			}
		}
	}
	h.call(200, "PATCH", "/policy", h.robot(adminapi.ScopeWrite), sections("recovery-approval", `"required"`), with("If-Match", "*"))
	h.problem(403, "denied_owner", "PATCH", "/policy", h.robot(adminapi.ScopeWrite), sections("recovery-approval", `null`), with("If-Match", "*"))
	h.problem(403, "denied_owner", "PUT", "/policy", h.robot(adminapi.ScopePolicyWrite), sections(), with("If-Match", "*"))
}
