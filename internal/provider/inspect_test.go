package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
)

func TestUserInfoHasTheClaimsOfTheScopes(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	for scope, want := range map[string][]string{
		"openid": {"sub"},
		"openid profile": {
			"sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
			"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
		},
		"openid email":   {"sub", "email", "email_verified"},
		"openid address": {"sub", "address"},
		"openid phone":   {"sub", "phone_number", "phone_number_verified"},
	} {
		m := h.userinfo(h.tokens(c, u, "scope", scope)["access_token"]).json(t)
		var got []string
		for name := range m {
			got = append(got, name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", scope, d)
		}
		if m["sub"] != u.ID {
			t.Errorf("sub %v", m["sub"])
		}
		if scope == "openid address" {
			if a, ok := m["address"].(map[string]any); !ok || a["country"] != "UK" {
				t.Errorf("address %v", m["address"])
			}
		}
		if scope == "openid profile" {
			if _, ok := m["updated_at"].(float64); !ok {
				t.Errorf("updated_at %v", m["updated_at"])
			}
		}
	}
}

func TestUserInfoAcceptsATokenInThreeWays(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	token := h.tokens(c, u)["access_token"].(string)
	header := func(scheme string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", scheme+" "+token) }
	}
	empty := func(r *http.Request) { r.Header.Del("Content-Type"); header("bearer")(r) }
	for name, r := range map[string]reply{
		"GET":                    h.userinfo(token),
		"POST, header":           h.post(oauth.PathUserInfo, nil, header("Bearer")),
		"POST, no body, no type": h.post(oauth.PathUserInfo, nil, empty),
		"POST, body":             h.post(oauth.PathUserInfo, url.Values{"access_token": {token}}),
	} {
		if r.StatusCode != 200 || r.json(t)["sub"] != u.ID || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
	for _, row := range []struct {
		name   string
		r      reply
		status int
		code   string
		says   string
	}{
		{"no token", h.get(oauth.PathUserInfo), 401, "invalid_token", ""},
		{"another scheme", h.post(oauth.PathUserInfo, nil, header("Basic")), 401, "invalid_token", ""},
		{"in the address", h.get(oauth.PathUserInfo + "?access_token=" + token), 400, "invalid_request", "invalid_request"},
		{"twice", h.post(oauth.PathUserInfo, url.Values{"access_token": {token}}, header("Bearer")), 400, "invalid_request", "invalid_request"},
		{"a broken one", h.userinfo("x"), 401, "invalid_token", "invalid_token"},
	} {
		wantError(t, row.r, row.status, row.code)
		challenge := row.r.Header.Get("WWW-Authenticate")
		if !strings.HasPrefix(challenge, `Bearer realm="`) || strings.Contains(challenge, "error=") != (row.says != "") || !strings.Contains(challenge, row.says) {
			t.Errorf("%s: challenge %q", row.name, challenge) // RFC 6750 §3.1: no error where no token was
		}
	}
}

func TestTheClaimsParameterGivesOnlyConsentedClaims(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	ask := `{"userinfo":{"name":{"essential":true},"email":null},"id_token":{"given_name":null,"email":null,"auth_time":{"essential":true}}}`
	tok := h.tokens(c, u, "claims", ask)
	if tok["scope"] != "openid" {
		t.Errorf("scope %v: the claims parameter grants no scope", tok["scope"])
	}
	info := h.userinfo(tok["access_token"]).json(t)
	if info["name"] != u.Name || info["email"] != u.Email || info["given_name"] != nil || info["nickname"] != nil {
		t.Errorf("userinfo: %v", info)
	}
	_, id := claims(t, tok["id_token"])
	if id["given_name"] != "Ada" || id["email"] != u.Email || id["name"] != nil {
		t.Errorf("ID token: %v", id)
	}

	h.authorize(request(c, "claims", ask)) // the person leaves e-mail out
	o := h.outcome(u)
	o.Scopes = []string{"openid", "profile"}
	r, err := h.respond(o)
	check(t, err)
	tok = h.exchange(c, r.query().Get("code")).json(t)
	if info := h.userinfo(tok["access_token"]).json(t); info["email"] != nil || info["name"] != u.Name || tok["scope"] != "openid" {
		t.Errorf("userinfo without consent to e-mail: %v", info)
	}

	narrow := h.addClient(func(c *idp.Client) { c.Scopes = []string{"openid"} })
	if info := h.userinfo(h.tokens(narrow, u, "claims", ask)["access_token"]).json(t); len(info) != 1 {
		t.Errorf("a client without those scopes: %v", info)
	}
}

func TestIntrospectionAnswersOnlyConcernedClients(t *testing.T) {
	h := open(t)
	u := h.addUser()
	api := h.addClient(func(c *idp.Client) { c.ResourceServer = true })
	otherAPI := h.addClient(func(c *idp.Client) { c.ResourceServer = true })
	stranger := h.addClient(nil)
	general := h.addClient(nil)
	aimed := h.addClient(func(c *idp.Client) { c.Audience = []string{api.ID} })
	generalToken, aimedToken := h.tokens(general, u)["access_token"], h.tokens(aimed, u, "scope", "openid accounts")["access_token"]
	for _, row := range []struct {
		name  string
		who   idp.Client
		token any
		want  bool
	}{
		{"the token's client", general, generalToken, true},
		{"a resource server, and the token is for no API in particular", api, generalToken, true},
		{"another client", stranger, generalToken, false},
		{"the API it is for", api, aimedToken, true},
		{"another API", otherAPI, aimedToken, false},
		{"nonsense", api, "x", false},
	} {
		if m := h.introspect(row.who, row.token); m["active"] != row.want || !row.want && len(m) != 1 {
			t.Errorf("%s: %v", row.name, m)
		}
	}
	m := h.introspect(api, aimedToken)
	_, access := claims(t, aimedToken)
	for _, name := range []string{"sub", "client_id", "exp", "iat", "jti", "scope", "iss", "aud", "acr", "amr", "auth_time"} { // RFC 9470 §6.2
		if d := cmp.Diff(access[name], m[name]); d != "" || m[name] == nil {
			t.Errorf("%s: %s", name, d)
		}
	}
	public := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone; c.ResourceServer = true })
	wantError(t, h.post(oauth.PathIntrospect, url.Values{"token": {"x"}, "client_id": {public.ID}}), 401, "invalid_client")
	wantError(t, h.post(oauth.PathIntrospect, url.Values{"token": {"x"}}, func(r *http.Request) { r.SetBasicAuth(api.ID, "wrong") }), 401, "invalid_client")
}

func TestAnAccessTokenMustFitItsFamilyAndThisProvider(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	s, err := h.keys.Signer(t.Context(), keys.ES256)
	check(t, err)
	r, err := h.keys.Current(t.Context())
	check(t, err)
	var good token.AccessClaims
	check(t, r.Open(keys.TypeAccessToken, h.tokens(c, u)["access_token"].(string), &good))
	for name, bend := range map[string]func(*token.AccessClaims){
		"as it was":         func(*token.AccessClaims) {},
		"another issuer":    func(c *token.AccessClaims) { c.Issuer = "https://other.example" },
		"another audience":  func(c *token.AccessClaims) { c.Audience = oauth.Audience{"https://api.example"} },
		"another client":    func(c *token.AccessClaims) { c.ClientID = "other" },
		"another subject":   func(c *token.AccessClaims) { c.Subject = "other" },
		"expired":           func(c *token.AccessClaims) { c.Expires = 1 },
		"no family":         func(c *token.AccessClaims) { c.ID = "nothing" },
		"an unknown family": func(c *token.AccessClaims) { c.ID = "unknown.x" },
	} {
		bent := good
		bend(&bent)
		token, err := s.Sign(keys.TypeAccessToken, bent)
		check(t, err)
		if r := h.userinfo(token); (r.StatusCode == 200) != (name == "as it was") {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
}

func TestARememberedTokenStillExpiresAndIsStillRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		active := func(token any) bool { return h.introspect(c, token)["active"] == true }
		first, second := h.tokens(c, u)["access_token"], h.tokens(c, u)["access_token"]
		if verified, remembered := active(first), active(first); !verified || !remembered {
			t.Fatal("a good token is not active")
		}
		time.Sleep(11 * time.Minute)
		if active(first) || active(second) {
			t.Error("an expired token is active")
		}
		third := h.tokens(c, u)["access_token"]
		if !active(third) {
			t.Fatal("a good token is not active")
		}
		check(t, h.db.DisableUser(t.Context(), u.ID, time.Now()))
		if active(third) {
			t.Error("a revoked token is active")
		}
	})
}
