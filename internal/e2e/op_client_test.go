package e2e

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

// An rp is a client of the provider under test: its registration, and what only its owner has.
type rp struct {
	*op
	idp.Client
	secret   string            // of client_secret_basic and client_secret_post
	key      *ecdsa.PrivateKey // of private_key_jwt: ES256
	verifier string            // of PKCE: the same in all its requests
}

// client registers a client, straight in the store: standard, client_secret_basic, with every scope. change makes another
// of it; a client with AuthMethodPrivateKey gets a key if change gave it none.
func (o *op) client(change func(*idp.Client)) *rp {
	o.t.Helper()
	now := time.Now()
	c := idp.Client{
		ID: idp.NewID(), Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic,
		GrantTypes: []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken},
		Scopes:     append(slices.Clone(idp.StandardScopes), "payouts"), CreatedAt: now, UpdatedAt: now,
	}
	c.RedirectURIs = []string{rpOrigin + c.ID + "/cb"}
	a := &rp{op: o, secret: c.AddSecret(now).Reveal(), verifier: oauth2.GenerateVerifier()}
	change(&c)
	switch c.AuthMethod {
	case idp.AuthMethodPrivateKey:
		c.Secrets = nil
		if c.JWKS == nil && c.JWKSURI == "" {
			a.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
			c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: a.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}}
		}
	case idp.AuthMethodNone:
		c.Secrets = nil
	}
	if faults := c.Faults(o.Config.Policy); len(faults) > 0 {
		o.t.Fatalf("this client could not be registered: %v", faults)
	}
	if err := o.DB.PutClient(o.t.Context(), c); err != nil {
		o.t.Fatal(err)
	}
	a.Client = c
	return a
}

// set returns form with changes: name, value, name, value; an empty value takes the parameter out.
func set(form url.Values, changes []string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return form
}

// request is an authorization request: openid, state, and PKCE as the client's policy demands it.
func (a *rp) request(changes ...string) url.Values {
	form := url.Values{
		"client_id": {a.ID}, "redirect_uri": {a.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid"}, "state": {"af0ifjsldkj"},
	}
	if a.Policy != idp.PolicyCompatible {
		form.Set("code_challenge", oauth2.S256ChallengeFromVerifier(a.verifier))
		form.Set("code_challenge_method", "S256")
	}
	return set(form, changes)
}

// open sends the person to the authorization endpoint, by GET, and returns the page that comes of it.
func (a *rp) open(p *person, changes ...string) page {
	a.t.Helper()
	return p.open("/oauth2/authorize?" + a.request(changes...).Encode())
}

// authorize lets the person go through an authorization request and returns what the browser brings back to the client.
func (a *rp) authorize(p *person, changes ...string) url.Values {
	a.t.Helper()
	return p.through(a.open(p, changes...))
}

// post sends a form to an endpoint, the client authenticated in the way it is registered for.
func (a *rp) post(path string, changes ...string) answer {
	a.t.Helper()
	form, headers := url.Values{}, []string(nil)
	switch a.AuthMethod {
	case idp.AuthMethodBasic:
		headers = []string{"Authorization", basic(a.ID, a.secret)}
	case idp.AuthMethodPost:
		form.Set("client_id", a.ID)
		form.Set("client_secret", a.secret)
	case idp.AuthMethodPrivateKey:
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", a.assertion())
	default:
		form.Set("client_id", a.ID)
	}
	return a.send("POST", path, set(form, changes), headers...)
}

// basic is the header of client_secret_basic: both parts form-encoded first (RFC 6749 §2.3.1).
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// assertion is what the client authenticates itself with (RFC 7523), with changes: name, value, name, value; nil takes a
// claim out.
func (a *rp) assertion(changes ...any) string {
	now := time.Now().Unix()
	claims := map[string]any{"iss": a.ID, "sub": a.ID, "aud": a.issuer, "iat": now, "exp": now + 60, "jti": idp.NewID()}
	for i := 0; i < len(changes); i += 2 {
		name := changes[i].(string)
		claims[name] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return sign(a.t, jose.ES256, a.key, "1", "", claims)
}

// sign makes a JWT; typ may be empty.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key crypto.Signer, kid, typ string, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return must(jwt.Signed(signer).Claims(claims).Serialize())
}

// exchange sends a code to the token endpoint.
func (a *rp) exchange(code string, changes ...string) answer {
	a.t.Helper()
	form := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", a.RedirectURIs[0]}
	if a.Policy != idp.PolicyCompatible {
		form = append(form, "code_verifier", a.verifier)
	}
	return a.post("/oauth2/token", append(form, changes...)...)
}

// refresh sends a refresh token to the token endpoint.
func (a *rp) refresh(token string, changes ...string) answer {
	a.t.Helper()
	return a.post("/oauth2/token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, changes...)...)
}

// tokens are a successful answer of the token endpoint.
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`

	claims map[string]any // of the ID token, which was verified
	answer answer
}

// granted reads a successful answer of the token endpoint and verifies its ID token.
func (a *rp) granted(r answer) (out tokens) {
	a.t.Helper()
	if r.status != 200 {
		a.t.Fatalf("no tokens: %d %s", r.status, r.body)
	}
	r.read(a.t, &out)
	out.answer = r
	if out.IDToken != "" {
		out.claims = a.verify(out.IDToken)
		if out.claims["iss"] != a.issuer || out.claims["aud"] != a.ID {
			a.t.Errorf("ID token: %v", out.claims)
		}
	}
	return out
}

// signIn authorizes and exchanges the code.
func (a *rp) signIn(p *person, changes ...string) tokens {
	a.t.Helper()
	back := a.authorize(p, changes...)
	if back.Get("code") == "" {
		a.t.Fatalf("no code: %v", back)
	}
	return a.granted(a.exchange(back.Get("code")))
}

// verify checks a JWT against the published keys, by its kid, and returns its claims. header returns those of its header.
func (o *op) verify(token string) map[string]any {
	o.t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{"ES256", "EdDSA", "PS256", "RS256"})
	if err != nil {
		o.t.Fatalf("%v: %.200s", err, token)
	}
	keys := o.publishedKeys()
	found := keys.Key(parsed.Headers[0].KeyID)
	if len(found) != 1 {
		o.t.Fatalf("%d published keys have the kid %q", len(found), parsed.Headers[0].KeyID)
	}
	claims := map[string]any{}
	if err := parsed.Claims(found[0].Key, &claims); err != nil {
		o.t.Fatalf("signature: %v", err)
	}
	return claims
}

// header is the header of a JWT, unverified.
func header(t *testing.T, token string) (out map[string]any) {
	t.Helper()
	part, _, _ := strings.Cut(token, ".")
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(part)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// json is the object of an answer.
func (r answer) json(t *testing.T) (out map[string]any) {
	t.Helper()
	r.read(t, &out)
	return out
}

func (r answer) read(t *testing.T, into any) {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("%d, not JSON: %v\n%.500s", r.status, err, r.body)
	}
}

// describes is what an error_description may hold (RFC 6749 §5.2).
var describes = regexp.MustCompile(`^[\x20\x21\x23-\x5B\x5D-\x7E]*$`)

// refused expects an OAuth error, one of these, by the book: JSON, nothing cached, a description in RFC 6749's characters, and
// with 401 a challenge.
func (r answer) refused(t *testing.T, status int, codes ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("status %d, want %d: %.300s", r.status, status, r.body)
		return
	}
	out := r.json(t)
	code, _ := out["error"].(string)
	description, _ := out["error_description"].(string)
	if !slices.Contains(codes, code) {
		t.Errorf("error %q, want %q: %.300s", code, codes, r.body)
	}
	if !describes.MatchString(description) {
		t.Errorf("error_description %q", description)
	}
	if extra := slices.DeleteFunc(slices.Collect(maps.Keys(out)), func(k string) bool { return strings.HasPrefix(k, "error") }); len(extra) > 0 {
		t.Errorf("beside the error: %v", extra)
	}
	if cached := r.header.Get("Cache-Control"); cached != "no-store" {
		t.Errorf("Cache-Control %q", cached)
	}
	if challenge := r.header.Get("WWW-Authenticate"); status == 401 && challenge == "" {
		t.Error("401 without a challenge")
	}
}

// refusedBack expects an authorization error response: one of these errors, the state, the issuer, and no code.
func refusedBack(t *testing.T, o *op, back url.Values, codes ...string) {
	t.Helper()
	if !slices.Contains(codes, back.Get("error")) || back.Has("code") || back.Get("state") != "af0ifjsldkj" || back.Get("iss") != o.issuer {
		t.Errorf("%v, want one of %q", back, codes)
	}
	if !describes.MatchString(back.Get("error_description")) {
		t.Errorf("error_description %q", back.Get("error_description"))
	}
	for name := range back {
		if !slices.Contains([]string{"error", "error_description", "error_uri", "state", "session_state", "iss"}, name) {
			t.Errorf("an error response with %s", cmp.Or(name, "a nameless parameter"))
		}
	}
}
