package sample

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An issuer serves discovery, keys, token and userinfo; tests replace the screens in between. The round trip with the
// provider is tested in internal/e2e.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	key    *ecdsa.PrivateKey
	asked  url.Values // the last authorization request
	// Additional claims of the next tokens.
	id, access map[string]any
	info       string // sub of userinfo; empty: the same
	scope      string // granted; empty: as requested
	codes      int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		u := i.server.URL
		answer(w, map[string]any{
			"issuer": u, "authorization_endpoint": u + "/oauth2/authorize", "token_endpoint": u + "/oauth2/token",
			"jwks_uri": u + "/oauth2/jwks", "userinfo_endpoint": u + "/oauth2/userinfo", "end_session_endpoint": u + "/oauth2/end_session",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "authorization_response_iss_parameter_supported": true,
		})
	})
	mux.HandleFunc("GET /oauth2/jwks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /oauth2/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"sub": cmp.Or(i.info, "ada-1"), "name": "Ada <Lovelace>", "email": "ada@example.com"})
	})
	mux.HandleFunc("POST /oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if id != "acme" || secret != "s3cret" || r.PostFormValue("code") != "the-code" || r.PostFormValue("redirect_uri") != i.asked.Get("redirect_uri") ||
			i.asked.Get("code_challenge_method") != "S256" || base64.RawURLEncoding.EncodeToString(sum[:]) != i.asked.Get("code_challenge") {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		i.codes++
		scope := cmp.Or(i.scope, i.asked.Get("scope"))
		id1 := i.claims(map[string]any{"aud": "acme", "nonce": i.asked.Get("nonce")}, i.id)
		access := i.claims(map[string]any{"aud": i.audience(), "scope": scope, "client_id": "acme", "jti": "1"}, i.access)
		answer(w, map[string]any{
			"token_type": "Bearer", "expires_in": 300, "scope": scope,
			"id_token": i.sign("JWT", id1), "access_token": i.sign("at+jwt", access),
		})
	})
	i.server = httptest.NewServer(mux)
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) audience() string {
	return strings.TrimSuffix(i.asked.Get("redirect_uri"), CallbackPath) + APIPath
}

func (i *issuer) claims(more ...map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": i.server.URL, "sub": "ada-1", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"acr": "phr", "amr": []string{"pop", "swk", "user", "mfa"}, "auth_time": now.Unix(),
	}
	for _, m := range more {
		maps.Copy(all, m)
	}
	return all
}

func (i *issuer) sign(typ string, claims map[string]any) string {
	return signWith(i.t, i.key, typ, claims)
}

func signWith(t *testing.T, key *ecdsa.PrivateKey, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A browser holds cookies and follows redirects only within the application.
type browser struct {
	t      *testing.T
	base   string
	issuer *issuer
	http   *http.Client
	// apiDown makes the application's calls to its API fail.
	apiDown bool
}

// RoundTrip implements http.RoundTripper for the application.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.apiDown && strings.HasPrefix(r.URL.Path, APIPath) {
		return nil, errors.New("the API is down")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// visit starts the application with an issuer and a browser.
func visit(t *testing.T) *browser {
	t.Helper()
	i := newIssuer(t)
	var app http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, base: server.URL, issuer: i, http: &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), server.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
	app, err = New(Config{
		Issuer: i.server.URL, ClientID: "acme", ClientSecret: "s3cret", BaseURL: server.URL,
		MailURL: i.server.URL + "/demo/mail", Client: &http.Client{Transport: b}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A shown is a page, or the redirect that leaves the application.
type shown struct {
	t        *testing.T
	status   int
	path     string
	body     string
	header   http.Header
	location *url.URL
}

func (b *browser) do(method, path string, header ...string) shown {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, nil)
	if !strings.HasPrefix(path, "http") {
		r, err = http.NewRequestWithContext(b.t.Context(), method, b.base+path, nil)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	location, _ := resp.Location()
	return shown{b.t, resp.StatusCode, resp.Request.URL.Path, string(body), resp.Header, location}
}

// atIssuer records the authorization request and returns the URL of a successful response.
func (b *browser) atIssuer(s shown) string {
	b.t.Helper()
	if s.status != http.StatusSeeOther || s.location == nil || !strings.HasPrefix(s.location.String(), b.issuer.server.URL+"/oauth2/authorize?") {
		b.t.Fatalf("no authorization request: %d %v\n%s", s.status, s.location, s.body)
	}
	b.issuer.asked = s.location.Query()
	return b.back(url.Values{"code": {"the-code"}})
}

func (b *browser) back(q url.Values) string {
	q.Set("state", b.issuer.asked.Get("state"))
	q.Set("iss", b.issuer.server.URL)
	return b.issuer.asked.Get("redirect_uri") + "?" + q.Encode()
}

func (b *browser) signIn() shown {
	b.t.Helper()
	s := b.do("GET", b.atIssuer(b.do("POST", "/signin")))
	if s.path != "/me" || s.status != http.StatusOK {
		b.t.Fatalf("not signed in: %s %d\n%s", s.path, s.status, s.body)
	}
	return s
}

// text returns the text of the element with this data-test; "" if there is none.
func (s shown) text(hook string) string {
	m := regexp.MustCompile(`(?s)<(\w+)[^>]* data-test="` + hook + `"[^>]*>(.*?)</`).FindStringSubmatch(s.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[2])
}

func (s shown) json(hook string) map[string]any {
	s.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(s.text(hook)), &v); err != nil {
		s.t.Fatalf("%s on %s: %v\n%s", hook, s.path, err, s.body)
	}
	return v
}
