package provider

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// wantsSigned requests a signed introspection response. do sets the Accept header of a browser.
func wantsSigned(r *http.Request) { r.Header.Set("Accept", "application/token-introspection+jwt") }

func TestUserinfoIsSignedForClientsRegisteredForIt(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, alg := range keys.Algorithms {
		c := h.addClient(func(c *idp.Client) { c.UserInfoAlg = alg })
		tok := h.tokens(c, u, "scope", "openid email")
		r := h.userinfo(tok["access_token"])
		header, payload := claims(t, r.body)
		if r.Header.Get("Content-Type") != "application/jwt" || header["alg"] != alg || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", alg, r.Header, header)
		}
		want := map[string]any{"iss": h.url, "aud": c.ID, "sub": u.ID, "email": u.Email, "email_verified": u.EmailVerified}
		if d := cmp.Diff(want, payload); d != "" {
			t.Errorf("%s (-want +got):\n%s", alg, d)
		}
		ring, err := h.keys.Current(t.Context())
		check(t, err)
		var opened struct {
			Subject string `json:"sub"`
		}
		if err := ring.Open(keys.TypeIDToken, r.body, &opened); err != nil || opened.Subject != u.ID {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := h.provider.tokens.VerifyHint(t.Context(), r.body); err == nil {
			t.Errorf("%s: what userinfo says passes for an ID token", alg)
		}
		if r := h.userinfo(r.body); r.StatusCode != 401 {
			t.Errorf("%s: or for an access token: %d", alg, r.StatusCode)
		}
		wantError(t, h.userinfo("nothing"), 401, "invalid_token") // errors stay JSON
	}
}

func TestIntrospectionIsSignedIfTheClientAcceptsIt(t *testing.T) {
	h := open(t)
	u := h.addUser()
	c := h.addClient(nil)
	rs := h.addMachine(func(c *idp.Client) { c.Serves = []string{apiPay}; c.IntrospectionAlg = keys.ES256 })
	tok := h.exchangeFor(c, u, targeted(c, "openid accounts", apiPay)).json(t)
	form := url.Values{"token": {tok["access_token"].(string)}}
	r := h.post(oauth.PathIntrospect, form, basic(rs), wantsSigned)
	header, payload := claims(t, r.body)
	if d := cmp.Diff([]any{keys.TypeIntrospection, keys.ES256, rs.ID, h.url}, []any{header["typ"], header["alg"], payload["aud"], payload["iss"]}); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r.Header.Get("Content-Type") != "application/token-introspection+jwt" || r.Header.Get("Cache-Control") != "no-store" || payload["iat"] == nil {
		t.Errorf("%v %v", r.Header, payload)
	}
	for _, name := range []string{"sub", "exp", "active", "scope"} { // RFC 9701 §5: nothing that would make it a token
		if payload[name] != nil {
			t.Errorf("%s stands outside", name)
		}
	}
	if d := cmp.Diff(h.introspect(rs, tok["access_token"]), payload["token_introspection"]); d != "" {
		t.Errorf("JSON and JWT differ (-JSON +JWT):\n%s", d)
	}
	if h.introspect(rs, r.body)["active"] != false {
		t.Error("the answer passes for a token")
	}
	none := h.post(oauth.PathIntrospect, url.Values{"token": {"nothing"}}, basic(rs), wantsSigned)
	_, payload = claims(t, none.body)
	if d := cmp.Diff(map[string]any{"active": false}, payload["token_introspection"]); d != "" {
		t.Errorf("inactive (-want +got):\n%s", d)
	}
	if header, _ := claims(t, h.post(oauth.PathIntrospect, form, basic(c), wantsSigned).body); header["alg"] != keys.RS256 {
		t.Errorf("unregistered: %v, want the default of RFC 9701 §6", header["alg"])
	}
	wantError(t, h.post(oauth.PathIntrospect, form, wantsSigned), 401, "invalid_client") // errors stay JSON
	for accept, signed := range map[string]bool{
		"application/token-introspection+jwt": true, "application/json, " + "application/token-introspection+jwt" + ";q=0.5": true, "APPLICATION/Token-Introspection+JWT": true,
		"": false, "*/*": false, "application/*": false, "application/json": false, "application/token-introspection+jwt" + ";q=0": false, "application/token-introspection+jwt" + ";q=x": false, ";;": false,
	} {
		r := h.post(oauth.PathIntrospect, form, basic(rs), func(r *http.Request) { r.Header["Accept"] = []string{"text/html", accept} })
		if (r.Header.Get("Content-Type") == "application/token-introspection+jwt") != signed {
			t.Errorf("Accept %q", accept)
		}
	}
}
