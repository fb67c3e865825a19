package provider

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// targeted returns a valid request for these resources.
func targeted(c idp.Client, scope string, resources ...string) url.Values {
	v := request(c, "scope", scope)
	v["resource"] = resources
	return v
}

// exchangeFor runs a request to its code and exchanges it with these resources.
func (h *house) exchangeFor(c idp.Client, u idp.User, v url.Values, resources ...string) reply {
	h.t.Helper()
	if r := h.authorize(v); !interacts(r) {
		h.t.Fatalf("%d %s %s", r.StatusCode, r.Header.Get("Location"), r.body)
	}
	done, err := h.respond(h.outcome(u))
	check(h.t, err)
	form := exchangeForm(done.query().Get("code"))
	if len(resources) > 0 {
		form["resource"] = resources
	}
	return h.post(oauth.PathToken, form, basic(c))
}

func TestATokenForAResourceIsForItAlone(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.Audience = []string{"https://general.example"} }), h.addUser()
	tok := h.exchangeFor(c, u, targeted(c, "openid email accounts payments offline_access", apiPay)).json(t)
	_, access := claims(t, tok["access_token"])
	if d := cmp.Diff([]any{apiPay, "accounts payments", "accounts payments"}, []any{access["aud"], access["scope"], tok["scope"]}); d != "" {
		t.Errorf("access token (-want +got): %s", d)
	}
	if _, id := claims(t, tok["id_token"]); id["aud"] != c.ID {
		t.Errorf("ID token: aud %v; resources never touch it", id["aud"])
	}
	wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
	own := h.refresh(c, tok["refresh_token"], "resource", h.url)
	wantError(t, own, 400, "invalid_target") // not granted
	all := h.refresh(c, tok["refresh_token"]).json(t)
	if _, access := claims(t, all["access_token"]); access["aud"] != apiPay {
		t.Errorf("refreshed: aud %v", access["aud"])
	}
}

func TestTheProviderItselfIsAResourceForUserinfo(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.exchangeFor(c, u, targeted(c, "openid email accounts offline_access", h.url, apiPay), h.url).json(t)
	if tok["scope"] != "openid email offline_access" {
		t.Errorf("scope %v", tok["scope"])
	}
	if r := h.userinfo(tok["access_token"]); r.json(t)["email"] != u.Email {
		t.Errorf("userinfo: %s", r.body)
	}
	next := h.refresh(c, tok["refresh_token"], "resource", apiPay).json(t)
	if _, access := claims(t, next["access_token"]); access["aud"] != apiPay || access["scope"] != "accounts" {
		t.Errorf("for the other: %v", access)
	}
}

func TestAResourceDecidesFormAndLifetime(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	v := targeted(c, "openid accounts offline_access", apiFiles, apiPay)
	wantError(t, h.exchangeFor(c, u, v), 400, "invalid_target") // a token cannot have both forms
	tok := h.exchangeFor(c, u, v, apiFiles).json(t)
	if strings.Contains(tok["access_token"].(string), ".") || tok["expires_in"] != 60.0 {
		t.Errorf("opaque and for a minute: %v", tok)
	}
	rs := h.addMachine(func(c *idp.Client) { c.Serves = []string{apiFiles} })
	if m := h.introspect(rs, tok["access_token"]); m["active"] != true || m["aud"] != apiFiles || m["scope"] != "accounts" {
		t.Errorf("introspection: %v", m)
	}
	next := h.refresh(c, tok["refresh_token"], "resource", apiPay).json(t)
	if _, access := claims(t, next["access_token"]); access["aud"] != apiPay || next["expires_in"] != 600.0 {
		t.Errorf("a JWT for ten minutes: %v", next)
	}
}

func TestEveryBadResourceIsRefused(t *testing.T) {
	h := open(t)
	limited := func(c *idp.Client) { c.Resources = []string{apiPay} }
	c, u := h.addClient(limited), h.addUser()
	machine := h.addMachine(limited)
	many := []string{apiPay}
	for range 8 {
		many = append(many, apiPay+idp.NewSecret().Reveal())
	}
	tok := h.exchangeFor(c, u, targeted(c, "openid accounts offline_access", apiPay)).json(t)
	for name, resources := range map[string][]string{
		"unknown":              {"https://elsewhere.example"},
		"one of two unknown":   {apiPay, "https://elsewhere.example"},
		"not for this client":  {apiFiles},
		"relative":             {"/api"},
		"no URI":               {"%zz"},
		"a fragment":           {apiPay + "#x"},
		"an empty fragment":    {apiPay + "#"},
		"another spelling":     {strings.ToUpper(apiPay)},
		"a slash more":         {apiPay + "/"},
		"too long":             {"https://" + strings.Repeat("a", 512) + ".example"},
		"a list in one":        {apiPay + " " + apiPay},
		"an array in one":      {`["` + apiPay + `"]`},
		"more than there fit":  many,
		"control characters":   {"https://pay.example/\r\nx"},
		"another's client ID":  {machine.ID},
		"the client's own URI": {"https://app.example/cb"},
	} {
		t.Run(name, func(t *testing.T) {
			v := targeted(c, "openid accounts", resources...)
			if q := h.authorize(v).query(); q.Get("error") != "invalid_target" || q.Get("state") != "st" || q.Get("iss") != h.url {
				t.Errorf("authorize: %v", q)
			}
			wantError(t, h.push(c, v), 400, "invalid_target")
			wantError(t, h.exchangeFor(c, u, targeted(c, "openid accounts", apiPay), resources...), 400, "invalid_target")
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}, "resource": resources}
			wantError(t, h.post(oauth.PathToken, form, basic(c)), 400, "invalid_target")
			form = url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "resource": resources}
			wantError(t, h.post(oauth.PathToken, form, basic(machine)), 400, "invalid_target")
		})
	}
	t.Run("what was wrong used nothing up", func(t *testing.T) {
		if r := h.refresh(c, tok["refresh_token"]); r.StatusCode != 200 {
			t.Errorf("refresh: %d %s", r.StatusCode, r.body)
		}
	})
	t.Run("empty and repeated values are as good as one", func(t *testing.T) {
		tok := h.exchangeFor(c, u, targeted(c, "openid accounts", "", apiPay, apiPay), apiPay, apiPay, "").json(t)
		if _, access := claims(t, tok["access_token"]); access["aud"] != apiPay {
			t.Errorf("aud %v", access["aud"])
		}
	})
	t.Run("what no resource takes is not asked for", func(t *testing.T) {
		if q := h.authorize(targeted(c, "unknown", apiPay)).query(); q.Get("error") != "invalid_scope" {
			t.Errorf("%v", q)
		}
		wide := h.addClient(nil)
		if q := h.authorize(targeted(wide, "payments", apiFiles)).query(); q.Get("error") != "invalid_scope" {
			t.Errorf("%v", q)
		}
		h.authorize(targeted(wide, "accounts payments", apiFiles))
		if d := cmp.Diff([]string{"accounts"}, h.last.Request.Scopes); d != "" || len(h.last.Requirement.ActionClasses) > 0 {
			t.Errorf("scopes (-want +got): %s; classes %v", d, h.last.Requirement.ActionClasses)
		}
	})
	t.Run("no other parameter may come twice", func(t *testing.T) {
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts", "accounts"}, "resource": {apiPay}}
		wantError(t, h.post(oauth.PathToken, form, basic(machine)), 400, "invalid_request")
		wantError(t, h.post(oauth.PathIntrospect, url.Values{"token": {"x"}, "resource": {"a", "b"}}, basic(machine)), 400, "invalid_request")
	})
}

func TestTheTokenEndpointNeverWidensAGrant(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.Audience = []string{apiFiles, "https://b.example"} }), h.addUser()
	wantError(t, h.exchangeFor(c, u, targeted(c, "openid accounts", apiPay), apiFiles), 400, "invalid_target")
	wantError(t, h.exchangeFor(c, u, targeted(c, "openid accounts"), apiPay), 400, "invalid_target")
	// Without resources in the authorization request, the client's own audience is what was granted, and can be narrowed.
	tok := h.exchangeFor(c, u, targeted(c, "openid accounts"), apiFiles).json(t)
	if m := h.introspect(c, tok["access_token"]); m["aud"] != apiFiles || m["scope"] != "accounts" {
		t.Errorf("narrowed: %v", m)
	}
}

func TestAResourceMayBeRiskyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		v := targeted(c, "openid accounts offline_access", apiSafe, apiPay)
		tok := h.exchangeFor(c, u, v).json(t)
		if len(h.last.Requirement.ActionClasses) != 1 || tok["expires_in"] != 300.0 {
			t.Errorf("required %v, for %v s; want payments and its window", h.last.Requirement.ActionClasses, tok["expires_in"])
		}
		alone := h.exchangeFor(c, u, targeted(c, "openid offline_access", apiSafe)).json(t)
		time.Sleep(5 * time.Minute)
		if m := h.introspect(c, tok["access_token"]); m["active"] != false {
			t.Errorf("after the window: %v", m)
		}
		next := h.refresh(c, tok["refresh_token"]).json(t)
		if _, access := claims(t, next["access_token"]); access["aud"] != apiPay || access["scope"] != "accounts" {
			t.Errorf("after the window the rest: %v", access)
		}
		wantError(t, h.refresh(c, alone["refresh_token"]), 400, "invalid_scope")
		machine := h.addMachine(nil)
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "resource": {apiSafe}}
		wantError(t, h.post(oauth.PathToken, form, basic(machine)), 400, "invalid_target")
		// A client whose own audience is risky gets no token without the class either.
		other := h.addClient(func(c *idp.Client) { c.Audience = []string{apiSafe} })
		h.authorize(request(other))
		if len(h.last.Requirement.ActionClasses) != 1 {
			t.Error("the client's own audience names no class")
		}
	})
}

func TestMachinesNameResources(t *testing.T) {
	h := open(t)
	machine := h.addMachine(nil)
	post := func(resources ...string) reply {
		return h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}, "resource": resources}, basic(machine))
	}
	if _, access := claims(t, post(apiPay).json(t)["access_token"]); access["aud"] != apiPay || access["scope"] != "accounts" {
		t.Errorf("%v", access)
	}
	wantError(t, post(apiFiles), 400, "invalid_target") // opaque: it would be stored nowhere
}

func TestAResourceServerSeesWhatConcernsIt(t *testing.T) {
	h := open(t)
	u := h.addUser()
	c := h.addClient(func(c *idp.Client) { c.AccessFormat = idp.FormatOpaque; c.DetailTypes = []string{"account"} })
	details := `[{"type":"account","account":"1"},{"type":"account","account":"2","locations":["` + apiFiles + `"]}]`
	v := targeted(c, "openid accounts payments", apiPay, apiFiles)
	v.Set("authorization_details", details)
	tok := h.exchangeFor(c, u, v).json(t)
	rs := func(serves ...string) idp.Client {
		return h.addMachine(func(c *idp.Client) { c.Serves = serves })
	}
	for _, row := range []struct {
		who     string
		client  idp.Client
		scope   any
		details int
	}{
		{"its client", c, "accounts payments", 2},
		{"one of the two", rs(apiPay), "accounts payments", 1},
		{"the other", rs(apiFiles), "accounts", 2},
		{"somebody else", rs(apiSafe), nil, 0},
		{"nobody", rs(), nil, 0},
	} {
		m := h.introspect(row.client, tok["access_token"])
		list, _ := m["authorization_details"].([]any)
		if m["active"] != (row.scope != nil) || m["scope"] != row.scope || len(list) != row.details {
			t.Errorf("%s: %v", row.who, m)
		}
	}
}

func TestAllPushedResourcesCount(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	reference := h.push(c, targeted(c, "openid accounts", apiFiles, apiPay)).json(t)["request_uri"].(string)
	h.begun(c, reference)
	if d := cmp.Diff([]string{apiFiles, apiPay}, h.last.Request.Resources); d != "" {
		t.Errorf("(-want +got): %s", d)
	}
}
