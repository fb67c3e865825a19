package provider

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// addPasser stores an API that calls another one for the user whose token it got.
func (h *house) addPasser(f func(*idp.Client)) idp.Client {
	h.t.Helper()
	return h.addClient(func(c *idp.Client) {
		c.RedirectURIs, c.GrantTypes, c.ResourceServer = nil, []string{idp.GrantTokenExchange}, true
		c.Scopes, c.Audience = []string{"accounts", "payments"}, []string{"https://next.example"}
		if f != nil {
			f(c)
		}
	})
}

// passed exchanges a token; params are name, value, name, value.
func (h *house) passed(c idp.Client, token any, params ...string) reply {
	h.t.Helper()
	form := url.Values{"grant_type": {idp.GrantTokenExchange}, "subject_token": {token.(string)}, "subject_token_type": {typeAccessToken}}
	for i := 0; i < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	return h.post(oauth.PathToken, form, basic(c))
}

// tokenFor returns an access token of the user that is meant for the API.
func (h *house) tokenFor(api idp.Client, u idp.User, params ...string) any {
	h.t.Helper()
	app := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID, "https://app.example/api"} })
	if len(params) == 0 {
		params = []string{"scope", "openid email offline_access accounts payments"}
	}
	return h.tokens(app, u, params...)["access_token"]
}

func TestAnAPIActsForTheUserWhoseTokenItGot(t *testing.T) {
	h := open(t)
	u, api := h.addUser(), h.addPasser(nil)
	for name, format := range map[string]idp.TokenFormat{"jwt": idp.FormatJWT, "opaque": idp.FormatOpaque} {
		app := h.addClient(func(c *idp.Client) { c.Audience, c.AccessFormat = []string{api.ID}, format })
		tok := h.tokens(app, u, "scope", "openid email offline_access accounts payments")
		r := h.passed(api, tok["access_token"], "scope", "accounts")
		if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %s", name, r.StatusCode, r.body)
		}
		m := r.json(t)
		header, got := claims(t, m["access_token"])
		_, id := claims(t, tok["id_token"])
		if header["typ"] != "at+jwt" {
			t.Errorf("%s: header %v", name, header)
		}
		if m["expires_in"].(float64) > 300 || got["exp"].(float64) > id["iat"].(float64)+300 {
			t.Errorf("%s: the token of a window of 5 minutes became one of %v seconds", name, m["expires_in"])
		}
		delete(m, "access_token")
		delete(m, "expires_in")
		// No refresh_token, no id_token.
		if d := cmp.Diff(map[string]any{"token_type": "Bearer", "scope": "accounts", "issued_token_type": typeAccessToken}, m); d != "" {
			t.Errorf("%s: answer (-want +got):\n%s", name, d)
		}
		for _, moment := range []string{"exp", "iat", "jti"} {
			delete(got, moment)
		}
		if d := cmp.Diff(map[string]any{
			"iss": h.url, "sub": u.ID, "aud": "https://next.example", "client_id": api.ID, "scope": "accounts", "sid": "sid-1",
			"acr": id["acr"], "amr": id["amr"], "auth_time": id["auth_time"], "act": map[string]any{"sub": api.ID},
		}, got); d != "" {
			t.Errorf("%s: claims (-want +got):\n%s", name, d)
		}
	}
}

func TestInvalidExchangesAreRejected(t *testing.T) {
	h := open(t)
	u, api := h.addUser(), h.addPasser(nil)
	token := h.tokenFor(api, u).(string)
	app := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID} })
	tok := h.tokens(app, u, "scope", "openid offline_access accounts")
	machine := h.addMachine(func(c *idp.Client) { c.Audience = []string{api.ID} })
	own := h.machineToken(machine, "").json(t)["access_token"].(string)
	elsewhere := h.tokens(h.addClient(nil), u, "scope", "openid accounts")["access_token"].(string)
	stranger := h.addPasser(nil)
	good := func(edit ...string) url.Values {
		v := url.Values{"grant_type": {idp.GrantTokenExchange}, "subject_token": {token}, "subject_token_type": {typeAccessToken}}
		for i := 0; i < len(edit); i += 2 {
			v.Set(edit[i], edit[i+1])
			if edit[i+1] == "" {
				v.Del(edit[i])
			}
		}
		return v
	}
	twice := good()
	twice.Add("subject_token", token)
	for _, row := range []struct {
		name   string
		form   url.Values
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"nothing is wrong", good(), basic(api), 200, ""},
		{"no subject token", good("subject_token", ""), basic(api), 400, "invalid_request"},
		{"two subject tokens", twice, basic(api), 400, "invalid_request"},
		{"no type", good("subject_token_type", ""), basic(api), 400, "invalid_request"},
		{"the type of an ID token", good("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), basic(api), 400, "invalid_request"},
		{"the type of a refresh token", good("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), basic(api), 400, "invalid_request"},
		{"an unknown type", good("subject_token_type", "x"), basic(api), 400, "invalid_request"},
		{"an ID token", good("subject_token", tok["id_token"].(string)), basic(api), 400, "invalid_request"},
		{"a refresh token", good("subject_token", tok["refresh_token"].(string)), basic(api), 400, "invalid_request"},
		{"a machine's token", good("subject_token", own), basic(api), 400, "invalid_request"},
		{"a token that is not meant for it", good("subject_token", elsewhere), basic(api), 400, "invalid_request"},
		{"a token that is meant for another", good(), basic(stranger), 400, "invalid_request"},
		{"a token with a bit turned", good("subject_token", token[:len(token)-2]+"AA"), basic(api), 400, "invalid_request"},
		{"something endless", good("subject_token", strings.Repeat("x", 60000)), basic(api), 400, "invalid_request"},
		{"an ID token is wanted", good("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"), basic(api), 400, "invalid_request"},
		{"a refresh token is wanted", good("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), basic(api), 400, "invalid_request"},
		{"an access token is wanted", good("requested_token_type", typeAccessToken), basic(api), 200, ""},
		{"an actor without a type", good("actor_token", own), basic(api), 400, "invalid_request"},
		{"a type without an actor", good("actor_token_type", typeAccessToken), basic(api), 400, "invalid_request"},
		{"another machine as actor", good("actor_token", own, "actor_token_type", typeAccessToken), basic(api), 400, "invalid_request"},
		{"a person as actor", good("actor_token", token, "actor_token_type", typeAccessToken), basic(api), 400, "invalid_request"},
		{"a scope the token has not", good("scope", "accounts profile"), basic(api), 400, "invalid_scope"},
		{"a scope of the person's sign-in", good("scope", "openid"), basic(api), 400, "invalid_scope"},
		{"offline access", good("scope", "offline_access"), basic(api), 400, "invalid_scope"},
		{"an unknown scope", good("scope", "x"), basic(api), 400, "invalid_scope"},
		{"an unknown target", good("audience", "https://unheard.example"), basic(api), 400, "invalid_target"},
		{"an unknown resource", good("resource", "https://unheard.example"), basic(api), 400, "invalid_target"},
		{"a resource that is no URI", good("resource", "next"), basic(api), 400, "invalid_target"},
		{"the app's own API is in the audience", good("audience", "https://app.example/api"), basic(api), 200, ""},
		{"another client as target", good("audience", app.ID), basic(api), 400, "invalid_target"},
		{"an endless target", good("audience", strings.Repeat("x", 600)), basic(api), 400, "invalid_target"},
		{"a resource of opaque tokens", good("resource", apiFiles), basic(api), 400, "invalid_target"},
		{"a resource beside an audience", good("resource", apiPay, "audience", "https://next.example"), basic(api), 400, "invalid_target"},
		{"a resource that takes none of its scopes", good("resource", apiSafe), basic(api), 400, "invalid_scope"},
		{"details the token has not", good("authorization_details", `[{"type":"payment","amount":1}]`), basic(api), 400, "invalid_authorization_details"},
		{"a client without the grant", good(), basic(app), 400, "unauthorized_client"},
		{"a wrong secret", good(), func(r *http.Request) { r.SetBasicAuth(api.ID, "wrong") }, 401, "invalid_client"},
		{"nobody", good(), func(*http.Request) {}, 401, "invalid_client"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := h.post(oauth.PathToken, row.form, row.edit)
			if row.status == 200 {
				if r.StatusCode != 200 {
					t.Errorf("%d %s", r.StatusCode, r.body)
				}
				return
			}
			wantError(t, r, row.status, row.code)
		})
	}
}

func TestAPublicClientExchangesNothing(t *testing.T) { // RFC 8693 §5; the library served it
	h := open(t)
	public := h.addPasser(func(c *idp.Client) { c.AuthMethod, c.ResourceServer = idp.AuthMethodNone, false })
	token := h.tokenFor(public, h.addUser()).(string)
	wantError(t, h.post(oauth.PathToken, url.Values{
		"grant_type": {idp.GrantTokenExchange}, "client_id": {public.ID}, "subject_token": {token}, "subject_token_type": {typeAccessToken},
	}), 401, "invalid_client")
}

func TestAnExchangeOnlyNarrows(t *testing.T) {
	h := open(t)
	u := h.addUser()
	api := h.addPasser(func(c *idp.Client) { c.Scopes = []string{"accounts", "email", "openid"} })
	// payments: the client may not have it. openid, email, offline_access: they stay where the person signed in.
	if m := h.passed(api, h.tokenFor(api, u)).json(t); m["scope"] != "accounts" {
		t.Errorf("scope %v", m["scope"])
	}
	wantError(t, h.passed(api, h.tokenFor(api, u), "scope", "payments"), 400, "invalid_scope")
	wantError(t, h.passed(api, h.tokenFor(api, u), "scope", "accounts payments"), 400, "invalid_scope") // all of it or nothing
	wantError(t, h.passed(api, h.tokenFor(api, u, "scope", "openid email")), 400, "invalid_scope")      // nothing is left
	exchanged := h.passed(api, h.tokenFor(api, u)).json(t)["access_token"]
	wantError(t, h.userinfo(exchanged), 401, "invalid_token")
	wantError(t, h.refresh(h.addClient(nil), exchanged), 400, "invalid_grant")

	// Without an audience of its own, the client gets that of the token; a registered resource settles scopes.
	plain := h.addPasser(func(c *idp.Client) { c.Audience = nil })
	_, got := claims(t, h.passed(plain, h.tokenFor(plain, u)).json(t)["access_token"])
	if d := cmp.Diff([]any{plain.ID, "https://app.example/api", h.url}, got["aud"]); d != "" {
		t.Errorf("audience (-want +got):\n%s", d)
	}
	_, got = claims(t, h.passed(plain, h.tokenFor(plain, u), "audience", plain.ID).json(t)["access_token"])
	if got["aud"] != plain.ID {
		t.Errorf("audience %v", got["aud"])
	}
	_, got = claims(t, h.passed(plain, h.tokenFor(plain, u), "resource", apiPay).json(t)["access_token"])
	if got["aud"] != apiPay || got["scope"] != "accounts payments" {
		t.Errorf("for a resource: %v %v", got["aud"], got["scope"])
	}
	bounded := h.addPasser(func(c *idp.Client) { c.Resources = []string{apiSafe} })
	wantError(t, h.passed(bounded, h.tokenFor(bounded, u), "resource", apiPay), 400, "invalid_target")
	// The provider is no target unless the token was for it.
	app := h.addClient(func(c *idp.Client) { c.Audience = []string{plain.ID} })
	wantError(t, h.passed(plain, h.tokens(app, u, "scope", "accounts")["access_token"], "resource", h.url), 400, "invalid_target")
}

func TestAnExchangedTokenEndsWithItsSubjectToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u, api := h.addUser(), h.addPasser(func(c *idp.Client) { c.AccessTTL = time.Hour })
		app := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID} })
		active := func(c idp.Client, token any) bool { t.Helper(); return h.introspect(c, token)["active"].(bool) }
		fresh := func() (subject map[string]any, exchanged any) {
			t.Helper()
			subject = h.tokens(app, u, "scope", "openid offline_access accounts payments")
			exchanged = h.passed(api, subject["access_token"]).json(t)["access_token"]
			if !active(api, exchanged) {
				t.Fatal("not active")
			}
			return subject, exchanged
		}
		for _, row := range []struct {
			name string
			end  func(subject map[string]any)
		}{
			{"the client revokes its token", func(subject map[string]any) {
				h.post(oauth.PathRevoke, url.Values{"token": {subject["refresh_token"].(string)}}, basic(app))
			}},
			{"the user takes back the grant", func(map[string]any) {
				check(t, h.db.PutGrant(t.Context(), idp.Grant{UserID: u.ID, ClientID: app.ID, Scopes: []string{"accounts"}}))
				check(t, h.db.RemoveGrant(t.Context(), u.ID, app.ID))
			}},
			{"the window is closed", func(map[string]any) { check(t, h.db.CloseWindow(t.Context(), u.ID, "auth-1", "payments", time.Now())) }}, // last: it stays closed
		} {
			subject, exchanged := fresh()
			row.end(subject)
			if active(api, exchanged) {
				t.Errorf("%s, and the exchanged token works on", row.name)
			}
			wantError(t, h.passed(api, subject["access_token"]), 400, "invalid_request")
		}
		next := h.addPasser(nil)
		here := h.tokenFor(next, u, "scope", "accounts")
		exchanged := h.passed(next, here).json(t)["access_token"]
		_, err := h.db.EndSession(t.Context(), u.ID, "sid-1", time.Now())
		check(t, err)
		if active(next, exchanged) {
			t.Error("it outlives the session")
		}
	})
}

func TestAnExchangedTokenExpiresWithItsSubjectToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u, api := h.addUser(), h.addPasser(func(c *idp.Client) { c.AccessTTL = time.Hour })
		token := h.tokenFor(api, u, "scope", "accounts")
		time.Sleep(9 * time.Minute)
		m := h.passed(api, token).json(t)
		if m["expires_in"] != 60.0 {
			t.Errorf("a minute was left, and it is %v seconds", m["expires_in"])
		}
		again := h.passed(api, m["access_token"], "audience", "https://next.example")
		if again.StatusCode == 200 {
			t.Error("a token for the next API was exchanged by the one before")
		}
		time.Sleep(time.Minute)
		if h.introspect(api, m["access_token"])["active"] != false {
			t.Error("it outlives the subject token")
		}
		wantError(t, h.passed(api, token), 400, "invalid_request")
	})
}

func TestAClientRevokesWhatItExchangedAndNothingElse(t *testing.T) {
	h := open(t)
	u, api := h.addUser(), h.addPasser(nil)
	app := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID} })
	subject := h.tokens(app, u, "scope", "accounts")["access_token"]
	first, second := h.passed(api, subject).json(t)["access_token"], h.passed(api, subject).json(t)["access_token"]
	revoke := func(c idp.Client, token any) {
		t.Helper()
		if r := h.post(oauth.PathRevoke, url.Values{"token": {token.(string)}}, basic(c)); r.StatusCode != 200 {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	}
	revoke(app, first) // not the app's
	revoke(h.addPasser(nil), first)
	if h.introspect(api, first)["active"] != true {
		t.Error("another client revoked it")
	}
	revoke(api, first)
	for token, want := range map[any]bool{first: false, second: true} {
		if got := h.introspect(api, token)["active"]; got != want {
			t.Errorf("active %v, want %v", got, want)
		}
	}
	if h.introspect(app, subject)["active"] != true {
		t.Error("the family of the person's own client ended")
	}
	api.GrantTypes = nil
	check(t, h.db.PutClient(t.Context(), api))
	if h.introspect(api, second)["active"] != false {
		t.Error("it outlives the client's grant type")
	}
}

func TestATokenIsExchangedAlongAChain(t *testing.T) {
	h := open(t)
	u := h.addUser()
	hands := make([]idp.Client, 4+1)
	for i := range slices.Backward(hands) {
		hands[i] = h.addPasser(func(c *idp.Client) {
			if c.Audience = nil; i+1 < len(hands) {
				c.Audience = []string{hands[i+1].ID}
			}
		})
	}
	token, want := h.tokenFor(hands[0], u), any(nil)
	for i, hand := range hands[:4] {
		r := h.passed(hand, token, "scope", "accounts")
		if r.StatusCode != 200 {
			t.Fatalf("hand %d: %d %s", i, r.StatusCode, r.body)
		}
		act := map[string]any{"sub": hand.ID}
		if want != nil {
			act["act"] = want
		}
		token, want = r.json(t)["access_token"], act
		if _, got := claims(t, token); cmp.Diff(want, got["act"]) != "" || got["sub"] != u.ID || got["client_id"] != hand.ID {
			t.Errorf("hand %d: %v", i, got)
		}
		m := h.introspect(hands[i+1], token) // whom it is for learns who acts
		if cmp.Diff(want, m["act"]) != "" || m["client_id"] != hand.ID || m["sub"] != u.ID || m["acr"] != "phr" {
			t.Errorf("hand %d: introspection %v", i, m)
		}
	}
	wantError(t, h.passed(hands[4], token, "audience", hands[4].ID), 400, "invalid_request")
}

func TestAnExchangeKeepsThePairwiseName(t *testing.T) {
	h := open(t)
	u, api := h.addUser(), h.addPasser(nil)
	app := h.addClient(func(c *idp.Client) { c.Audience, c.SubjectType = []string{api.ID}, idp.SubjectPairwise })
	subject := h.tokens(app, u, "scope", "accounts")["access_token"]
	_, before := claims(t, subject)
	exchanged := h.passed(api, subject).json(t)["access_token"]
	_, after := claims(t, exchanged)
	if before["sub"] == u.ID || after["sub"] != before["sub"] || after["sid"] != before["sid"] {
		t.Errorf("sub %v became %v, sid %v became %v", before["sub"], after["sub"], before["sid"], after["sid"])
	}
	if m := h.introspect(api, exchanged); m["active"] != true || m["sub"] != before["sub"] {
		t.Errorf("%v", m)
	}
}

func TestAnActorTokenIsTheClientsOwn(t *testing.T) {
	h := open(t)
	u := h.addUser()
	api := h.addPasser(func(c *idp.Client) { c.GrantTypes = append(c.GrantTypes, idp.GrantClientCredentials) })
	own := h.machineToken(api, "accounts").json(t)["access_token"].(string)
	r := h.passed(api, h.tokenFor(api, u), "actor_token", own, "actor_token_type", typeAccessToken)
	if _, got := claims(t, r.json(t)["access_token"]); fmt.Sprint(got["act"]) != fmt.Sprint(map[string]any{"sub": api.ID}) {
		t.Errorf("%v", got)
	}
}

func TestAnExchangeIsRecordedOnceAnHourForEachClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u, api := h.addUser(), h.addPasser(nil)
		app := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID} })
		tok := h.tokens(app, u, "scope", "offline_access accounts")
		recorded := func() (n int) {
			events, err := h.db.EventsOf(t.Context(), u.ID, 100)
			check(t, err)
			for _, e := range events {
				if e.Kind == idp.EventTokensExchanged {
					n++
					if e.ClientID != api.ID || e.Detail["from"] != app.ID || e.Detail["aud"] != "https://next.example" {
						t.Errorf("%+v", e)
					}
				}
			}
			return n
		}
		for range 3 {
			h.passed(api, tok["access_token"])
		}
		if n := recorded(); n != 1 {
			t.Errorf("%d events", n)
		}
		time.Sleep(time.Hour)
		h.passed(api, h.refresh(app, tok["refresh_token"]).json(t)["access_token"])
		if n := recorded(); n != 2 {
			t.Errorf("%d events after an hour", n)
		}
	})
}

func TestABoundTokenIsNeverExchangedForABearerToken(t *testing.T) {
	h, ca := openMTLS(t)
	u, theirs, ours := h.addUser(), ca.issue(nil), ca.issue(nil)
	bearer, bound := h.addPasser(nil), h.addPasser(func(c *idp.Client) { c.CertificateBound = true })
	app := h.addClient(func(c *idp.Client) { c.CertificateBound, c.Audience = true, []string{bearer.ID, bound.ID} })
	r := h.post(oauth.PathToken, exchangeForm(h.code(app, u, "scope", "accounts")), basic(app), with(theirs))
	token := r.json(t)["access_token"].(string)
	form := url.Values{"grant_type": {idp.GrantTokenExchange}, "subject_token": {token}, "subject_token_type": {typeAccessToken}}
	wantError(t, h.post(oauth.PathToken, form, basic(bearer)), 400, "invalid_request")
	wantError(t, h.post(oauth.PathToken, form, basic(bearer), with(theirs)), 400, "invalid_request")
	wantError(t, h.post(oauth.PathToken, form, basic(bound)), 400, "invalid_request")
	r = h.post(oauth.PathToken, form, basic(bound), with(ours))
	if r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if _, got := claims(t, r.json(t)["access_token"]); got["cnf"].(map[string]any)["x5t#S256"] != idp.CertificateThumbprint(ours) {
		t.Errorf("bound to %v", got["cnf"])
	}
}

func TestAnExchangedTokenIsBoundToTheExchangersKey(t *testing.T) {
	h := open(t)
	u, theirs, ours := h.addUser(), dpoptest.New("ES256"), dpoptest.New("ES256")
	api := h.addPasser(func(c *idp.Client) { c.GrantTypes = append(c.GrantTypes, idp.GrantClientCredentials) })
	app := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID} })
	token := h.boundTokens(app, u, theirs, "scope", "accounts")["access_token"].(string)
	form := func(more ...string) url.Values {
		v := url.Values{"grant_type": {idp.GrantTokenExchange}, "subject_token": {token}, "subject_token_type": {typeAccessToken}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	wantError(t, h.asClient(api, form()), 400, "invalid_request")
	m := h.asClient(api, form(), proof(h, ours, "POST", oauth.PathToken)).json(t)
	if _, got := claims(t, m["access_token"]); m["token_type"] != "DPoP" || got["cnf"].(map[string]any)["jkt"] != ours.Thumbprint() {
		t.Errorf("%v %v", m, got)
	}
	// An actor token that is bound takes a proof of its key, which is then the new token's.
	own := h.asClient(api, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}, proof(h, ours, "POST", oauth.PathToken)).json(t)["access_token"].(string)
	with := form("actor_token", own, "actor_token_type", typeAccessToken)
	wantError(t, h.asClient(api, with, proof(h, dpoptest.New("ES256"), "POST", oauth.PathToken)), 400, "invalid_request")
	if r := h.asClient(api, with, proof(h, ours, "POST", oauth.PathToken)); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}
