package adminapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

func TestARobotManagesUsers(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	made := h.call(201, "POST", "/users", token, adminapi.NewUser{Email: "Ada@Example.org", Name: "Ada"})
	ada := in[adminapi.User](h, made)
	if ada.Email != "ada@example.org" || ada.Role != "none" || made.Header.Get("Location") != h.Issuer+adminapi.Path+"/users/"+ada.ID {
		t.Errorf("%s %s", made.body, made.Header.Get("Location"))
	}
	read := h.call(200, "GET", "/users/"+ada.ID, token, nil)
	tag := read.Header.Get("ETag")
	name := "Ada Lovelace"
	change := adminapi.UserChange{Name: &name}
	changed := h.call(200, "PATCH", "/users/"+ada.ID, token, change, with("If-Match", tag))
	if in[adminapi.User](h, changed).Name != name || changed.Header.Get("ETag") == tag {
		t.Errorf("changed: %s, ETag %s was %s", changed.body, changed.Header.Get("ETag"), tag)
	}
	h.problem(412, "stale", "PATCH", "/users/"+ada.ID, token, change, with("If-Match", tag))
	h.problem(412, "stale", "PATCH", "/users/"+ada.ID, token, change, with("If-Match", `"?"`))
	h.problem(428, "precondition_required", "PATCH", "/users/"+ada.ID, token, change)
	h.call(200, "PATCH", "/users/"+ada.ID, token, change, with("If-Match", "*"))

	invited := in[adminapi.Invitation](h, h.call(201, "POST", "/users/invitations", token, `{"email":"bob@example.org","ttl":3600}`))
	if !invited.New || !strings.HasPrefix(invited.Link, h.Issuer+"/") || time.Until(invited.Until) > time.Hour {
		t.Errorf("invitation %+v", invited)
	}
	if p := h.problem(422, "faults", "POST", "/users/invitations", token, `{"email":"eve@example.org","mail":true}`); p.Faults[0].Field != "mail" {
		t.Errorf("an invitation by e-mail without a mail server: %+v", p)
	}
	for _, path := range []string{"/passkeys", "/sessions", "/applications"} {
		if page := in[adminapi.Page[json.RawMessage]](h, h.call(200, "GET", "/users/"+ada.ID+path, token, nil)); page.Items == nil || len(page.Items) > 0 {
			t.Errorf("%s: %v", path, page)
		}
	}
	if in[adminapi.Ended](h, h.call(200, "POST", "/users/"+ada.ID+"/disable", token, nil)).Already {
		t.Error("disabled before")
	}
	if !in[adminapi.Ended](h, h.call(200, "POST", "/users/"+ada.ID+"/disable", token, nil)).Already {
		t.Error("not disabled before")
	}
	if u := in[adminapi.User](h, h.call(200, "POST", "/users/"+ada.ID+"/enable", token, nil)); u.DisabledAt != nil {
		t.Error("still disabled")
	}
	h.problem(409, "not_disabled", "POST", "/users/"+ada.ID+"/enable", token, nil)
	h.problem(409, "no_passkey", "POST", "/users/"+ada.ID+"/recovery-link", token, `{}`)
	events := in[adminapi.Page[adminapi.Event]](h, h.call(200, "GET", "/users/"+ada.ID+"/events?limit=2", token, nil))
	if len(events.Items) != 2 || events.Items[0].Kind != "user.enabled" || events.Items[0].Detail["by"] != "api" || events.Items[0].Detail["through"] == "" || events.Next == "" {
		t.Errorf("events %+v", events)
	}
	h.call(200, "DELETE", "/users/"+ada.ID, token, nil)
	h.problem(404, "not_found", "GET", "/users/"+ada.ID, token, nil)
}

func TestListsHavePages(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeRead)
	var want []string
	for _, name := range strings.Fields("ada bob cleo dora ed") {
		h.User(name+"@example.org", "")
		want = append(want, name+"@example.org")
	}
	for _, query := range []string{"", "&q=example"} {
		var got []string
		for cursor, calls := "", 0; ; calls++ {
			page := in[adminapi.Page[adminapi.User]](h, h.call(200, "GET", "/users?limit=2"+query+"&cursor="+cursor, token, nil))
			for _, u := range page.Items {
				got = append(got, u.Email)
			}
			if cursor = page.Next; cursor == "" || calls > 9 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v", query, got)
		}
	}
	h.problem(400, "invalid_cursor", "GET", "/users?cursor=%21", token, nil)
	h.problem(400, "invalid_cursor", "GET", "/users?cursor=Pz8", token, nil)
	for _, bad := range []string{"limit=0", "limit=201", "colour=red"} {
		h.problem(422, "faults", "GET", "/users?"+bad, token, nil)
	}
	if found := in[adminapi.Page[adminapi.User]](h, h.call(200, "GET", "/users?q=cleo@example.org", token, nil)); len(found.Items) != 1 {
		t.Errorf("found %v", found)
	}
}

func TestGroupsAndClaims(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	ada := h.User("ada@example.org", "")
	staff := in[adminapi.Group](h, h.call(201, "POST", "/groups", token, adminapi.NewGroup{Name: "staff"}))
	dev := in[adminapi.Group](h, h.call(201, "POST", "/groups", token, adminapi.NewGroup{Name: "dev"}))
	h.problem(422, "faults", "POST", "/groups", token, adminapi.NewGroup{Name: "Staff"})
	h.call(204, "PUT", "/groups/"+dev.ID+"/parents/"+staff.ID, token, nil)
	h.problem(422, "faults", "PUT", "/groups/"+staff.ID+"/parents/"+dev.ID, token, nil) // a cycle
	nesting := in[adminapi.Nesting](h, h.call(200, "GET", "/groups/"+staff.ID+"/nesting", token, nil))
	if len(nesting.Children) != 1 || nesting.Children[0].Name != "dev" || nesting.Parents == nil {
		t.Errorf("nesting %+v", nesting)
	}
	h.call(204, "POST", "/groups/"+dev.ID+"/members", token, adminapi.UserIDs{UserIDs: []string{ada.ID}})
	if page := in[adminapi.Page[adminapi.User]](h, h.call(200, "GET", "/groups/"+dev.ID+"/members", token, nil)); len(page.Items) != 1 || page.Items[0].ID != ada.ID {
		t.Errorf("members %+v", page)
	}
	if names := in[adminapi.GroupNames](h, h.call(200, "PUT", "/users/"+ada.ID+"/groups", token, adminapi.GroupNames{Groups: []string{"staff"}})); !slices.Equal(names.Groups, []string{"staff"}) {
		t.Errorf("groups %v", names)
	}
	h.problem(422, "faults", "PUT", "/users/"+ada.ID+"/groups", token, `{"groups":["nothing"]}`)
	h.call(204, "DELETE", "/groups/"+staff.ID+"/members/"+ada.ID, token, nil)
	h.problem(404, "not_found", "DELETE", "/groups/"+staff.ID+"/members/nobody", token, nil)
	text := "all who work here"
	tag := h.call(200, "GET", "/groups/"+staff.ID, token, nil).Header.Get("ETag")
	changed := in[adminapi.Group](h, h.call(200, "PATCH", "/groups/"+staff.ID, token, adminapi.GroupChange{Description: &text}, with("If-Match", tag)))
	if changed.Name != "staff" || changed.Description != text {
		t.Errorf("changed %+v", changed)
	}
	h.problem(412, "stale", "PATCH", "/groups/"+staff.ID, token, adminapi.GroupChange{Description: &text}, with("If-Match", tag))

	claim := adminapi.Claim{Name: "level", Type: "number", Scope: "profile", SeenBy: []string{"admin"}, EditedBy: []string{"admin"}}
	h.call(200, "PUT", "/claims/level", token, claim)
	h.problem(422, "faults", "PUT", "/claims/other", token, claim)
	if page := in[adminapi.Page[adminapi.Claim]](h, h.call(200, "GET", "/claims", token, nil)); len(page.Items) != 1 || page.Items[0].Name != "level" {
		t.Errorf("claims %+v", page)
	}
	for _, owner := range []string{"/users/" + ada.ID, "/groups/" + staff.ID} {
		if got := h.call(200, "PATCH", owner+"/claims", token, `{"level":7}`).body; strings.TrimSpace(got) != `{"level":7}` {
			t.Errorf("%s: %s", owner, got)
		}
		h.problem(422, "faults", "PATCH", owner+"/claims", token, `{"level":"high"}`)
		if got := h.call(200, "PATCH", owner+"/claims", token, `{"level":null}`).body; strings.TrimSpace(got) != `{}` {
			t.Errorf("%s: %s", owner, got)
		}
		h.problem(422, "faults", "PATCH", owner+"/claims", token, `{"unknown":1}`)
	}
	h.call(204, "DELETE", "/claims/level", token, nil)
	h.call(204, "DELETE", "/groups/"+dev.ID, token, nil)
	h.problem(404, "not_found", "GET", "/groups/"+dev.ID, token, nil)
}

func TestAClientAndItsSecrets(t *testing.T) {
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	made := in[adminapi.MadeClient](h, h.call(201, "POST", "/clients", token, `{
		"client_name": "Wiki", "redirect_uris": ["https://wiki.example/cb"], "grant_types": ["authorization_code"],
		"scopes": ["openid"], "access_token_ttl": 300, "default_max_age": 3600, "contacts": ["help@wiki.example"]}`))
	stored, err := h.DB.StoredClient(t.Context(), made.ID)
	h.Must(err)
	if _, ok := stored.MatchSecret(idp.Secret(made.Value), time.Now()); !ok || stored.AccessTTL != 5*time.Minute || *stored.DefaultMaxAge != time.Hour {
		t.Errorf("stored %+v, made %+v", stored, made)
	}
	path := "/clients/" + made.ID
	got := h.call(200, "GET", path, token, nil)
	if strings.Contains(got.body, made.Value) || strings.Contains(got.body, stored.Secrets[0].Hash) {
		t.Errorf("a secret or its hash: %s", got.body)
	}
	// What was read can be sent back.
	tag := got.Header.Get("ETag")
	whole := in[map[string]any](h, got)
	whole["client_name"], whole["logo_uri"] = "The wiki", "https://wiki.example/logo.png"
	changed := in[adminapi.Client](h, h.call(200, "PUT", path, token, whole, with("If-Match", tag)))
	if changed.Name != "The wiki" || changed.AccessTTL != 300 || *changed.DefaultMaxAge != 3600 || len(changed.Secrets) != 1 {
		t.Errorf("changed %+v", changed)
	}
	h.problem(412, "stale", "PUT", path, token, whole, with("If-Match", tag))
	whole["redirect_uris"] = []string{"http://elsewhere.example"}
	if p := h.problem(422, "faults", "PUT", path, token, whole, with("If-Match", "*")); len(p.Faults) == 0 || !strings.HasPrefix(p.Faults[0].Field, "redirect_uri") {
		t.Errorf("faults %+v", p)
	}
	second := in[adminapi.MadeSecret](h, h.call(201, "POST", path+"/secrets", token, adminapi.NewSecret{Name: "spring"}))
	if second.Value == "" || second.Name != "spring" {
		t.Errorf("second %+v", second)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if s := in[adminapi.Secret](h, h.call(200, "PATCH", path+"/secrets/"+second.ID, token, adminapi.SecretChange{ExpiresAt: &until})); !s.ExpiresAt.Equal(until) {
		t.Errorf("expires %v", s)
	}
	h.call(204, "DELETE", path+"/secrets/"+changed.Secrets[0].ID, token, nil)
	h.problem(422, "faults", "DELETE", path+"/secrets/"+second.ID, token, nil) // the last one
	h.problem(404, "not_found", "DELETE", path+"/secrets/nothing", token, nil)
	if c := in[adminapi.Client](h, h.call(200, "POST", path+"/disable", token, nil)); c.DisabledAt == nil {
		t.Error("not disabled")
	}
	h.problem(409, "already", "POST", path+"/disable", token, nil)
	h.call(200, "POST", path+"/enable", token, nil)
	if page := in[adminapi.Page[adminapi.Client]](h, h.call(200, "GET", "/clients?q=THE+WIKI", token, nil)); len(page.Items) != 1 {
		t.Errorf("found %+v", page)
	}
	h.call(204, "DELETE", path, token, nil)
	h.problem(404, "not_found", "GET", path, token, nil)
	h.problem(422, "faults", "POST", "/clients", token, `{"client_name":"x","jwks":{"keys":[{"kty":"oct","k":"AA"}]},"token_endpoint_auth_method":"private_key_jwt"}`)
}

func TestEventsPolicyAndVersion(t *testing.T) {
	h := open(t)
	token, writer := h.robot(adminapi.ScopeRead), h.robot(adminapi.ScopeGroupsWrite)
	h.call(201, "POST", "/groups", writer, adminapi.NewGroup{Name: "one"})
	h.call(201, "POST", "/groups", writer, adminapi.NewGroup{Name: "two"})
	page := in[adminapi.Page[adminapi.Event]](h, h.call(200, "GET", "/events?kind=group.created&kind=user.created&limit=1", token, nil))
	if len(page.Items) != 1 || page.Items[0].Detail["name"] != "two" || page.Next == "" {
		t.Errorf("events %+v", page)
	}
	if none := in[adminapi.Page[adminapi.Event]](h, h.call(200, "GET", "/events?until=2020-01-01T00:00:00Z", token, nil)); len(none.Items) != 0 || none.Next != "" {
		t.Errorf("events of 2019: %+v", none)
	}
	h.problem(422, "faults", "GET", "/events?from=yesterday", token, nil)
	policy := in[adminapi.Policy](h, h.call(200, "GET", "/policy", token, nil))
	if !slices.ContainsFunc(policy.Scopes, func(s adminapi.PolicyScope) bool {
		return s.Name == adminapi.ScopeWrite && s.ActionClass == "admin" && s.Machines
	}) {
		t.Errorf("policy %+v", policy)
	}
	if v := in[adminapi.Version](h, h.call(200, "GET", "/version", token, nil)); v.API != "v1" {
		t.Errorf("version %+v", v)
	}
}
