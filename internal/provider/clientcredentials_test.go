package provider

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
)

// addMachine stores a client with only the client_credentials grant.
func (h *house) addMachine(f func(*idp.Client)) idp.Client {
	h.t.Helper()
	return h.addClient(func(c *idp.Client) {
		c.RedirectURIs, c.GrantTypes, c.ResourceServer = nil, []string{idp.GrantClientCredentials}, true
		if f != nil {
			f(c)
		}
	})
}

func (h *house) machineToken(c idp.Client, scope string, edit ...func(*http.Request)) reply {
	h.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	if len(edit) == 0 {
		edit = append(edit, basic(c))
	}
	return h.post(oauth.PathToken, form, edit...)
}

func TestAClientGetsATokenInItsOwnName(t *testing.T) {
	h := open(t)
	c := h.addMachine(func(c *idp.Client) { c.Audience = []string{"https://api.example"} })
	for _, scope := range []string{"", "accounts"} {
		r := h.machineToken(c, scope)
		if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		m := r.json(t)
		token := m["access_token"]
		delete(m, "access_token")
		if d := cmp.Diff(map[string]any{"token_type": "Bearer", "expires_in": 600.0, "scope": "accounts"}, m); d != "" {
			t.Errorf("answer (-want +got):\n%s", d) // no refresh_token (RFC 6749 §4.4.3), no id_token
		}
		header, access := claims(t, token)
		if header["typ"] != "at+jwt" {
			t.Errorf("header %v", header)
		}
		for _, name := range []string{"exp", "iat", "jti"} {
			if access[name] == nil {
				t.Errorf("no %s", name)
			}
			delete(access, name)
		}
		if d := cmp.Diff(map[string]any{"iss": h.url, "sub": c.ID, "client_id": c.ID, "aud": "https://api.example", "scope": "accounts"}, access); d != "" {
			t.Errorf("claims (-want +got):\n%s", d) // no acr, amr, auth_time, sid
		}
	}
}

func TestAKeyAuthenticatesAMachineToo(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(func(c *idp.Client) { c.GrantTypes = []string{idp.GrantClientCredentials} }, keys.ES256)
	form := withAssertion(url.Values{"grant_type": {"client_credentials"}}, h.goodAssertion(c).text(t))
	if r := h.post(oauth.PathToken, form); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	wantError(t, h.post(oauth.PathToken, form), 401, "invalid_client")
}

func TestAMachineTokenIsNeverAUserToken(t *testing.T) {
	h := open(t)
	c := h.addMachine(nil)
	for _, scope := range []string{"openid", "profile", "email", "address", "phone", "offline_access", "payments", "accounts openid", "accounts payments", "unheard-of"} {
		wantError(t, h.machineToken(c, scope), 400, "invalid_scope")
	}
	narrow := h.addClient(func(c *idp.Client) {
		c.GrantTypes, c.Scopes = []string{idp.GrantClientCredentials}, []string{"openid", "payments"}
	})
	wantError(t, h.machineToken(narrow, ""), 400, "invalid_scope")
	wantError(t, h.machineToken(narrow, "accounts"), 400, "invalid_scope")

	wantError(t, h.machineToken(h.addClient(nil), "accounts"), 400, "unauthorized_client")
	public := h.addMachine(func(c *idp.Client) { c.AuthMethod, c.ResourceServer = idp.AuthMethodNone, false })
	r := h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}, "client_id": {public.ID}})
	wantError(t, r, 401, "invalid_client")
	wantError(t, h.machineToken(c, "accounts", func(r *http.Request) { r.SetBasicAuth(c.ID, "wrong") }), 401, "invalid_client")

	token := h.machineToken(c, "").json(t)["access_token"]
	wantError(t, h.userinfo(token), 403, "insufficient_scope")
	wantError(t, h.refresh(c, token), 400, "unauthorized_client")
	if q := h.authorize(request(c)).query(); q.Get("code") != "" {
		t.Errorf("authorize: %v", q)
	}
}

func TestIntrospectionOfAMachineToken(t *testing.T) {
	h := open(t)
	api := h.addClient(func(c *idp.Client) { c.ResourceServer = true })
	c := h.addMachine(func(c *idp.Client) { c.Audience = []string{api.ID} })
	raw := h.machineToken(c, "").json(t)["access_token"]
	m := h.introspect(api, raw)
	_, want := claims(t, raw)
	want["active"], want["token_type"] = true, "Bearer"
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if m := h.introspect(h.addClient(nil), raw); len(m) != 1 {
		t.Errorf("a stranger learns %v", m)
	}

	s, err := h.keys.Signer(t.Context(), keys.ES256)
	check(t, err)
	r, err := h.keys.Current(t.Context())
	check(t, err)
	var good token.AccessClaims
	check(t, r.Open(keys.TypeAccessToken, raw.(string), &good))
	for name, bend := range map[string]func(*token.AccessClaims){
		"another subject":         func(c *token.AccessClaims) { c.Subject = h.addUser().ID },
		"another client":          func(c *token.AccessClaims) { c.ClientID = api.ID },
		"another client, subject": func(c *token.AccessClaims) { c.ClientID, c.Subject = api.ID, api.ID }, // not registered for the grant
		"nobody":                  func(c *token.AccessClaims) { c.ClientID, c.Subject = "nobody", "nobody" },
		"another issuer":          func(c *token.AccessClaims) { c.Issuer = "https://other.example" },
		"expired":                 func(c *token.AccessClaims) { c.Expires = time.Now().Unix() },
		"of a family":             func(c *token.AccessClaims) { c.ID = "x." + c.ID },
	} {
		bent := good
		bend(&bent)
		token, err := s.Sign(keys.TypeAccessToken, bent)
		check(t, err)
		if m := h.introspect(api, token); m["active"] != false {
			t.Errorf("%s: %v", name, m)
		}
	}
	check(t, h.db.RemoveClient(t.Context(), c.ID))
	if m := h.introspect(api, raw); m["active"] != false {
		t.Errorf("the client is gone: %v", m)
	}
}

func TestAMachineTokenCanBeRevokedByItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, other := h.addMachine(nil), h.addMachine(nil)
		one, two := h.machineToken(c, "").json(t)["access_token"].(string), h.machineToken(c, "").json(t)["access_token"]
		revoke := func(who idp.Client) {
			t.Helper()
			if r := h.post(oauth.PathRevoke, url.Values{"token": {one}}, basic(who)); r.StatusCode != 200 {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		}
		revoke(other)
		if m := h.introspect(c, one); m["active"] != true {
			t.Errorf("another client revoked it: %v", m)
		}
		revoke(c)
		revoke(c)
		if m := h.introspect(c, two); m["active"] != true {
			t.Errorf("the other token went too: %v", m)
		}
		for range 11 {
			if m := h.introspect(c, one); m["active"] != false {
				t.Errorf("revoked, and %v", m)
			}
			time.Sleep(time.Minute - time.Second)
		}
		if m := h.introspect(c, two); m["active"] != false {
			t.Errorf("expired, and %v", m)
		}
		events, err := h.db.Events(t.Context(), "", 100)
		check(t, err)
		revoked := 0
		for _, e := range events {
			if e.Kind == idp.EventTokensRevoked && e.ClientID == c.ID {
				revoked++
			}
		}
		if revoked != 1 {
			t.Errorf("%d events of one revocation", revoked)
		}
	})
}
