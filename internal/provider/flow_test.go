package provider

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

func TestACodeIsExchangedForTokensWithAssuranceClaims(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.Audience = []string{"https://api.example"} }), h.addUser()
	tok := h.tokens(c, u, "scope", "openid profile accounts")
	if tok["token_type"] != "Bearer" || tok["expires_in"] != 600.0 || tok["scope"] != "openid profile accounts" || tok["refresh_token"] != nil {
		t.Errorf("token response: %v", tok)
	}
	header, access := claims(t, tok["access_token"])
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("access token header: %v", header)
	}
	jti := access["jti"].(string)
	authTime := access["auth_time"]
	for _, name := range []string{"jti", "iat", "exp", "auth_time"} {
		delete(access, name)
	}
	want := map[string]any{
		"iss": h.url, "sub": u.ID, "client_id": c.ID, "scope": "openid profile accounts", "sid": "sid-1", "acr": "phr",
		"amr": []any{"pop", "user", "mfa"}, "aud": []any{"https://api.example", h.url},
	}
	if d := cmp.Diff(want, access); d != "" {
		t.Errorf("access token (-want +got):\n%s", d)
	}
	if family, _, ok := strings.Cut(jti, "."); !ok || len(family) != 43 {
		t.Errorf("jti %q does not name a family", jti)
	}
	header, id := claims(t, tok["id_token"])
	if header["typ"] != "JWT" || id["at_hash"] == "" || id["auth_time"] != authTime {
		t.Errorf("ID token: %v %v", header, id)
	}
	for _, name := range []string{"iat", "exp", "auth_time", "at_hash"} {
		delete(id, name)
	}
	want = map[string]any{"iss": h.url, "sub": u.ID, "aud": c.ID, "nonce": "n-1", "sid": "sid-1", "acr": "phr", "amr": []any{"pop", "user", "mfa"}}
	if d := cmp.Diff(want, id); d != "" {
		t.Errorf("ID token (-want +got): no profile claims, no audience of the API\n%s", d)
	}
}

func TestWithoutTheScopeOpenIDThereIsNoIDToken(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "accounts")
	if tok["id_token"] != nil {
		t.Error("an ID token without openid")
	}
	if _, access := claims(t, tok["access_token"]); access["aud"] != h.url {
		t.Errorf("aud %v, want the issuer", access["aud"])
	}
	r := h.userinfo(tok["access_token"])
	wantError(t, r, 403, "insufficient_scope")
	if !strings.Contains(r.Header.Get("WWW-Authenticate"), `scope="openid"`) {
		t.Errorf("challenge %q", r.Header.Get("WWW-Authenticate"))
	}
}

func TestEveryAlgorithmSignsIDTokensThatVerify(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, alg := range keys.Algorithms {
		c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = alg })
		tok := h.tokens(c, u)
		header, _ := claims(t, tok["id_token"])
		if header["alg"] != alg {
			t.Errorf("%s: header %v", alg, header)
		}
		if _, err := h.provider.tokens.VerifyHint(t.Context(), tok["id_token"].(string)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if header, _ := claims(t, tok["access_token"]); header["alg"] != "ES256" {
			t.Errorf("%s: the access token is for APIs, which expect ES256: %v", alg, header)
		}
	}
}

func TestAPublicClientProvesItselfByPKCE(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone; c.Policy = idp.PolicyCompatible }), h.addUser()
	tok := h.tokens(c, u, "scope", "openid offline_access")
	if r := h.refresh(c, tok["refresh_token"]); r.StatusCode != 200 {
		t.Errorf("refresh: %d %s", r.StatusCode, r.body)
	}
}

func TestAClientWithASecretInTheFormIsServedOnlyIfRegisteredForIt(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPost }), h.addUser()
	form := exchangeForm(h.code(c, u))
	wantError(t, h.post(oauth.PathToken, form, basic(c)), 401, "invalid_client")
	form.Set("client_id", c.ID)
	form.Set("client_secret", clientSecret.Reveal())
	if r := h.post(oauth.PathToken, form); r.StatusCode != 200 {
		t.Errorf("post: %d %s", r.StatusCode, r.body)
	}
}

func TestOpaqueAccessTokensWorkLikeJWTs(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.AccessFormat = idp.FormatOpaque }), h.addUser()
	tok := h.tokens(c, u, "scope", "openid email offline_access")
	if strings.Contains(tok["access_token"].(string), ".") {
		t.Errorf("not opaque: %v", tok["access_token"])
	}
	if r := h.userinfo(tok["access_token"]); r.json(t)["email"] != u.Email {
		t.Errorf("userinfo: %s", r.body)
	}
	if m := h.introspect(c, tok["access_token"]); m["active"] != true || m["acr"] != "phr" || m["sub"] != u.ID {
		t.Errorf("introspection: %v", m)
	}
	fresh := h.refresh(c, tok["refresh_token"]).json(t)
	if m := h.introspect(c, fresh["access_token"]); m["active"] != true {
		t.Errorf("refreshed: %v", m)
	}
	if r := h.post(oauth.PathRevoke, map[string][]string{"token": {fresh["access_token"].(string)}}, basic(c)); r.StatusCode != 200 {
		t.Errorf("revoke: %d", r.StatusCode)
	}
	if m := h.introspect(c, fresh["access_token"]); m["active"] != false {
		t.Errorf("revoked and still active: %v", m)
	}
}

func TestClientsAuthenticateByFormDecodedBasic(t *testing.T) {
	h := open(t)
	secret := idp.Secret("p%s+ü&c:r t")
	c := h.addClient(func(c *idp.Client) { c.ID = "a b:c"; c.Secrets[0].Hash = secret.Hash() })
	r := h.post(oauth.PathToken, exchangeForm("nothing"), func(r *http.Request) { r.SetBasicAuth("a+b%3Ac", "p%25s%2B%C3%BC%26c%3Ar+t") })
	wantError(t, r, 400, "invalid_grant") // authenticated, and then the code is wrong
	_ = c
}
