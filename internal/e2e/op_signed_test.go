package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
)

// A shelf is a client's web server: what lies on it is served, and every visit counted.
type shelf struct {
	url string

	mu     sync.Mutex
	body   []byte
	visits int
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{}
	s.url = outside(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.visits++
		_, _ = w.Write(s.body)
	}))
	return s
}

func (s *shelf) put(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = body
}

func (s *shelf) visited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visits
}

func keySet(kid string, key any) []byte {
	return must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: kid, Use: "sig"}}}))
}

func newECKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// publishing is a client with private_key_jwt whose keys lie at an address of its own.
func (o *op) publishing(s *shelf) *rp {
	key := newECKey()
	s.put(keySet("1", key.Public()))
	a := o.client(func(c *idp.Client) { c.AuthMethod, c.JWKSURI = idp.AuthMethodPrivateKey, s.url+"/keys" })
	a.key = key
	return a
}

// object is the client's authorization request as a request object, with changes: name, value, name, value; nil takes a claim
// out.
func (a *rp) object(changes ...any) string {
	now := time.Now().Unix()
	claims := map[string]any{"iss": a.ID, "aud": a.issuer, "nbf": now, "exp": now + 300, "jti": idp.NewID()}
	for name, values := range a.request() {
		claims[name] = values[0]
	}
	for i := 0; i < len(changes); i += 2 {
		name := changes[i].(string)
		claims[name] = changes[i+1]
		if changes[i+1] == nil {
			delete(claims, name)
		}
	}
	return sign(a.t, jose.ES256, a.key, "1", "oauth-authz-req+jwt", claims)
}

func TestOP17ASignedRequestIsUsedAndWhatStandsBesideItIsNot(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPrivateKey }), o.person()
	back := a.authorize(p, "request", a.object("nonce", "signed"), "nonce", "beside", "scope", "openid email")
	got := a.granted(a.exchange(back.Get("code")))
	if back.Get("state") != "af0ifjsldkj" || got.claims["nonce"] != "signed" || got.Scope != "openid" {
		t.Errorf("%v: %v, scope %q", back, got.claims, got.Scope)
	}
	refusedBack(t, o, a.authorize(p, "request", a.object("aud", "https://other.example")), "invalid_request_object")
	stranger := *a
	stranger.key = newECKey()
	refusedBack(t, o, a.authorize(p, "request", stranger.object()), "invalid_request_object")
}

func TestOP17AResponseIsSignedForClientsThatAskForIt(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, alg := range []string{"", "PS256"} {
		a := o.client(func(c *idp.Client) { c.ResponseAlg = alg })
		for _, row := range []struct {
			changes []string
			want    string
		}{
			{[]string{"response_mode", "jwt"}, "code"},
			{[]string{"response_mode", "query.jwt", "prompt", "none", "max_age", "0"}, "error"},
		} {
			back := a.authorize(p, row.changes...)
			if len(back) != 1 {
				t.Fatalf("beside the response: %v", back)
			}
			said := o.verify(back.Get("response"))
			left := time.Until(time.Unix(int64(said["exp"].(float64)), 0))
			if said["iss"] != o.issuer || said["aud"] != a.ID || said["state"] != "af0ifjsldkj" || said[row.want] == nil || left <= 0 || left > 10*time.Minute {
				t.Errorf("%v: %v", row.changes, said)
			}
			if head := header(t, back.Get("response")); alg != "" && head["alg"] != alg {
				t.Errorf("%v", head)
			}
			if code, _ := said["code"].(string); code != "" {
				a.granted(a.exchange(code))
			}
		}
	}
}

func TestOP30KeysAreFetchedAndANewOneIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	s := newShelf(t)
	a := o.publishing(s)
	a.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", "a.b").refused(t, 400, "invalid_grant") // it is known
	a.post("/oauth2/revoke", "token", "x")
	if s.visited() != 1 {
		t.Errorf("fetched %d times", s.visited())
	}
	a.key = newECKey()
	s.put(keySet("2", a.key.Public()))
	rotated := sign(t, jose.ES256, a.key, "2", "", map[string]any{
		"iss": a.ID, "sub": a.ID, "aud": o.issuer, "exp": time.Now().Unix() + 60, "jti": idp.NewID(),
	})
	known := a.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", "a.b", "client_assertion", rotated)
	known.refused(t, 400, "invalid_grant")
	for range 3 {
		a.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", "a.b").refused(t, 401, "invalid_client") // kid 1 is gone
	}
	if s.visited() != 2 {
		t.Errorf("fetched %d times", s.visited())
	}
}

func TestOP30AnAssertionIsForTheIssuerOrTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a := o.client(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPrivateKey })
	try := func(aud any) answer {
		return a.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", "a.b", "client_assertion", a.assertion("aud", aud))
	}
	for _, aud := range []any{o.issuer, o.issuer + "/oauth2/token", []string{o.issuer}, []string{o.issuer + "/oauth2/token", o.issuer}} {
		try(aud).refused(t, 400, "invalid_grant")
	}
	for _, aud := range []any{nil, "https://other.example", []string{o.issuer, "https://other.example"}, o.issuer + "/oauth2/revoke", 1} {
		try(aud).refused(t, 401, "invalid_client")
	}
}

func TestOP32ARequestIsFetchedFromWhereItsClientRegisteredIt(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	s := newShelf(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	address := s.url + "/request.jwt#" + idp.NewID()
	a, p := o.client(func(c *idp.Client) {
		c.Policy, c.RequestURIs, c.RequestObjectAlg = idp.PolicyCompatible, []string{address}, "RS256"
		c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}}}
	}), o.person()
	claims := map[string]any{"iss": a.ID, "aud": o.issuer, "nonce": "fetched"}
	for name, values := range a.request() {
		claims[name] = values[0]
	}
	s.put([]byte(sign(t, jose.RS256, key, "1", "", claims)))
	got := a.granted(a.exchange(a.authorize(p, "request_uri", address).Get("code")))
	if got.claims["nonce"] != "fetched" || s.visited() != 1 {
		t.Errorf("%v, fetched %d times", got.claims, s.visited())
	}
	refusedBack(t, o, a.authorize(p, "request_uri", s.url+"/request.jwt"), "invalid_request_uri")
	if s.visited() != 1 {
		t.Error("an address that is not registered was fetched")
	}
	if algs, _ := o.metadata()["request_object_signing_alg_values_supported"].([]any); !slices.Contains(algs, any("RS256")) {
		t.Errorf("announced: %v", algs)
	}
}

// fapi is a client of policy fapi2 with private_key_jwt, and with an RSA key beside its own.
func (o *op) fapi(change func(*idp.Client)) (*rp, *rsa.PrivateKey) {
	o.t.Helper()
	key, rsaKey := newECKey(), must(rsa.GenerateKey(rand.Reader, 2048))
	a := o.client(func(c *idp.Client) {
		c.Policy, c.AuthMethod = idp.PolicyFAPI2, idp.AuthMethodPrivateKey
		c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Use: "sig"}, {Key: rsaKey.Public(), KeyID: "2", Use: "sig"}}}
		if change != nil {
			change(c)
		}
	})
	a.key = key
	return a, rsaKey
}

// parameters are those of form as changes of another one.
func parameters(form url.Values) (list []string) {
	for name, values := range form {
		list = append(list, name, values[0])
	}
	return list
}

func TestOP42AssertionsOfFAPIClientsAreForTheIssuerAloneAndFresh(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, rsaKey := o.fapi(nil)
	other, _ := o.fapi(nil)
	push := func(assertion string) answer {
		return a.post("/oauth2/par", append(parameters(a.request()), "client_assertion", assertion)...)
	}
	now := time.Now().Unix()
	with := func(alg jose.SignatureAlgorithm) string {
		return sign(t, alg, rsaKey, "2", "", map[string]any{"iss": a.ID, "sub": a.ID, "aud": o.issuer, "exp": now + 60, "jti": idp.NewID()})
	}
	for name, assertion := range map[string]string{
		"ES256": a.assertion(), "PS256": with(jose.PS256), "8 s ahead": a.assertion("iat", now+8, "nbf", now+8), "no iat": a.assertion("iat", nil),
	} {
		if r := push(assertion); r.status != 201 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	used := a.assertion()
	push(used)
	for name, assertion := range map[string]string{
		"aud an array":                a.assertion("aud", []string{o.issuer}),
		"aud the token endpoint":      a.assertion("aud", o.issuer+"/oauth2/token"),
		"aud the PAR endpoint":        a.assertion("aud", o.issuer+"/oauth2/par"),
		"aud another provider":        a.assertion("aud", "https://other.example"),
		"no aud":                      a.assertion("aud", nil),
		"no sub":                      a.assertion("sub", nil),
		"no iss":                      a.assertion("iss", nil),
		"no exp":                      a.assertion("exp", nil),
		"no jti":                      a.assertion("jti", nil),
		"exp 5 minutes past":          a.assertion("exp", now-300),
		"iat over 60 s ahead":         a.assertion("iat", now+70),
		"nbf over 60 s ahead":         a.assertion("nbf", now+70),
		"RS256":                       with(jose.RS256),
		"another client's key":        func() string { b := *a; b.key = other.key; return b.assertion() }(),
		"used before":                 used,
		"none":                        "eyJhbGciOiJub25lIn0.e30.",
		"not a JWT":                   "x",
		"of another client, as ours":  other.assertion("iss", a.ID, "sub", a.ID),
		"of another client, in truth": other.assertion(),
	} {
		t.Run(name, func(t *testing.T) {
			r := push(assertion)
			if r.status == 400 { // client_id beside it is another client's
				r.refused(t, 400, "invalid_request")
				return
			}
			r.refused(t, 401, "invalid_client")
		})
	}
}

func TestOP49RequestObjectsOfFAPIClientsAreSignedWellAndFresh(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, rsaKey := o.fapi(func(c *idp.Client) { c.RequireSignedRequest = true })
	other, _ := o.fapi(nil)
	push := func(object string) answer { return a.post("/oauth2/par", "request", object) }
	now := time.Now().Unix()
	with := func(alg jose.SignatureAlgorithm) string {
		claims := map[string]any{"iss": a.ID, "aud": o.issuer, "nbf": now, "exp": now + 300}
		for name, values := range a.request() {
			claims[name] = values[0]
		}
		return sign(t, alg, rsaKey, "2", "", claims)
	}
	for name, object := range map[string]string{
		"ES256": a.object(), "PS256": with(jose.PS256), "aud an array with the issuer": a.object("aud", []string{"https://other.example", o.issuer}),
		"nbf 8 s ahead": a.object("nbf", now+8), "nbf 50 minutes ago": a.object("nbf", now-3000, "exp", now+300),
	} {
		if r := push(object); r.status != 201 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	stranger := *a
	stranger.key = other.key
	for name, object := range map[string]string{
		"no exp":                     a.object("exp", nil),
		"no nbf":                     a.object("nbf", nil),
		"exp over an hour after nbf": a.object("exp", now+3700),
		"nbf over an hour ago":       a.object("nbf", now-3700, "exp", now+300),
		"nbf over 60 s ahead":        a.object("nbf", now+70),
		"expired":                    a.object("nbf", now-600, "exp", now-300),
		"no aud":                     a.object("aud", nil),
		"aud another provider":       a.object("aud", "https://other.example"),
		"RS256":                      with(jose.RS256),
		"none":                       "eyJhbGciOiJub25lIn0." + strings.Split(a.object(), ".")[1] + ".",
		"a bad signature":            a.object()[:len(a.object())-8] + "AAAAAAAA",
		"another client's key":       stranger.object(),
		"another client's":           other.object(),
		"not a JWT":                  "x",
	} {
		t.Run(name, func(t *testing.T) { push(object).refused(t, 400, "invalid_request_object") })
	}
	a.post("/oauth2/par", parameters(a.request())...).refused(t, 400, "invalid_request") // not signed
}

func TestOP49AnAnswerToAFAPIClientIsOneSignedParameter(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, alg := range []string{"ES256", "PS256"} {
		a, _ := o.fapi(func(c *idp.Client) { c.ResponseAlg = alg })
		r := a.post("/oauth2/par", "request", a.object("response_mode", "jwt"))
		reference, _ := r.json(t)["request_uri"].(string)
		back := p.through(p.open("/oauth2/authorize?" + url.Values{"client_id": {a.ID}, "request_uri": {reference}}.Encode()))
		if len(back) != 1 {
			t.Fatalf("%s: beside the response: %v", alg, back)
		}
		said, head := o.verify(back.Get("response")), header(t, back.Get("response"))
		left := time.Until(time.Unix(int64(said["exp"].(float64)), 0))
		if said["iss"] != o.issuer || said["aud"] != a.ID || said["code"] == nil || said["state"] != "af0ifjsldkj" || left <= 0 || left > 10*time.Minute {
			t.Errorf("%s: %v", alg, said)
		}
		if head["alg"] != alg || head["kid"] == nil {
			t.Errorf("%s: %v", alg, head)
		}
	}
}
