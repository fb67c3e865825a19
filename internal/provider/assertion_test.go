package provider

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/keys/keystest"
	"github.com/stepward/stepward/internal/oauth"
)

// clientKeys are private keys of clients, by algorithm, shared by all tests.
var clientKeys = sync.OnceValue(func() map[string]crypto.Signer {
	made := map[string]crypto.Signer{}
	for _, alg := range idp.AssertionAlgorithms {
		made[alg] = keystest.NewKey(nobody{}, alg)
	}
	return made
})

// nobody stands in for a test, because the keys are created once for all tests.
type nobody struct{ testing.TB }

func (nobody) Helper() {}

// addKeyClient stores a client that authenticates with keys of these algorithms.
func (h *house) addKeyClient(f func(*idp.Client), algs ...string) idp.Client {
	h.t.Helper()
	return h.addClient(func(c *idp.Client) {
		c.AuthMethod, c.Secrets, c.JWKS, c.ResourceServer = idp.AuthMethodPrivateKey, nil, &jose.JSONWebKeySet{}, true
		for _, alg := range algs {
			c.JWKS.Keys = append(c.JWKS.Keys, jose.JSONWebKey{Key: clientKeys()[alg].Public(), KeyID: "kid-" + alg, Use: "sig"})
		}
		if f != nil {
			f(c)
		}
	})
}

// A wording is an assertion under construction: header and claims chosen by the test, signed with alg whatever the
// header says.
type wording struct {
	key    any // private; []byte: HMAC
	alg    string
	header map[string]any
	claims map[string]any
	raw    string // the payload instead of claims
}

// goodAssertion returns a valid assertion.
func (h *house) goodAssertion(c idp.Client) *wording {
	return &wording{
		key: clientKeys()[keys.ES256], alg: keys.ES256, header: map[string]any{"alg": keys.ES256, "kid": "kid-ES256"},
		claims: map[string]any{"iss": c.ID, "sub": c.ID, "aud": h.url, "exp": time.Now().Unix() + 60, "iat": time.Now().Unix(), "jti": idp.NewID()},
	}
}

func (w *wording) text(t testing.TB) string {
	t.Helper()
	header, err := json.Marshal(w.header)
	check(t, err)
	payload := []byte(w.raw)
	if w.raw == "" {
		payload, err = json.Marshal(w.claims)
		check(t, err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	input := enc(header) + "." + enc(payload)
	var sig []byte
	switch key := w.key.(type) {
	case crypto.Signer:
		sig = keystest.Sign(t, w.alg, key, []byte(input))
	case []byte: // go-jose, for what we have no signer for
		var s jose.Signer
		s, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(w.alg), Key: key}, nil)
		check(t, err)
		var jws *jose.JSONWebSignature
		jws, err = s.Sign(payload)
		check(t, err)
		text, err := jws.CompactSerialize()
		check(t, err)
		return text
	}
	check(t, err)
	return input + "." + enc(sig)
}

// withAssertion adds an assertion to a form.
func withAssertion(form url.Values, text string) url.Values {
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", text)
	return form
}

// believes sends an assertion with a token request that is otherwise valid, except that its code does not exist; only
// an authenticated client is told that. It reports whether the client was authenticated.
func (h *house) believes(text string, params ...string) (bool, reply) {
	h.t.Helper()
	form := withAssertion(exchangeForm("no-such-code"), text)
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	r := h.post(oauth.PathToken, form)
	if code := r.json(h.t)["error"]; r.StatusCode == 400 && (code == "invalid_grant" || code == "invalid_dpop_proof") { // what comes next
		return true, r
	}
	wantError(h.t, r, 401, "invalid_client")
	if r.json(h.t)["error_description"] != "client authentication failed" || !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic ") {
		h.t.Errorf("%s, challenge %q: an assertion was refused in another way than a secret", r.body, r.Header.Get("WWW-Authenticate"))
	}
	return false, r
}

func TestAClientAuthenticatesWithItsKeyAtEveryEndpoint(t *testing.T) {
	h := open(t)
	u := h.addUser()
	meta := h.get("/.well-known/openid-configuration").json(t)
	for _, name := range []string{"token", "revocation", "introspection"} {
		var announced []string
		for _, alg := range meta[name+"_endpoint_auth_signing_alg_values_supported"].([]any) {
			announced = append(announced, alg.(string))
		}
		if !slices.Equal(announced, []string{keys.ES256, keys.EdDSA, keys.PS256, keys.RS256}) {
			t.Errorf("%s: %v announced", name, announced)
		}
		if !slices.Contains(meta[name+"_endpoint_auth_methods_supported"].([]any), any("private_key_jwt")) {
			t.Errorf("%s: private_key_jwt is not announced", name)
		}
	}
	for _, alg := range []string{keys.ES256, keys.EdDSA, keys.PS256, keys.RS256} {
		c := h.addKeyClient(nil, alg)
		proof := func() string {
			w := h.goodAssertion(c)
			w.key, w.alg, w.header = clientKeys()[alg], alg, map[string]any{"alg": alg, "kid": "kid-" + alg, "typ": "JWT"}
			return w.text(t)
		}
		r := h.post(oauth.PathToken, withAssertion(exchangeForm(h.code(c, u, "scope", "openid offline_access")), proof()))
		if r.StatusCode != 200 {
			t.Fatalf("%s: code: %d %s", alg, r.StatusCode, r.body)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.json(t)["refresh_token"].(string)}, "client_id": {c.ID}}
		r = h.post(oauth.PathToken, withAssertion(form, proof()))
		if r.StatusCode != 200 {
			t.Fatalf("%s: refresh: %d %s", alg, r.StatusCode, r.body)
		}
		token := url.Values{"token": {r.json(t)["access_token"].(string)}}
		if r := h.post(oauth.PathIntrospect, withAssertion(token, proof())); r.StatusCode != 200 || r.json(t)["active"] != true {
			t.Errorf("%s: introspection: %d %s", alg, r.StatusCode, r.body)
		}
		if r := h.post(oauth.PathRevoke, withAssertion(token, proof())); r.StatusCode != 200 {
			t.Errorf("%s: revocation: %d %s", alg, r.StatusCode, r.body)
		}
		if r := h.post(oauth.PathIntrospect, withAssertion(token, proof())); r.StatusCode != 200 || r.json(t)["active"] != false {
			t.Errorf("%s: after revocation: %d %s", alg, r.StatusCode, r.body)
		}
		for _, path := range []string{oauth.PathIntrospect, oauth.PathRevoke} {
			bad := h.post(path, withAssertion(token, proof()+"A"))
			wantError(t, bad, 401, "invalid_client")
		}
	}
}

func TestInvalidAssertionsAreRejected(t *testing.T) {
	h := open(t)
	mine := h.addKeyClient(nil, keys.ES256, keys.RS256, keys.PS256)
	strict := h.addKeyClient(func(c *idp.Client) { c.Policy = "" }, keys.ES256, keys.RS256) // a policy that waives nothing
	fixed := h.addKeyClient(func(c *idp.Client) { c.AuthAlg = keys.PS256 }, keys.ES256, keys.PS256)
	pinned := h.addKeyClient(func(c *idp.Client) { c.JWKS.Keys[0].Algorithm = keys.PS256 }, keys.RS256)
	secretive := h.addClient(nil)
	other := h.addKeyClient(func(c *idp.Client) {
		c.JWKS.Keys = []jose.JSONWebKey{{Key: clientKeys()[keys.EdDSA].Public()}}
	})
	stranger := keystest.NewKey(t, keys.ES256)
	now := time.Now().Unix()
	claim := func(name string, v any) func(*wording) { return func(w *wording) { w.claims[name] = v } }
	without := func(name string) func(*wording) { return func(w *wording) { delete(w.claims, name) } }
	header := func(name string, v any) func(*wording) { return func(w *wording) { w.header[name] = v } }
	rs256 := func(w *wording) {
		w.key, w.alg, w.header = clientKeys()[keys.RS256], keys.RS256, map[string]any{"alg": keys.RS256}
	}
	ps256 := func(w *wording) {
		w.key, w.alg, w.header = clientKeys()[keys.PS256], keys.PS256, map[string]any{"alg": keys.PS256}
	}
	object := func(more string) func(*wording) {
		return func(w *wording) {
			b, err := json.Marshal(w.claims)
			check(t, err)
			w.raw = strings.TrimSuffix(string(b), "}") + "," + more + "}"
		}
	}
	nothing := func(*wording) {}
	for _, row := range []struct {
		name string
		of   idp.Client
		bend func(*wording)
		ok   bool
	}{
		{"as it should be", mine, nothing, true},
		{"typ JWT", mine, header("typ", "JWT"), true},
		{"typ jwt", mine, header("typ", "jwt"), true},
		{"typ client-authentication+jwt", mine, header("typ", "client-authentication+jwt"), true},
		{"no kid", mine, func(w *wording) { delete(w.header, "kid") }, true},
		{"no iat", mine, without("iat"), true},
		{"aud an array of the issuer", mine, claim("aud", []string{h.url}), true},
		{"aud the token endpoint", mine, claim("aud", h.url+oauth.PathToken), true},
		{"aud issuer and token endpoint", mine, claim("aud", []string{h.url, h.url + oauth.PathToken}), true},
		{"RS256", mine, rs256, true},
		{"PS256 where it is the one", fixed, ps256, true},
		{"exp in an hour", mine, claim("exp", now+3600), true},
		{"exp with a fraction", mine, claim("exp", float64(now)+60.5), true},
		{"nbf and iat 8 s ahead", mine, func(w *wording) { w.claims["nbf"], w.claims["iat"] = now+8, now+8 }, true},
		{"an unknown claim", mine, claim("x", []int{1}), true},
		{"the strict policy", strict, nothing, true},

		{"the strict policy: an array", strict, claim("aud", []string{h.url}), false},
		{"the strict policy: the token endpoint", strict, claim("aud", h.url+oauth.PathToken), false},
		{"the strict policy: RS256", strict, rs256, false},
		{"another algorithm than the registered one", fixed, nothing, false},
		{"another algorithm than that of its key", pinned, rs256, false},

		{"typ at+jwt", mine, header("typ", "at+jwt"), false},
		{"typ dpop+jwt", mine, header("typ", "dpop+jwt"), false},
		{"typ oauth-authz-req+jwt", mine, header("typ", "oauth-authz-req+jwt"), false},
		{"typ empty", mine, header("typ", ""), false},
		{"typ a number", mine, header("typ", 1), false},
		{"crit", mine, func(w *wording) { w.header["crit"], w.header["x"] = []string{"x"}, 1 }, false},
		{"b64", mine, func(w *wording) { w.header["crit"], w.header["b64"] = []string{"b64"}, true }, false},
		{"alg none", mine, func(w *wording) { w.key, w.header = nil, map[string]any{"alg": "none"} }, false},
		{"alg none over a signature", mine, header("alg", "none"), false},
		{"alg missing", mine, func(w *wording) { delete(w.header, "alg") }, false},
		{"alg of another key", mine, header("alg", "PS256"), false},
		{"HS256 with the public key as secret", mine, func(w *wording) {
			w.key, w.alg = mine.JWKS.Keys[1].Key.(*rsa.PublicKey).N.Bytes(), "HS256"
		}, false},
		{"alg ES384", mine, header("alg", "ES384"), false},
		{"a key of nobody", mine, func(w *wording) { w.key = stranger }, false},
		{"a key that it brings itself", mine, func(w *wording) {
			w.key, w.header["jwk"] = stranger, jose.JSONWebKey{Key: stranger.Public()}
		}, false},
		{"another kid", mine, header("kid", "kid-RS256"), false},
		{"an unknown kid", mine, header("kid", "x"), false},
		{"kid a number", mine, header("kid", 1), false},

		{"of another client, in whose name it is", other, nothing, false},
		{"of another client with that client's key", other, func(w *wording) {
			w.key, w.alg, w.header = clientKeys()[keys.EdDSA], keys.EdDSA, map[string]any{"alg": keys.EdDSA}
			w.claims["iss"], w.claims["sub"] = mine.ID, mine.ID
		}, false},
		{"of a client that has a secret", secretive, nothing, false},
		{"of nobody", idp.Client{ID: "nobody"}, nothing, false},
		{"no iss", mine, without("iss"), false},
		{"another iss", mine, claim("iss", other.ID), false},
		{"iss the issuer", mine, claim("iss", h.url), false},
		{"no sub", mine, without("sub"), false},
		{"another sub", mine, claim("sub", other.ID), false},
		{"sub a number", mine, claim("sub", 1), false},
		{"sub of 129 characters", mine, func(w *wording) { long := strings.Repeat("x", 129); w.claims["iss"], w.claims["sub"] = long, long }, false},
		{"no aud", mine, without("aud"), false},
		{"aud null", mine, claim("aud", nil), false},
		{"aud empty", mine, claim("aud", ""), false},
		{"aud an empty array", mine, claim("aud", []string{}), false},
		{"aud a number", mine, claim("aud", 1), false},
		{"aud another provider", mine, claim("aud", "https://other.example"), false},
		{"aud another provider besides", mine, claim("aud", []string{h.url, "https://other.example"}), false},
		{"aud the issuer and a slash", mine, claim("aud", h.url+"/"), false},
		{"aud the introspection endpoint", mine, claim("aud", h.url+oauth.PathIntrospect), false},
		{"aud the client", mine, claim("aud", mine.ID), false},
		{"no exp", mine, without("exp"), false},
		{"exp null", mine, claim("exp", nil), false},
		{"exp a string", mine, claim("exp", "1"), false},
		{"exp now", mine, claim("exp", now), false},
		{"exp five minutes ago", mine, claim("exp", now-300), false},
		{"exp in two hours", mine, claim("exp", now+7200), false},
		{"exp in ten thousand years", mine, claim("exp", 1e300), false},
		{"exp beyond all numbers", mine, func(w *wording) { delete(w.claims, "exp"); object(`"exp":1e999`)(w) }, false},
		{"exp before all time", mine, claim("exp", -math.MaxFloat64), false},
		{"nbf in 61 s", mine, claim("nbf", now+61), false},
		{"nbf in an hour", mine, claim("nbf", now+3600), false},
		{"iat in 61 s", mine, claim("iat", now+61), false},
		{"iat a string", mine, claim("iat", "now"), false},
		{"no jti", mine, without("jti"), false},
		{"jti empty", mine, claim("jti", ""), false},
		{"jti a number", mine, claim("jti", 7), false},
		{"a claim twice", mine, object(`"aud":"` + h.url + `"`), false},
		{"a claim in capitals", mine, func(w *wording) { w.claims["EXP"] = w.claims["exp"]; delete(w.claims, "exp") }, false},
		{"not an object", mine, func(w *wording) { w.raw = `["iss"]` }, false},
		{"not JSON", mine, func(w *wording) { w.raw = `iss` }, false},
		{"longer than 8 KiB", mine, claim("x", strings.Repeat("x", 8<<10)), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := h.goodAssertion(row.of)
			row.bend(w)
			if got, r := h.believes(w.text(t)); got != row.ok {
				t.Errorf("believed %v, %s", got, r.body)
			}
		})
	}
	good := func() string { return h.goodAssertion(mine).text(t) }
	for name, text := range map[string]string{
		"one part": "x", "two parts": "a.b", "four parts": good() + ".x", "no signature": good()[:strings.LastIndex(good(), ".")+1],
		"a line break": strings.Replace(good(), ".", ".\n", 1), "a blank": " " + good(), "padding": good() + "==",
		"JSON serialization": `{"payload":"","signatures":[]}`, "an ID token of ours": h.tokens(secretive, h.addUser())["id_token"].(string),
	} {
		if got, _ := h.believes(text); got {
			t.Errorf("%s: believed", name)
		}
	}
	if got, _ := h.believes(good(), "client_id", mine.ID); !got {
		t.Error("refused together with its client_id")
	}
	if got, _ := h.believes(good(), "client_id", other.ID); got {
		t.Error("believed beside another client_id") // RFC 7521 §4.2
	}
}

func TestAnAssertionIsUsedOnce(t *testing.T) {
	h := open(t)
	c, d := h.addKeyClient(nil, keys.ES256), h.addKeyClient(nil, keys.ES256)
	w := h.goodAssertion(c)
	text := w.text(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	believed := 0
	for range 8 {
		wg.Go(func() {
			ok, _ := h.believes(text)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				believed++
			}
		})
	}
	wg.Wait()
	if believed != 1 {
		t.Errorf("believed %d times", believed)
	}
	wantError(t, h.post(oauth.PathIntrospect, withAssertion(url.Values{"token": {"x"}}, text)), 401, "invalid_client") // nor elsewhere
	w.claims["exp"] = time.Now().Unix() + 120
	if ok, _ := h.believes(w.text(t)); ok {
		t.Error("another assertion with a used jti was believed")
	}
	same := h.goodAssertion(d)
	same.claims["jti"] = w.claims["jti"]
	if ok, _ := h.believes(same.text(t)); !ok {
		t.Error("one client's jti uses up another's")
	}
}

func TestARejectedAssertionUsesUpNothing(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	w := h.goodAssertion(c)
	text := w.text(t)
	stranger := keystest.NewKey(t, keys.ES256)
	w.key = stranger
	if ok, _ := h.believes(w.text(t)); ok {
		t.Error("a stranger was believed")
	}
	if ok, _ := h.believes(text); !ok {
		t.Error("a stranger used up the client's jti")
	}
}

func TestAnAssertionIsRememberedAsLongAsItWouldHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c := h.addKeyClient(nil, keys.ES256)
		w := h.goodAssertion(c)
		w.claims["exp"] = time.Now().Unix() + 300
		text := w.text(t)
		for i := range 6 {
			if ok, _ := h.believes(text); ok != (i == 0) {
				t.Errorf("after %d minutes: believed %v", i, ok)
			}
			time.Sleep(time.Minute - 100*time.Millisecond)
		}
	})
}

func TestTheRegisteredMethodIsTheOnlyOneForKeysToo(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(func(c *idp.Client) {
		c.Secrets = []idp.ClientSecret{{ID: "s1", Hash: clientSecret.Hash()}} // left from before
	}, keys.ES256)
	text := func() string { return h.goodAssertion(c).text(t) }
	form := func(pairs ...string) url.Values {
		v := exchangeForm("no-such-code")
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, row := range []struct {
		name   string
		form   url.Values
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"its secret in the header", form(), basic(c), 401, "invalid_client"},
		{"its secret in the form", form("client_id", c.ID, "client_secret", clientSecret.Reveal()), nil, 401, "invalid_client"},
		{"nothing", form("client_id", c.ID), nil, 401, "invalid_client"},
		{"assertion and header", withAssertion(form(), text()), basic(c), 400, "invalid_request"},
		{"assertion and secret", withAssertion(form("client_secret", "x"), text()), nil, 400, "invalid_request"},
		{"assertion and empty secret, which is none", withAssertion(form("client_secret", ""), text()), nil, 400, "invalid_grant"},
		{"no type", form("client_assertion", text()), nil, 401, "invalid_client"},
		{"another type", form("client_assertion", text(), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), nil, 401, "invalid_client"},
		{"a type and no assertion", form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), nil, 401, "invalid_client"},
		{"an empty assertion", withAssertion(form("client_id", c.ID), ""), nil, 401, "invalid_client"},
		{"an assertion in the address", form(), func(r *http.Request) { r.URL.RawQuery = withAssertion(url.Values{}, text()).Encode() }, 400, "invalid_request"},
	} {
		edit := row.edit
		if edit == nil {
			edit = func(*http.Request) {}
		}
		t.Run(row.name, func(t *testing.T) { wantError(t, h.post(oauth.PathToken, row.form, edit), row.status, row.code) })
	}
	if ok, _ := h.believes(text()); !ok {
		t.Error("its assertion is refused")
	}
}

func TestARejectedAssertionIsExplainedOnlyInTheLog(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	w := h.goodAssertion(c)
	text := w.text(t)
	h.believes(text)
	if ok, r := h.believes(text); ok || strings.Contains(r.body, "used") {
		t.Errorf("believed %v, %s", ok, r.body)
	}
	log := h.log.String()
	if !strings.Contains(log, `client_refused="the assertion was already used"`) || strings.Contains(log, text) || strings.Contains(log, w.claims["jti"].(string)) {
		t.Errorf("log: %s", log)
	}
	check(t, h.eph.Close())
	wantError(t, h.post(oauth.PathToken, withAssertion(exchangeForm("x"), h.goodAssertion(c).text(t))), 503, "temporarily_unavailable")
}
