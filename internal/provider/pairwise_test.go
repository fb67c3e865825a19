package provider

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/subject"
)

// pairwiseOn makes a client pairwise, with its redirect URI on this host.
func pairwiseOn(host string) func(*idp.Client) {
	return func(c *idp.Client) {
		c.SubjectType, c.RedirectURIs = idp.SubjectPairwise, []string{"https://" + host + "/cb"}
	}
}

// seen returns every sub and sid that a client sees of a user in one flow, by place.
func (h *house) seen(c idp.Client, u idp.User) (subs, sids map[string]string) {
	h.t.Helper()
	subs, sids = map[string]string{}, map[string]string{}
	code := h.code(c, u, "redirect_uri", c.RedirectURIs[0], "scope", "openid profile offline_access")
	form := exchangeForm(code)
	form.Set("redirect_uri", c.RedirectURIs[0])
	tok := h.post(oauth.PathToken, form, basic(c)).json(h.t)
	for round := range 2 {
		_, id := claims(h.t, tok["id_token"])
		subs["ID token"], sids["ID token"] = id["sub"].(string), id["sid"].(string)
		if c.AccessFormat != idp.FormatOpaque {
			_, access := claims(h.t, tok["access_token"])
			subs["access token"], sids["access token"] = access["sub"].(string), access["sid"].(string)
		}
		subs["userinfo"] = h.userinfo(tok["access_token"]).json(h.t)["sub"].(string)
		subs["introspection"] = h.introspect(c, tok["access_token"])["sub"].(string)
		if round == 0 {
			tok = h.refresh(c, tok["refresh_token"]).json(h.t)
		}
	}
	return subs, sids
}

func TestAPairwiseClientSeesTheNamesOfItsSectorEverywhere(t *testing.T) {
	h := open(t)
	u, other := h.addUser(), h.addUser()
	one := func(what string, values map[string]string) string {
		t.Helper()
		all := ""
		for where, v := range values {
			if all == "" {
				all = v
			}
			if v != all {
				t.Errorf("%s in %s is %q, elsewhere %q", what, where, v, all)
			}
		}
		return all
	}
	bySector := map[string][2]string{}
	for name, edit := range map[string]func(*idp.Client){
		"a":         pairwiseOn("a.example"),
		"a again":   pairwiseOn("A.example"),
		"a, opaque": func(c *idp.Client) { pairwiseOn("a.example")(c); c.AccessFormat = idp.FormatOpaque },
		"a by URI": func(c *idp.Client) {
			pairwiseOn("z.example")(c)
			c.SectorIdentifierURI = "https://a.example/sector.json"
		},
		"b":          pairwiseOn("b.example"),
		"c, b first": func(c *idp.Client) { pairwiseOn("b.example")(c); c.SectorIdentifierURI = "https://c.example/" },
	} {
		c := h.addClient(edit)
		subs, sids := h.seen(c, u)
		names := [2]string{one("sub", subs), one("sid", sids)}
		sector, _, _ := strings.Cut(name, " ")
		sector = strings.TrimSuffix(sector, ",")
		if first, known := bySector[sector]; known && first != names {
			t.Errorf("%s: %v, others of the sector %v", name, names, first)
		}
		for of, them := range bySector {
			if of != sector && (them[0] == names[0] || them[1] == names[1]) {
				t.Errorf("sectors %s and %s share a name: %v %v", of, sector, them, names)
			}
		}
		bySector[sector] = names
		if names[0] == u.ID || names[1] == "sid-1" || len(names[0]) > 255 { // OIDC Core §2
			t.Errorf("%s sees %v", name, names)
		}
		if subs, _ := h.seen(c, other); one("sub", subs) == names[0] {
			t.Errorf("%s: two users, one sub", name)
		}
	}
	subs, sids := h.seen(h.addClient(nil), u)
	if one("sub", subs) != u.ID || one("sid", sids) != "sid-1" {
		t.Errorf("a public client sees %v %v", subs, sids)
	}
}

func TestAPairwiseSubNamesItsUserInHints(t *testing.T) {
	h := open(t)
	u := h.addUser()
	c := h.addClient(func(c *idp.Client) { c.SubjectType = idp.SubjectPairwise })
	elsewhere := h.addClient(func(c *idp.Client) {
		c.SubjectType, c.SectorIdentifierURI = idp.SubjectPairwise, "https://elsewhere.example/"
	})
	public := h.addClient(nil)
	tok := h.tokens(c, u)
	asking := func(sub any) string {
		b, err := json.Marshal(map[string]any{"id_token": map[string]any{"sub": map[string]any{"value": sub}}})
		check(t, err)
		return string(b)
	}
	names, err := subject.NewNames(h.config.SubjectKey)
	check(t, err)
	mine, foreign := names.Sub(c, u.ID), names.Sub(elsewhere, u.ID)
	for _, row := range []struct {
		name   string
		client idp.Client
		param  string
		value  string
		user   string // whom the interaction is for
		err    string // or the error
	}{
		{"its own ID token", c, "id_token_hint", tok["id_token"].(string), u.ID, ""},
		{"its own sub", c, "claims", asking(mine), u.ID, ""},
		{"another sector's sub", c, "claims", asking(foreign), "", "login_required"},
		{"the ID behind it", c, "claims", asking(u.ID), "", "login_required"}, // else it could find out whose sub is whose
		{"no string", c, "claims", asking(7), "", "invalid_request"},
		{"an ID token of another sector", elsewhere, "id_token_hint", tok["id_token"].(string), "", "invalid_request"},
		{"a pairwise sub from a public client", public, "claims", asking(mine), mine, ""}, // nobody: no user has this ID
	} {
		h.last = idp.Interaction{}
		r := h.authorize(request(row.client, row.param, row.value))
		if got := r.query().Get("error"); got != row.err || h.last.Request.HintedUser != row.user {
			t.Errorf("%s: error %q, for %q", row.name, got, h.last.Request.HintedUser)
		}
	}
	moved := c
	moved.SectorIdentifierURI = "https://new.example/"
	check(t, h.db.PutClient(t.Context(), moved))
	if got := h.authorize(request(c, "id_token_hint", tok["id_token"].(string))).query().Get("error"); got != "invalid_request" {
		t.Errorf("a hint from before the sector changed: %q", got)
	}
	wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
}

func TestAPairwiseClientSignsItsUserOut(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.SubjectType = idp.SubjectPairwise }), h.addUser()
	sess, tok := h.signIn(c, u)
	r := h.endSession("post_logout_redirect_uri", bye, "id_token_hint", tok["id_token"].(string))
	if r.Header.Get("Location") != bye || h.signedIn(sess) {
		t.Errorf("%d to %q, signed in: %v", r.StatusCode, r.Header.Get("Location"), h.signedIn(sess))
	}
}
