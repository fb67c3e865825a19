package provider

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/store"
)

// Defaults of zitadel/oidc, each found by running it, and what we do instead. There is a test for each row of the list
// in the design.

func TestLibrary01AConfidentialClientMayNotOmitTheVerifier(t *testing.T) {
	h := open(t)
	for _, policy := range []idp.ClientPolicy{idp.PolicyStandard, idp.PolicyCompatible} {
		c, u := h.addClient(func(c *idp.Client) { c.Policy = policy }), h.addUser()
		for name, change := range map[string]func(url.Values){
			"omitted": func(v url.Values) { v.Del("code_verifier") },
			"wrong":   func(v url.Values) { v.Set("code_verifier", strings.Repeat("x", 43)) },
			"short":   func(v url.Values) { v.Set("code_verifier", "x") },
		} {
			form := exchangeForm(h.code(c, u))
			change(form)
			r := h.post(oauth.PathToken, form, basic(c))
			if r.StatusCode != 400 || r.json(t)["error"] != "invalid_grant" {
				t.Errorf("%s, %s: %d %s", policy, name, r.StatusCode, r.body)
			}
			if r := h.post(oauth.PathToken, exchangeForm(form.Get("code")), basic(c)); r.StatusCode != 400 {
				t.Errorf("%s, %s: the code still works", policy, name)
			}
		}
	}
}

func TestLibrary02APublicClientMustUsePKCE(t *testing.T) {
	h := open(t)
	for _, policy := range []idp.ClientPolicy{idp.PolicyStandard, idp.PolicyCompatible, ""} {
		c := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone; c.Policy = policy })
		if q := h.authorize(request(c, "code_challenge", "", "code_challenge_method", "")).query(); q.Get("error") != "invalid_request" {
			t.Errorf("%q: %v", policy, q)
		}
	}
	c, u := h.addClient(func(c *idp.Client) { c.Policy = idp.PolicyCompatible }), h.addUser()
	form := exchangeForm(h.code(c, u, "code_challenge", "", "code_challenge_method", ""))
	form.Del("code_verifier")
	if r := h.post(oauth.PathToken, form, basic(c)); r.StatusCode != 200 {
		t.Errorf("a compatible confidential client may omit it: %d %s", r.StatusCode, r.body)
	}
	// RFC 9700 §4.8.2: a verifier where no challenge was is the sign of a downgrade.
	wantError(t, h.exchange(c, h.code(c, u, "code_challenge", "", "code_challenge_method", "")), 400, "invalid_grant")
}

func TestLibrary03PlainIsNeverTaken(t *testing.T) {
	h := open(t)
	for _, policy := range []idp.ClientPolicy{idp.PolicyStandard, idp.PolicyCompatible} {
		c := h.addClient(func(c *idp.Client) { c.Policy = policy })
		for _, method := range []string{"plain", "", "s256"} {
			if q := h.authorize(request(c, "code_challenge_method", method)).query(); q.Get("error") != "invalid_request" {
				t.Errorf("%s, %q: %v", policy, method, q)
			}
		}
	}
}

func TestLibrary04To06NoOtherGrantIsThere(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for _, grant := range []string{
		"urn:ietf:params:oauth:grant-type:jwt-bearer",
		"password", "implicit", `x" y`,
	} {
		form := url.Values{"grant_type": {grant}, "assertion": {"a.b.c"}, "subject_token": {"x"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}}
		wantError(t, h.post(oauth.PathToken, form, basic(c)), 400, "unsupported_grant_type")
	}
	wantError(t, h.post(oauth.PathToken, url.Values{}, basic(c)), 400, "invalid_request")
	var meta struct {
		Grants []string `json:"grant_types_supported"`
	}
	check(t, json.Unmarshal([]byte(h.get("/.well-known/openid-configuration").body), &meta))
	if len(meta.Grants) != 5 {
		t.Errorf("grants announced: %v", meta.Grants)
	}
}

func TestLibrary07AClientAssertionIsRefusedWhateverItSays(t *testing.T) {
	h := open(t)
	for _, method := range []string{idp.AuthMethodBasic, idp.AuthMethodNone} {
		c, u := h.addClient(func(c *idp.Client) { c.AuthMethod = method }), h.addUser()
		form := exchangeForm(h.code(c, u))
		form.Set("client_id", c.ID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", "a.b.c")
		wantError(t, h.post(oauth.PathToken, form), 401, "invalid_client")
	}
}

func TestLibrary08AnIDTokenIsNoAccessTokenAndTheOtherWayRound(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "openid offline_access")
	wantError(t, h.userinfo(tok["id_token"]), 401, "invalid_token")
	wantError(t, h.userinfo(tok["refresh_token"]), 401, "invalid_token")
	if m := h.introspect(c, tok["id_token"]); m["active"] != false {
		t.Errorf("an ID token is active: %v", m)
	}
	if m := h.introspect(c, tok["refresh_token"]); m["active"] != false {
		t.Errorf("a refresh token is active: %v", m)
	}
	if q := h.authorize(request(c, "id_token_hint", tok["access_token"].(string))).query(); q.Get("error") != "invalid_request" {
		t.Errorf("an access token as id_token_hint: %v", q)
	}
	wantError(t, h.refresh(c, tok["access_token"]), 400, "invalid_grant")
}

func TestLibrary09OneCodeGivesOneTokenSetHoweverManyAsk(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	code := h.code(c, u)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			r := h.exchange(c, code)
			mu.Lock()
			defer mu.Unlock()
			switch r.StatusCode {
			case 200:
				won++
			case 400:
			default:
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		})
	}
	wg.Wait()
	if won > 1 { // none, if a second request was noticed before the first had stored its tokens
		t.Errorf("%d token sets", won)
	}
}

func TestLibrary10NoCallbackIssuesCodes(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	h.authorize(request(c))
	for _, path := range []string{"/oauth2/authorize/callback?id=", "/authorize/callback?id=", "/oauth2/callback?id="} {
		if r := h.get(path + h.last.ID); r.StatusCode != 404 || r.query().Has("code") {
			t.Errorf("%s: %d to %q", path, r.StatusCode, r.Header.Get("Location"))
		}
	}
}

func TestLibrary11ABrokenRequestObjectIsRefusedAndNotIgnored(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	object := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1,"prompt":"none"}`)) + "."
	if q := h.authorize(request(c, "request", object)).query(); q.Get("error") != "invalid_request_object" || q.Get("state") != "st" {
		t.Errorf("answer: %v", q)
	}
	if q := h.authorize(request(c, "request_uri", "https://app.example/object")).query(); q.Get("error") != "invalid_request_uri" {
		t.Errorf("answer: %v", q)
	}
}

func TestLibrary12NothingIsReadFromTheAddressOfATokenRequest(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPost }), h.addUser()
	form := exchangeForm(h.code(c, u))
	form.Set("client_id", c.ID)
	form.Set("client_secret", clientSecret.Reveal())
	wantError(t, h.get(oauth.PathToken+"?"+form.Encode()), 405, "invalid_request")
	wantError(t, h.post(oauth.PathToken+"?"+form.Encode(), nil), 400, "invalid_request")
	secret := url.Values{"client_secret": {clientSecret.Reveal()}}
	form.Del("client_secret")
	wantError(t, h.post(oauth.PathToken+"?"+secret.Encode(), form), 400, "invalid_request")
	form.Set("client_secret", clientSecret.Reveal())
	if r := h.post(oauth.PathToken, form); r.StatusCode != 200 {
		t.Errorf("the code was used up by a refused request: %d %s", r.StatusCode, r.body)
	}
}

func TestLibrary13OnlyPublicDocumentsAnswerOtherOrigins(t *testing.T) {
	h := open(t)
	for path, want := range map[string]string{
		oauth.PathAuthorize: "", oauth.PathToken: "", oauth.PathUserInfo: "", oauth.PathIntrospect: "", oauth.PathRevoke: "", oauth.PathEndSession: "",
		oauth.PathJWKS: "*", "/.well-known/openid-configuration": "*", "/.well-known/oauth-authorization-server": "*",
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			req, err := http.NewRequest(method, h.url+path, nil)
			check(t, err)
			req.Header.Set("Origin", "https://evil.example")
			req.Header.Set("Access-Control-Request-Method", "POST")
			r := h.do(req)
			got := r.Header.Get("Access-Control-Allow-Origin")
			if r.StatusCode == 204 { // the CORS preflight: the same for every origin, and not the answer to a request
				r.StatusCode, got = 405, strings.TrimPrefix(got, "*")
			}
			if r.StatusCode == 200 && got != want || r.StatusCode != 200 && got != "" || r.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: %d, origin %q, credentials %q", method, path, r.StatusCode, got, r.Header.Get("Access-Control-Allow-Credentials"))
			}
		}
	}
}

func TestLibrary14ErrorsRevealNoInternals(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u, "scope", "openid offline_access")
	code := h.code(c, u)
	check(t, h.eph.Close())
	r := h.exchange(c, code)
	wantError(t, r, 503, "temporarily_unavailable")
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	gone, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	check(t, err)
	check(t, gone.Close())
	h.rebuild(func(c *Config) { c.DB = gone })
	for name, r := range map[string]reply{
		"refresh": h.refresh(c, tok["refresh_token"]), "userinfo": h.userinfo(tok["access_token"]),
		"introspect": h.post(oauth.PathIntrospect, url.Values{"token": {tok["access_token"].(string)}}, basic(c)),
		"revoke":     h.post(oauth.PathRevoke, url.Values{"token": {tok["access_token"].(string)}}, basic(c)),
		"code":       r,
	} {
		if r.StatusCode < 500 {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
		for _, inside := range []string{"sql", "database", "closed", "ephemeral", "store", "family", "load", "dial"} {
			if strings.Contains(strings.ToLower(r.body), inside) {
				t.Errorf("%s says %q: %s", name, inside, r.body)
			}
		}
	}
	h.last = idp.Interaction{}
	if r := h.authorize(request(c)); r.StatusCode != 503 || strings.Contains(r.body, "closed") {
		t.Errorf("authorize: %d %s", r.StatusCode, r.body)
	}
}

func TestLibrary15ATokenWithOneBitTurnedIsRefused(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c := h.addClient(func(c *idp.Client) { c.AccessFormat = format })
		token := h.tokens(c, u)["access_token"].(string)
		for i := 0; i < len(token); i += 7 {
			turned := []byte(token)
			turned[i] ^= 1
			if r := h.userinfo(string(turned)); r.StatusCode == 200 {
				t.Fatalf("%s: accepted with octet %d changed", format, i)
			}
		}
		for name, other := range map[string]string{"a signature less": token[:strings.LastIndex(token, ".")+1], "a blank more": token + "A", "nothing": "x"} {
			if r := h.userinfo(other); r.StatusCode != 401 {
				t.Errorf("%s, %s: %d", format, name, r.StatusCode)
			}
		}
	}
	wrapper, err := keys.NewWrapper(make([]byte, 32))
	check(t, err)
	blob := wrapper.Seal([]byte("private"), "ES256 kid")
	for i := range blob {
		turned := append([]byte(nil), blob...)
		turned[i] ^= 1
		if _, err := wrapper.Open(turned, "ES256 kid"); err == nil {
			t.Errorf("a sealed key opens with octet %d changed", i)
		}
	}
}

func TestLibrary16TheRegisteredAuthenticationMethodIsTheOnlyOne(t *testing.T) {
	h := open(t)
	u := h.addUser()
	inForm := func(c idp.Client) url.Values {
		return url.Values{"client_id": {c.ID}, "client_secret": {clientSecret.Reveal()}}
	}
	for registered, wrong := range map[string][]string{
		idp.AuthMethodBasic: {idp.AuthMethodPost, idp.AuthMethodNone},
		idp.AuthMethodPost:  {idp.AuthMethodBasic, idp.AuthMethodNone},
		idp.AuthMethodNone:  {idp.AuthMethodBasic, idp.AuthMethodPost},
	} {
		c := h.addClient(func(c *idp.Client) { c.AuthMethod = registered })
		code := h.code(c, u)
		for _, method := range wrong {
			form := exchangeForm(code)
			var edit []func(*http.Request)
			switch method {
			case idp.AuthMethodBasic:
				edit = append(edit, basic(c))
			case idp.AuthMethodPost:
				for k, v := range inForm(c) {
					form[k] = v
				}
			default:
				form.Set("client_id", c.ID)
			}
			r := h.post(oauth.PathToken, form, edit...)
			wantError(t, r, 401, "invalid_client")
			if r.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s instead of %s: no challenge", method, registered)
			}
		}
	}
}

func TestLibrary17TheClientIsAuthenticatedBeforeTheCodeIsLookedAt(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	code := h.code(c, u)
	wrong := func(r *http.Request) { r.SetBasicAuth(c.ID, "wrong") }
	wantError(t, h.post(oauth.PathToken, exchangeForm(code), wrong), 401, "invalid_client")
	wantError(t, h.post(oauth.PathToken, exchangeForm("no-such-code"), wrong), 401, "invalid_client")
	if r := h.exchange(c, code); r.StatusCode != 200 {
		t.Errorf("a stranger used the code up: %d %s", r.StatusCode, r.body)
	}
	events, err := h.db.Events(t.Context(), "", 100)
	check(t, err)
	refused := 0
	for _, e := range events {
		if e.Kind == idp.EventClientAuthRefused && e.ClientID == c.ID {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d events of two refusals in one minute, want 1", refused)
	}
}

func TestLibraryACodeAndARefreshTokenWorkForTheirClientOnly(t *testing.T) { // GHSA-xqxv-4jc2-x56x
	h := open(t)
	mine, other, u := h.addClient(nil), h.addClient(nil), h.addUser()
	wantError(t, h.exchange(other, h.code(mine, u)), 400, "invalid_grant")
	form := exchangeForm(h.code(mine, u))
	form.Set("client_id", other.ID)
	wantError(t, h.post(oauth.PathToken, form, basic(mine)), 400, "invalid_request")
	tok := h.tokens(mine, u, "scope", "openid offline_access")
	wantError(t, h.refresh(other, tok["refresh_token"]), 400, "invalid_grant")
}

func TestLibraryARedirectURIMustBeTheOneOfTheRequest(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	form := exchangeForm(h.code(c, u))
	form.Set("redirect_uri", "https://app.example/cb?tenant=1")
	wantError(t, h.post(oauth.PathToken, form, basic(c)), 400, "invalid_grant")
	form = exchangeForm(h.code(c, u))
	form.Del("redirect_uri")
	wantError(t, h.post(oauth.PathToken, form, basic(c)), 400, "invalid_request")
}

func TestLibraryAnUnknownClientIs401AndNo500(t *testing.T) {
	h := open(t)
	for _, path := range []string{oauth.PathToken, oauth.PathRevoke, oauth.PathIntrospect} {
		form := exchangeForm("x")
		form.Set("token", "x")
		r := h.post(path, form, func(r *http.Request) { r.SetBasicAuth("nobody", "x") })
		wantError(t, r, 401, "invalid_client")
		if !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic ") || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: challenge %q, Cache-Control %q", path, r.Header.Get("WWW-Authenticate"), r.Header.Get("Cache-Control"))
		}
	}
}

func TestGuardsOfTheMachineEndpoints(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	form := func(pairs ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, row := range []struct {
		name   string
		path   string
		form   url.Values
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"a parameter twice", oauth.PathToken, form("grant_type", "authorization_code", "code", "a", "code", "b"), basic(c), 400, "invalid_request"},
		{"an unknown parameter twice", oauth.PathToken, form("grant_type", "refresh_token", "refresh_token", "a.b", "x", "a", "x", "b"), basic(c), 400, "invalid_request"},
		{"no code", oauth.PathToken, form("grant_type", "authorization_code"), basic(c), 400, "invalid_request"},
		{"no refresh token", oauth.PathToken, form("grant_type", "refresh_token"), basic(c), 400, "invalid_request"},
		{"no token to introspect", oauth.PathIntrospect, nil, basic(c), 400, "invalid_request"},
		{"no token to revoke", oauth.PathRevoke, nil, basic(c), 400, "invalid_request"},
		{"no client at all", oauth.PathToken, form("grant_type", "refresh_token", "refresh_token", "x"), nil, 401, "invalid_client"},
		{"two authentications", oauth.PathToken, form("grant_type", "refresh_token", "refresh_token", "a.b", "client_secret", "x"), basic(c), 400, "invalid_request"},
		{"a broken header", oauth.PathToken, form("grant_type", "refresh_token"), func(r *http.Request) { r.Header.Set("Authorization", "Basic %%%") }, 401, "invalid_client"},
		{"broken form encoding in it", oauth.PathToken, form("grant_type", "refresh_token"), func(r *http.Request) { r.SetBasicAuth("%zz", "x") }, 401, "invalid_client"},
		{"another scheme", oauth.PathToken, form("grant_type", "refresh_token"), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401, "invalid_client"},
		{"two headers", oauth.PathToken, form("grant_type", "refresh_token", "refresh_token", "a.b"), func(r *http.Request) { basic(c)(r); r.Header.Add("Authorization", "Basic eDp5") }, 400, "invalid_request"},
		{"JSON", oauth.PathToken, nil, func(r *http.Request) { basic(c)(r); r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		{"no content type", oauth.PathToken, form("grant_type", "refresh_token"), func(r *http.Request) { basic(c)(r); r.Header.Del("Content-Type") }, 400, "invalid_request"},
		{"broken encoding", oauth.PathToken, nil, func(r *http.Request) {
			basic(c)(r)
			r.Body, r.ContentLength = http.NoBody, 0
			r.URL.RawQuery = "a=%zz"
		}, 400, "invalid_request"},
		{"a refresh token that is none", oauth.PathToken, form("grant_type", "refresh_token", "refresh_token", "abc"), basic(c), 400, "invalid_grant"},
		{"a code that is none", oauth.PathToken, exchangeForm("\u00fc\"\n"), basic(c), 400, "invalid_grant"},
	} {
		t.Run(row.name, func(t *testing.T) {
			edit := row.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			r := h.post(row.path, row.form, edit)
			wantError(t, r, row.status, row.code)
			if d, _ := r.json(t)["error_description"].(string); d != oauth.Describable(d) || d == "" {
				t.Errorf("description %q", d)
			}
			if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers: %v", r.Header)
			}
		})
	}
	big := h.post(oauth.PathToken, form("grant_type", "refresh_token", "refresh_token", strings.Repeat("x", 70<<10)), basic(c))
	if big.StatusCode != 413 {
		t.Errorf("a body of 70 KiB: %d", big.StatusCode)
	}
}

func TestAGrantTheClientIsNotRegisteredForIsRefused(t *testing.T) {
	h := open(t)
	c := h.addClient(func(c *idp.Client) { c.GrantTypes = []string{"authorization_code"} })
	r := h.refresh(c, "a.b")
	wantError(t, r, 400, "unauthorized_client")
	if d := r.json(t)["error_description"].(string); d != oauth.Describable(d) { // the library quotes, which RFC 6749 §5.2 forbids
		t.Errorf("description %q", d)
	}
	none := h.addClient(func(c *idp.Client) { c.GrantTypes = nil })
	if q := h.authorize(request(none)).query(); q.Get("error") != "unauthorized_client" {
		t.Errorf("authorize: %v", q)
	}
}

func TestASecretThatHasExpiredIsRefused(t *testing.T) {
	h := open(t)
	c := h.addClient(func(c *idp.Client) { c.Secrets[0].ExpiresAt = time.Now().Add(-time.Second) })
	wantError(t, h.exchange(c, "x"), 401, "invalid_client")
}
