package adminapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/pkg/adminapi"
)

// A step is a change of an object that has an ETag.
type step struct {
	method, path string
	body         any
	status       int
}

// conditional checks that each change is refused on a stale version, and not on the present one.
func (h *house) conditional(object string, steps ...step) {
	h.Helper()
	token := h.robot(adminapi.ScopeWrite)
	stale := h.call(200, "GET", object, token, nil).Header.Get("ETag")
	for _, s := range steps {
		before := h.call(200, "GET", object, token, nil)
		tag := before.Header.Get("ETag")
		for _, wrong := range []string{`"zzz"`, `"zzz", "zzy"`, `W/` + tag, stale} {
			if wrong == tag { // the first step
				continue
			}
			h.problem(412, "stale", s.method, object+s.path, token, s.body, with("If-Match", wrong))
		}
		if after := h.call(200, "GET", object, token, nil); after.body != before.body {
			h.Errorf("%s %s changed something although it was refused:\n%s\n%s", s.method, s.path, before.body, after.body)
		}
		h.call(s.status, s.method, object+s.path, token, s.body, with("If-Match", `"zzz", `+tag))
	}
}

func TestAChangeIsMadeOfTheVersionThatWasRead(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	ada := h.User("ada@example.org", "")
	other := in[adminapi.Group](h, h.call(201, "POST", "/groups", token, adminapi.NewGroup{Name: "other"}))
	staff := in[adminapi.Group](h, h.call(201, "POST", "/groups", token, adminapi.NewGroup{Name: "staff"}))
	h.call(200, "PUT", "/claims/level", token, adminapi.Claim{
		Name: "level", Type: "number", Scope: "profile", SeenBy: []string{"admin"}, EditedBy: []string{"admin"},
	})
	wiki := in[adminapi.MadeClient](h, h.call(201, "POST", "/clients", token, adminapi.Client{
		Name: "Wiki", RedirectURIs: []string{"https://wiki.example/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"},
	}))
	h.conditional("/groups/"+staff.ID,
		step{"POST", "/members", adminapi.UserIDs{UserIDs: []string{ada.ID}}, 204},
		step{"DELETE", "/members/" + ada.ID, nil, 204},
		step{"PATCH", "/claims", `{"level":7}`, 200},
		step{"PUT", "/parents/" + other.ID, nil, 204},
		step{"DELETE", "/parents/" + other.ID, nil, 204},
		step{"DELETE", "", nil, 204},
	)
	h.conditional("/users/"+ada.ID,
		step{"PATCH", "/claims", `{"level":7}`, 200},
		step{"PUT", "/groups", adminapi.GroupNames{Groups: []string{"other"}}, 200},
		step{"POST", "/disable", nil, 200},
		step{"POST", "/enable", nil, 200},
		step{"DELETE", "", nil, 200},
	)
	h.conditional("/clients/"+wiki.ID,
		step{"POST", "/secrets", adminapi.NewSecret{Name: "spring"}, 201},
		step{"PATCH", "/secrets/" + wiki.Secrets[0].ID, adminapi.SecretChange{}, 200},
		step{"DELETE", "/secrets/" + wiki.Secrets[0].ID, nil, 204},
		step{"POST", "/disable", nil, 200},
		step{"POST", "/enable", nil, 200},
		step{"DELETE", "", nil, 204},
	)
	h.problem(404, "not_found", "DELETE", "/users/"+ada.ID, token, nil, with("If-Match", "*"))
	h.problem(404, "not_found", "DELETE", "/users/"+ada.ID, token, nil, with("If-Match", `"zzz"`))
}

// An operation that changes one object with an ETag takes If-Match, and its document says so.
func TestEveryChangeOfAnObjectWithATagTakesACondition(t *testing.T) {
	h := open(t)
	// These change something beside the object, which its version says nothing of.
	except := []string{
		"/users/{id}/recovery-link", "/users/{id}/recovery-link/approve", "/users/{id}/sessions", "/users/{id}/sessions/{session}",
		"/users/{id}/applications/{client_id}",
	}
	seen := 0
	for path, methods := range h.document.paths {
		if !strings.Contains(path, "{id}") || slices.Contains(except, path) {
			continue
		}
		for method, described := range methods.(map[string]any) {
			if method == "get" {
				continue
			}
			op := described.(map[string]any)
			parameters, _ := op["parameters"].([]any)
			has := slices.ContainsFunc(parameters, func(p any) bool { return p.(map[string]any)["name"] == "If-Match" })
			_, says := op["responses"].(map[string]any)["412"]
			if !has || !says {
				t.Errorf("%s %s: If-Match %v, 412 %v", method, path, has, says)
			}
			seen++
		}
	}
	if seen < 18 {
		t.Errorf("%d operations", seen)
	}
}

func TestAKeyStandsForOneCondition(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	ada := h.User("ada@example.org", "")
	path := "/users/" + ada.ID
	tag := h.call(200, "GET", path, token, nil).Header.Get("ETag")
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "one") }
	first := h.call(200, "POST", path+"/disable", token, nil, key, with("If-Match", tag))
	again := h.call(200, "POST", path+"/disable", token, nil, key, with("If-Match", tag))
	if again.body != first.body || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("repeated: %s, first %s", again.body, first.body)
	}
	h.problem(422, "idempotency_key_reused", "POST", path+"/disable", token, nil, key)
}
