package provider

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/keys/keystest"
	"github.com/stepward/stepward/internal/oauth"
)

// goodObject returns the valid request of request as a request object that expires in five minutes.
func (h *house) goodObject(c idp.Client) *wording {
	claims := map[string]any{"iss": c.ID, "aud": h.url, "exp": time.Now().Unix() + 300, "nbf": time.Now().Unix(), "jti": idp.NewID()}
	for name, values := range request(c) {
		claims[name] = values[0]
	}
	return &wording{
		key: clientKeys()[keys.ES256], alg: keys.ES256, claims: claims,
		header: map[string]any{"alg": keys.ES256, "kid": "kid-ES256", "typ": "oauth-authz-req+jwt"},
	}
}

// signed returns an authorization request with a request object and the parameters that OAuth requires outside it.
func signed(c idp.Client, object string, params ...string) url.Values {
	v := url.Values{"client_id": {c.ID}, "request": {object}}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	return v
}

// byAddress sends a request with a request object at a URL, registered or not.
func (h *house) byAddress(registered bool) reply {
	h.t.Helper()
	var text atomic.Value
	address := elsewhere(h.t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text.Load().(string))) })
	c := h.addKeyClient(func(c *idp.Client) {
		if registered {
			c.RequestURIs = []string{address}
		}
	}, keys.ES256)
	text.Store(h.goodObject(c).text(h.t))
	return h.authorize(url.Values{"client_id": {c.ID}, "request_uri": {address}})
}

func TestOnlyParametersOfTheRequestObjectCount(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	w := h.goodObject(c)
	w.claims["max_age"], w.claims["prompt"], w.claims["acr_values"] = 60, "consent", "phrh"
	w.claims["claims"] = map[string]any{"userinfo": map[string]any{"name": nil}}
	w.claims["unheard_of"], w.claims["login_hint"] = []int{1}, nil
	plain := request(c, "max_age", "60", "prompt", "consent", "acr_values", "phrh", "claims", `{"userinfo":{"name":null}}`)
	if r := h.authorize(plain); !interacts(r) {
		t.Fatal(r.Header.Get("Location"))
	}
	want := h.last
	for name, form := range map[string]url.Values{
		"with nothing beside it": signed(c, w.text(t)),
		"with what does not count": signed(c, w.text(t), "scope", "payments", "state", "other", "redirect_uri", "https://evil.example/", "prompt", "none",
			"nonce", "other", "code_challenge", strings.Repeat("x", 43), "response_mode", "form_post", "max_age", "x", "login_hint", "eve"),
		"with what OIDC Core 6.1 wants": signed(c, w.text(t), "response_type", "code", "scope", "openid"),
		"with an empty request_uri":     signed(c, w.text(t), "request_uri", ""),
	} {
		h.last = idp.Interaction{}
		if r := h.authorize(form); !interacts(r) {
			t.Errorf("%s: %d to %q: %s", name, r.StatusCode, r.Header.Get("Location"), r.body)
		}
		if d := cmp.Diff(want.Request, h.last.Request) + cmp.Diff(want.Requirement, h.last.Requirement); d != "" {
			t.Errorf("%s (-plain +signed):\n%s", name, d)
		}
	}
	r := h.post(oauth.PathAuthorize, signed(c, w.text(t)))
	if !interacts(r) {
		t.Errorf("posted: %d %s", r.StatusCode, r.body)
	}
	form := signed(c, w.text(t), "state", "other", "scope", "payments")
	r = h.post(oauth.PathPAR, withAssertion(form, h.goodAssertion(c).text(t)))
	if r.StatusCode != 201 {
		t.Fatalf("pushed: %d %s", r.StatusCode, r.body)
	}
	got := h.begun(c, r.json(t)["request_uri"].(string))
	got.Request.Pushed = ""
	if d := cmp.Diff(want.Request, got.Request); d != "" {
		t.Errorf("pushed (-plain +signed):\n%s", d)
	}
}

func TestRequestObjectsOfEachAlgorithmAreAccepted(t *testing.T) {
	h := open(t)
	for _, alg := range []string{keys.ES256, keys.EdDSA, keys.PS256, keys.RS256} {
		c := h.addKeyClient(nil, alg)
		w := h.goodObject(c)
		w.key, w.alg, w.header = clientKeys()[alg], alg, map[string]any{"alg": alg, "kid": "kid-" + alg}
		if r := h.authorize(signed(c, w.text(t))); !interacts(r) {
			t.Errorf("%s: %d to %q: %s", alg, r.StatusCode, r.Header.Get("Location"), r.body)
		}
	}
}

func TestInvalidRequestObjectsAreRejected(t *testing.T) {
	h := open(t)
	mine := h.addKeyClient(nil, keys.ES256, keys.RS256)
	strict := h.addKeyClient(func(c *idp.Client) { c.Policy = idp.PolicyFAPI2 }, keys.ES256, keys.RS256)
	fixed := h.addKeyClient(func(c *idp.Client) { c.RequestObjectAlg = keys.PS256 }, keys.ES256, keys.PS256)
	other := h.addKeyClient(func(c *idp.Client) {
		c.JWKS.Keys = []jose.JSONWebKey{{Key: clientKeys()[keys.EdDSA].Public()}}
	})
	keyless := h.addClient(nil)
	stranger := keystest.NewKey(t, keys.ES256)
	now := time.Now().Unix()
	claim := func(name string, v any) func(*wording) { return func(w *wording) { w.claims[name] = v } }
	without := func(name string) func(*wording) { return func(w *wording) { delete(w.claims, name) } }
	header := func(name string, v any) func(*wording) { return func(w *wording) { w.header[name] = v } }
	times := func(nbf, exp int64) func(*wording) {
		return func(w *wording) { w.claims["nbf"], w.claims["exp"] = now+nbf, now+exp }
	}
	rs256 := func(w *wording) {
		w.key, w.alg, w.header = clientKeys()[keys.RS256], keys.RS256, map[string]any{"alg": keys.RS256}
	}
	again := func(member string) func(*wording) {
		return func(w *wording) {
			b, err := json.Marshal(w.claims)
			check(t, err)
			w.raw = strings.TrimSuffix(string(b), "}") + "," + member + "}"
		}
	}
	const object, request = "invalid_request_object", "invalid_request"
	for _, row := range []struct {
		name string
		of   idp.Client
		bend func(*wording)
		code string // empty: it is taken
	}{
		{"as it should be", mine, func(*wording) {}, ""},
		{"typ JWT", mine, header("typ", "JWT"), ""},
		{"no typ", mine, func(w *wording) { delete(w.header, "typ") }, ""},
		{"no kid", mine, func(w *wording) { delete(w.header, "kid") }, ""},
		{"aud among others", mine, claim("aud", []string{"https://other.example", h.url}), ""},
		{"no iss", mine, without("iss"), ""},
		{"no jti", mine, without("jti"), ""},
		{"no exp", mine, without("exp"), ""},
		{"no nbf", mine, without("nbf"), ""},
		{"RS256", mine, rs256, ""},
		{"nbf and iat 8 s ahead", mine, func(w *wording) { w.claims["nbf"], w.claims["iat"] = now+8, now+8 }, ""},
		{"exp in a day", mine, times(0, 86400), ""},
		{"max_age a string", mine, claim("max_age", "60"), ""},
		{"claims a string", mine, claim("claims", `{"id_token":{}}`), ""},
		{"the strict policy", strict, func(*wording) {}, ""},
		{"the strict policy: aud among others", strict, claim("aud", []string{h.url, "https://other.example"}), ""},
		{"the strict policy: an hour", strict, times(0, 3600), ""},
		{"the strict policy: since 59 minutes", strict, times(-3540, 30), ""},
		{"the strict policy: nbf 8 s ahead", strict, times(8, 300), ""},

		{"the strict policy: no exp", strict, without("exp"), object},
		{"the strict policy: no nbf", strict, without("nbf"), object},
		{"the strict policy: exp null", strict, claim("exp", nil), object},
		{"the strict policy: more than an hour", strict, times(0, 3610), object},
		{"the strict policy: since 61 minutes", strict, times(-3660, -60), object},
		{"the strict policy: since 61 minutes, still good", strict, times(-3660, 30), object},
		{"the strict policy: RS256", strict, rs256, object},
		{"another algorithm than the registered one", fixed, func(*wording) {}, object},
		{"exp now", mine, claim("exp", now), object},
		{"exp five minutes ago", mine, claim("exp", now-300), object},
		{"exp a string", mine, claim("exp", "never"), object},
		{"nbf in 61 s", mine, claim("nbf", now+61), object},
		{"iat in 61 s", mine, claim("iat", now+61), object},
		{"typ at+jwt", mine, header("typ", "at+jwt"), object},
		{"typ client-authentication+jwt", mine, header("typ", "client-authentication+jwt"), object},
		{"typ dpop+jwt", mine, header("typ", "dpop+jwt"), object},
		{"typ a number", mine, header("typ", 1), object},
		{"crit", mine, func(w *wording) { w.header["crit"], w.header["x"] = []string{"x"}, 1 }, object},
		{"b64", mine, func(w *wording) { w.header["crit"], w.header["b64"] = []string{"b64"}, true }, object},
		{"alg none", mine, func(w *wording) { w.key, w.header = nil, map[string]any{"alg": "none"} }, object},
		{"alg none over a signature", mine, header("alg", "none"), object},
		{"HS256 with the client's secret", keyless, func(w *wording) {
			w.key, w.alg, w.header = []byte(strings.Repeat(clientSecret.Reveal(), 2)), "HS256", map[string]any{"alg": "HS256"}
		}, object},
		{"a key of nobody", mine, func(w *wording) { w.key = stranger }, object},
		{"a key that it brings itself", mine, func(w *wording) {
			w.key, w.header["jwk"] = stranger, jose.JSONWebKey{Key: stranger.Public()}
		}, object},
		{"another kid", mine, header("kid", "kid-RS256"), object},
		{"another client's key", other, func(*wording) {}, object},
		{"of a client without keys", keyless, func(*wording) {}, object},
		{"no client_id", mine, without("client_id"), object},
		{"another client_id", mine, claim("client_id", other.ID), object},
		{"another iss", mine, claim("iss", other.ID), object},
		{"sub the client", mine, claim("sub", mine.ID), object},
		{"no aud", mine, without("aud"), object},
		{"aud null", mine, claim("aud", nil), object},
		{"aud an empty array", mine, claim("aud", []string{}), object},
		{"aud another provider", mine, claim("aud", "https://other.example"), object},
		{"aud the authorization endpoint", mine, claim("aud", h.url+oauth.PathAuthorize), object},
		{"aud a number", mine, claim("aud", 1), object},
		{"request inside", mine, claim("request", "a.b.c"), object},
		{"request_uri inside", mine, claim("request_uri", "https://app.example/r"), object},
		{"a reference inside", mine, claim("request_uri", "urn:ietf:params:oauth:request_uri:"+"x"), object},
		{"a claim twice", mine, again(`"state":"other"`), object},
		{"scope an array", mine, claim("scope", []string{"openid"}), object},
		{"state a number", mine, claim("state", 1), object},
		{"max_age true", mine, claim("max_age", true), object},
		{"redirect_uri an array", mine, claim("redirect_uri", []string{"https://app.example/cb"}), object},
		{"claims an array", mine, claim("claims", []string{}), object},
		{"resource a number", mine, claim("resource", 1), object},
		{"resource of numbers", mine, claim("resource", []int{1}), object},
		{"authorization_details an object", mine, claim("authorization_details", map[string]any{}), object},
		{"not an object", mine, func(w *wording) { w.raw = `["iss"]` }, object},
		{"null", mine, func(w *wording) { w.raw = `null` }, object},
		{"not JSON", mine, func(w *wording) { w.raw = `iss` }, object},
		{"longer than 16 KiB", mine, claim("x", strings.Repeat("x", 13<<10)), object},

		{"no response_type", mine, without("response_type"), request},
		{"no code_challenge", mine, without("code_challenge"), request},
		{"a negative max_age", mine, claim("max_age", "-1"), request},
		{"a scope that is not its own", mine, claim("scope", "unheard-of"), "invalid_scope"},
		{"a response mode we don't have", mine, claim("response_mode", "fragment"), request},
		{"a registration", mine, claim("registration", "x"), "registration_not_supported"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := h.goodObject(row.of)
			row.bend(w)
			text := w.text(t)
			r := h.authorize(signed(row.of, text, "redirect_uri", "https://app.example/cb"))
			if got := r.query().Get("error"); !row.of.MustPush() && (got != row.code || (row.code == "") != interacts(r)) {
				t.Errorf("%d to %q, want %q: %s", r.StatusCode, r.Header.Get("Location"), row.code, r.body)
			}
			form := signed(row.of, text)
			var pushed reply
			switch row.of.ID {
			case other.ID: // whose assertion is not what is tried here
				return
			case keyless.ID:
				pushed = h.post(oauth.PathPAR, form, basic(keyless))
			default:
				pushed = h.post(oauth.PathPAR, withAssertion(form, h.goodAssertion(row.of).text(t)))
			}
			switch {
			case row.code == "" && pushed.StatusCode != 201:
				t.Errorf("pushed: %d %s", pushed.StatusCode, pushed.body)
			case len(text) > (16 << 10):
				wantError(t, pushed, 413, "invalid_request") // RFC 9126 §2.3
			case row.code != "":
				wantError(t, pushed, 400, row.code)
			}
		})
	}
}

func TestARejectedRequestObjectIsReportedOnlyToARegisteredURI(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	bent := h.goodObject(c)
	bent.claims["aud"] = "https://other.example"
	text := bent.text(t)
	h.last = idp.Interaction{}
	h.wantPage("no redirect_uri beside it", h.authorize(signed(c, text)))
	h.wantPage("a foreign one", h.authorize(signed(c, text, "redirect_uri", "https://evil.example/")))
	q := h.authorize(signed(c, text, "redirect_uri", "https://app.example/cb", "state", "s2")).query()
	if q.Get("error") != "invalid_request_object" || q.Get("state") != "s2" || q.Get("iss") != h.url || strings.Contains(q.Get("error_description"), "other.example") {
		t.Errorf("answer: %v", q)
	}
	foreign := h.goodObject(c)
	foreign.claims["redirect_uri"] = "https://evil.example/"
	h.wantPage("a foreign one inside", h.authorize(signed(c, foreign.text(t), "redirect_uri", "https://app.example/cb")))
}

func TestParametersOutsideARequestObjectMustNotContradictIt(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	text := func() string { return h.goodObject(c).text(t) }
	base := []string{"redirect_uri", "https://app.example/cb"}
	for name, form := range map[string]url.Values{
		"response_type": signed(c, text(), append(base, "response_type", "id_token")...),
		"request twice": signed(c, text(), append(base, "request", text())...),
		"request_uri":   signed(c, text(), append(base, "request_uri", "https://app.example/r")...),
		"two of them":   signed(c, "", append(base, "request_uri", "https://app.example/r", "request_uri", "https://app.example/r")...),
	} {
		if q := h.authorize(form).query(); q.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", name, q)
		}
	}
	other := h.addKeyClient(nil, keys.ES256)
	if q := h.authorize(signed(other, text(), base...)).query(); q.Get("error") != "invalid_request_object" {
		t.Errorf("another client_id: %v", q)
	}
}

func TestAClientThatMustSignIsRefusedUnsigned(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(func(c *idp.Client) { c.RequireSignedRequest = true }, keys.ES256)
	if q := h.authorize(request(c)).query(); q.Get("error") != "invalid_request" || q.Get("state") != "st" {
		t.Errorf("answer: %v", q)
	}
	wantError(t, h.post(oauth.PathPAR, withAssertion(request(c), h.goodAssertion(c).text(t))), 400, "invalid_request")
	if r := h.authorize(signed(c, h.goodObject(c).text(t))); !interacts(r) {
		t.Errorf("signed: %d %s", r.StatusCode, r.body)
	}
	r := h.post(oauth.PathPAR, withAssertion(signed(c, h.goodObject(c).text(t)), h.goodAssertion(c).text(t)))
	if r.StatusCode != 201 {
		t.Fatalf("pushed: %d %s", r.StatusCode, r.body)
	}
	h.begun(c, r.json(t)["request_uri"].(string))
}

func TestAClientThatMustPushSendsNoObjectThroughTheBrowser(t *testing.T) {
	var fetched atomic.Int32
	address := elsewhere(t, func(http.ResponseWriter, *http.Request) { fetched.Add(1) })
	h := open(t)
	c := h.addKeyClient(func(c *idp.Client) { c.RequirePAR, c.RequestURIs = true, []string{address} }, keys.ES256)
	for _, form := range []url.Values{
		signed(c, h.goodObject(c).text(t), "redirect_uri", "https://app.example/cb"),
		signed(c, "", "request_uri", address, "redirect_uri", "https://app.example/cb"),
	} {
		if q := h.authorize(form).query(); q.Get("error") != "invalid_request" {
			t.Errorf("answer: %v", q)
		}
	}
	if fetched.Load() != 0 {
		t.Error("something was fetched for a request that could not be taken")
	}
}

func TestRequestObjectsAreOnlyFetchedFromRegisteredURLs(t *testing.T) {
	var body atomic.Value
	var asked atomic.Int32
	body.Store("")
	address := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/object" || r.URL.RawQuery != "a=b" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(body.Load().(string)))
	}) + "/object?a=b#hash"
	h := open(t)
	gone := strings.Replace(address, "/object", "/gone", 1)
	c := h.addKeyClient(func(c *idp.Client) { c.RequestURIs = []string{address, gone} }, keys.ES256)
	body.Store(h.goodObject(c).text(t) + "\n")
	visit := func(uri string) reply {
		return h.authorize(url.Values{"client_id": {c.ID}, "request_uri": {uri}, "redirect_uri": {"https://app.example/cb"}})
	}
	if r := visit(address); !interacts(r) || asked.Load() != 1 {
		t.Fatalf("%d to %q, asked %d times: %s", r.StatusCode, r.Header.Get("Location"), asked.Load(), r.body)
	}
	for _, uri := range []string{
		strings.TrimSuffix(address, "#hash"), address + "2", strings.Replace(address, "a=b", "a=c", 1), strings.Replace(address, "https", "http", 1),
		strings.ToUpper(address), "https://10.0.0.1/", "file:///etc/passwd", "x", "urn:ietf:params:oauth:request_uri", strings.Repeat("x", 3000),
	} {
		if q := visit(uri).query(); q.Get("error") != "invalid_request_uri" || asked.Load() != 1 {
			t.Errorf("%.60s: %v, asked %d times", uri, q, asked.Load())
		}
	}
	if q := visit(gone).query(); q.Get("error") != "invalid_request_uri" || asked.Load() != 2 {
		t.Errorf("not there: %v", q)
	}
	other := h.addKeyClient(nil, keys.ES256)
	if q := h.authorize(url.Values{"client_id": {other.ID}, "request_uri": {address}, "redirect_uri": {"https://app.example/cb"}}).query(); q.Get("error") != "invalid_request_uri" || asked.Load() != 2 {
		t.Errorf("another client's address: %v", q)
	}
	for name, text := range map[string]string{
		"nothing": "", "a page": "<html>", "another client's": h.goodObject(other).text(t), "too long": strings.Repeat("x", (16<<10)+1),
	} {
		body.Store(text)
		if q := visit(address).query(); !slices.Contains([]string{"invalid_request_object", "invalid_request_uri"}, q.Get("error")) {
			t.Errorf("%s: %v", name, q)
		}
	}
	asked.Store(0)
	wantError(t, h.post(oauth.PathPAR, withAssertion(url.Values{"request_uri": {address}}, h.goodAssertion(c).text(t))), 400, "invalid_request") // RFC 9126 §2.1
	if asked.Load() != 0 {
		t.Error("fetched for the PAR endpoint")
	}
}
