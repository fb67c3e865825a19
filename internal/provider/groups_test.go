package provider

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/roster"
)

// join puts a user into a group of this name, which is made if there is none, and returns the func that takes them out.
func (h *house) join(u idp.User, name string) (leave func()) {
	h.t.Helper()
	r := roster.New(h.db)
	g, err := r.GroupByName(h.t.Context(), name)
	if err != nil {
		g = directory.Group{ID: "id-" + name, Name: name, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		check(h.t, r.CreateGroup(h.t.Context(), g))
	}
	check(h.t, r.AddMembers(h.t.Context(), g.ID, []string{u.ID}, time.Now()))
	return func() { check(h.t, r.RemoveMembers(h.t.Context(), g.ID, []string{u.ID}, time.Now())) }
}

// places returns a claim in each place that has it.
func (h *house) places(c idp.Client, tok map[string]any, claim string) map[string]any {
	h.t.Helper()
	out := map[string]any{}
	_, id := claims(h.t, tok["id_token"])
	_, access := claims(h.t, tok["access_token"])
	for place, said := range map[string]map[string]any{
		"id": id, "access": access, "userinfo": h.userinfo(tok["access_token"]).json(h.t),
		"introspection": h.introspect(c, tok["access_token"]),
	} {
		if v, ok := said[claim]; ok {
			out[place] = v
		}
	}
	return out
}

func inAll(v any) map[string]any {
	return map[string]any{"id": v, "access": v, "userinfo": v, "introspection": v}
}

func groupScopes(c *idp.Client) {
	c.IDTokenClaims = []string{"groups", "profile"}
}

func same(t *testing.T, name string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestGroupsGoWhereTheirScopeGoesAsTheClientWantsThem(t *testing.T) {
	h := open(t, full)
	u, loner := h.addUser(), h.addUser()
	h.join(u, "staff")
	h.join(u, "dev")
	plain := h.addClient(groupScopes)
	same(t, "plain", h.places(plain, h.tokens(plain, u, "scope", "openid groups"), "groups"), inAll([]any{"dev", "staff"}))
	same(t, "in no group", h.places(plain, h.tokens(plain, loner, "scope", "openid groups"), "groups"), inAll([]any{}))
	same(t, "without the scope", h.places(plain, h.tokens(plain, u, "scope", "openid profile"), "groups"), map[string]any{})

	unlisted := h.addClient(func(c *idp.Client) { groupScopes(c); c.IDTokenClaims = nil })
	if _, in := h.places(unlisted, h.tokens(unlisted, u, "scope", "openid groups"), "groups")["id"]; in {
		t.Error("in the ID token of a client that is not registered for it")
	}
	tok := h.tokens(unlisted, u, "scope", "openid groups", "claims", `{"id_token":{"groups":null}}`)
	same(t, "asked for by name", h.places(unlisted, tok, "groups"), inAll([]any{"dev", "staff"}))

	renamed := h.addClient(func(c *idp.Client) {
		groupScopes(c)
		c.GroupsClaim = directory.GroupsClaim{Name: "roles", Prefix: "idp:", Only: []string{"dev"}}
	})
	tok = h.tokens(renamed, u, "scope", "openid groups")
	same(t, "renamed", h.places(renamed, tok, "roles"), inAll([]any{"idp:dev"}))
	same(t, "under the former name", h.places(renamed, tok, "groups"), map[string]any{})
	objects := h.addClient(func(c *idp.Client) { groupScopes(c); c.GroupsClaim.Objects, c.GroupsClaim.Only = true, []string{"dev"} })
	same(t, "objects", h.places(objects, h.tokens(objects, u, "scope", "openid groups"), "groups"),
		inAll([]any{map[string]any{"id": "id-dev", "name": "dev"}}))
}

func TestTooManyGroupsForATokenAreLeftOutWhole(t *testing.T) {
	h := open(t, full)
	u, c := h.addUser(), h.addClient(groupScopes)
	for i := range directory.MaxTokenGroups {
		h.join(u, fmt.Sprintf("group-%03d", i))
	}
	tok := h.tokens(c, u, "scope", "openid groups")
	if n := len(h.places(c, tok, "groups")); n != 4 {
		t.Errorf("%d groups are in %d places", directory.MaxTokenGroups, n)
	}
	h.join(u, "one-more")
	tok = h.tokens(c, u, "scope", "openid groups")
	got := h.places(c, tok, "groups")
	if len(got) != 2 || len(got["userinfo"].([]any)) != directory.MaxTokenGroups+1 || got["introspection"] == nil {
		t.Errorf("in %d places", len(got))
	}
	same(t, "overage", h.places(c, tok, "groups_overage"), map[string]any{"id": 201.0, "access": 201.0})
}

func TestALongListOfGroupsIsLeftOutByItsSize(t *testing.T) {
	var groups []directory.Group
	for i := range 100 {
		groups = append(groups, directory.Group{Name: fmt.Sprintf("%0100d", i)})
	}
	out := map[string]any{}
	if n := (directory.GroupsClaim{}).Add(out, groups); n != 100 || len(out) != 1 {
		t.Errorf("%d, %v", n, out)
	}
}

func TestATokenIsForMembersAlone(t *testing.T) {
	h := open(t, full)
	u := h.addUser()
	h.join(u, "other")
	c := h.addClient(func(c *idp.Client) { groupScopes(c); c.AllowedGroups = []string{"staff", "dev"} })
	if r := h.exchange(c, h.code(c, u, "scope", "openid offline_access")); r.json(t)["error"] != "invalid_grant" {
		t.Errorf("a code of somebody who has left: %d %s", r.StatusCode, r.body)
	}
	leave := h.join(u, "dev")
	tok := h.tokens(c, u, "scope", "openid offline_access")
	refreshed := h.refresh(c, tok["refresh_token"]).json(t)
	if refreshed["access_token"] == nil || h.introspect(c, tok["access_token"])["active"] != true {
		t.Fatalf("a member: %v", refreshed)
	}
	leave()
	if r := h.refresh(c, refreshed["refresh_token"]); r.json(t)["error"] != "invalid_grant" {
		t.Errorf("a refresh after leaving: %d %s", r.StatusCode, r.body)
	}
	if h.introspect(c, tok["access_token"])["active"] != false || h.userinfo(tok["access_token"]).StatusCode != 401 {
		t.Error("the access token is alive after leaving")
	}
	h.join(u, "dev")
	if r := h.refresh(c, refreshed["refresh_token"]); r.StatusCode != 200 {
		t.Errorf("a refresh after coming back: %d %s", r.StatusCode, r.body)
	}
}

func TestAnExchangedTokenIsForMembersAlone(t *testing.T) {
	h := open(t, full)
	u := h.addUser()
	leave := h.join(u, "dev")
	api := h.addPasser(func(c *idp.Client) { c.AllowedGroups = []string{"dev"} })
	token := h.tokenFor(api, u)
	if r := h.passed(api, token); r.StatusCode != 200 {
		t.Fatalf("a member: %d %s", r.StatusCode, r.body)
	}
	leave()
	if r := h.passed(api, token); r.StatusCode == 200 {
		t.Error("exchanged for somebody who has left")
	}
}

func TestATokenEndsWhenItsUserLeaves(t *testing.T) {
	h := open(t, full)
	u, api := h.addUser(), h.addPasser(nil)
	leave := h.join(u, "dev")
	var all []any
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		app := h.addClient(func(c *idp.Client) {
			c.AllowedGroups, c.Audience, c.AccessFormat = []string{"dev"}, []string{api.ID}, format
		})
		token := h.tokens(app, u, "scope", "openid accounts")["access_token"]
		all = append(all, token, h.passed(api, token, "scope", "accounts").json(t)["access_token"])
	}
	for i, token := range all {
		if h.introspect(api, token)["active"] != true {
			t.Fatalf("token %d of a member is dead", i)
		}
	}
	leave()
	for i, token := range all { // of each format, and exchanged for another client from each
		if h.introspect(api, token)["active"] != false {
			t.Errorf("token %d is alive after leaving", i)
		}
	}
}

func TestDefinedClaimsGoWithTheirScopeAndAsTheClientMapsThem(t *testing.T) {
	h := open(t, full)
	u, loner, ctx, now := h.addUser(), h.addUser(), t.Context(), time.Now()
	r := roster.New(h.db)
	check(t, r.PutClaim(ctx, directory.Claim{Name: "tier", Type: directory.ClaimString, Scope: "profile", CreatedAt: now, UpdatedAt: now}))
	types := map[string]directory.ClaimType{"tier": directory.ClaimString}
	check(t, r.SetUserClaims(ctx, u.ID, types, roster.Values{"tier": `"gold"`}, now))
	c := h.addClient(groupScopes)
	same(t, "plain", h.places(c, h.tokens(c, u, "scope", "openid profile"), "tier"), map[string]any{"id": "gold", "userinfo": "gold"})
	same(t, "without the scope", h.places(c, h.tokens(c, u, "scope", "openid"), "tier"), map[string]any{})

	c = h.addClient(func(c *idp.Client) {
		groupScopes(c)
		c.ClaimMappings = []directory.Mapping{
			{Source: "tier", Claim: "https://example.com/tier", Default: json.RawMessage(`"none"`), AccessToken: true},
			{Source: "email", Claim: "preferred_username"},
		}
	})
	tok := h.tokens(c, u, "scope", "openid profile email")
	same(t, "mapped", h.places(c, tok, "https://example.com/tier"), inAll("gold"))
	same(t, "over a standard claim", h.places(c, tok, "preferred_username")["userinfo"], any(u.Email))
	same(t, "default", h.places(c, h.tokens(c, loner, "scope", "openid profile"), "https://example.com/tier"), inAll("none"))
	same(t, "a value without its scope", h.places(c, h.tokens(c, u, "scope", "openid"), "https://example.com/tier"), map[string]any{})
}
