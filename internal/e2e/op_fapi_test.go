package e2e

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/idp"
)

// A strict client is a client of policy fapi2: private_key_jwt, pushed requests, DPoP.
type strict struct {
	*rp
	key   dpoptest.Key
	nonce string // the latest that the provider gave
}

func (o *op) strict(change ...func(*idp.Client)) *strict {
	o.t.Helper()
	f := &strict{key: dpoptest.New("ES256")}
	f.rp = o.client(func(c *idp.Client) {
		c.Policy, c.AuthMethod = idp.PolicyFAPI2, idp.AuthMethodPrivateKey
		for _, do := range change {
			do(c)
		}
	})
	f.nonce = f.token("grant_type", "refresh_token", "refresh_token", "a.b").header.Get("DPoP-Nonce")
	if f.nonce == "" {
		o.t.Fatal("no nonce in the answer to a proof")
	}
	return f
}

// proof is a good proof, changed.
func (f *strict) proof(method, path string, change ...any) string {
	return f.key.Proof(method, f.issuer+path, append([]any{dpoptest.Claims{"nonce": f.nonce}}, change...)...)
}

// with sends a form, the client authenticated, with these proofs.
func (f *strict) with(path string, proofs []string, changes ...string) answer {
	f.t.Helper()
	form := url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {f.assertion()},
	}
	var headers []string
	for _, p := range proofs {
		headers = append(headers, "DPoP", p)
	}
	return f.send("POST", path, set(form, changes), headers...)
}

// token sends a token request with a good proof.
func (f *strict) token(changes ...string) answer {
	f.t.Helper()
	return f.with("/oauth2/token", []string{f.proof("POST", "/oauth2/token")}, changes...)
}

// push pushes the request of rp, changed.
func (f *strict) push(proofs []string, changes ...string) answer {
	f.t.Helper()
	var params []string
	for name, values := range f.request(changes...) {
		params = append(params, name, values[0])
	}
	return f.with("/oauth2/par", proofs, params...)
}

// link is the authorization URL of a request that was pushed.
func (f *strict) link(pushed answer, more ...string) string {
	f.t.Helper()
	if pushed.status != 201 {
		f.t.Fatalf("push: %d %s", pushed.status, pushed.body)
	}
	uri, _ := pushed.json(f.t)["request_uri"].(string)
	return "/oauth2/authorize?" + set(url.Values{"client_id": {f.ID}, "request_uri": {uri}}, more).Encode()
}

// signs lets the person sign in and returns the code.
func (f *strict) signs(p *person, proofs []string, changes ...string) string {
	f.t.Helper()
	back := p.through(p.open(f.link(f.push(proofs, changes...))))
	if back.Get("code") == "" {
		f.t.Fatalf("no code: %v", back)
	}
	return back.Get("code")
}

// code is what exchanges a code.
func (f *strict) code(code string, changes ...string) []string {
	return append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", f.RedirectURIs[0], "code_verifier", f.verifier}, changes...)
}

// resource asks for userinfo with a bound token.
func (f *strict) resource(scheme, token string, proofs ...string) answer {
	f.t.Helper()
	headers := []string{"Authorization", scheme + " " + token}
	for _, p := range proofs {
		headers = append(headers, "DPoP", p)
	}
	return f.send("GET", "/oauth2/userinfo", nil, headers...)
}

func TestOP38TheMetadataHasWhatFAPIClientsLookFor(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	strong := []string{"PS256", "ES256", "EdDSA"}
	for name, needed := range map[string][]string{
		"code_challenge_methods_supported":                 {"S256"},
		"dpop_signing_alg_values_supported":                strong,
		"id_token_signing_alg_values_supported":            strong,
		"token_endpoint_auth_signing_alg_values_supported": strong,
		"token_endpoint_auth_methods_supported":            {"private_key_jwt"},
		"grant_types_supported":                            {"authorization_code"},
	} {
		for _, value := range needed {
			if !slices.Contains(o.list(name), value) {
				t.Errorf("%s has no %s", name, value)
			}
		}
	}
	meta := o.metadata()
	if meta["authorization_response_iss_parameter_supported"] != true || meta["pushed_authorization_request_endpoint"] == nil {
		t.Errorf("iss or PAR are missing: %v", meta)
	}
	for _, key := range o.publishedKeys().Keys {
		switch k := key.Key.(type) {
		case *rsa.PublicKey:
			if k.N.BitLen() < 2048 {
				t.Errorf("%s has %d bits", key.KeyID, k.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if k.Params().BitSize < 224 {
				t.Errorf("%s has %d bits", key.KeyID, k.Params().BitSize)
			}
		}
	}
}

func TestOP39APushedRequestIsAuthenticatedAndSoundOrRefused(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f := o.strict()
	pushed := f.push(nil)
	if lives, _ := pushed.json(t)["expires_in"].(float64); pushed.status != 201 || lives < 5 || lives > 600 {
		t.Errorf("%d %s", pushed.status, pushed.body)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if r := f.send(method, "/oauth2/par", nil); r.status < 400 || r.status >= 500 {
			t.Errorf("%s: %d", method, r.status)
		}
	}
	f.send("POST", "/oauth2/par", f.request()).refused(t, 401, "invalid_client")
	f.push(nil, "client_assertion", "a.b.c").refused(t, 401, "invalid_client")
	for name, changes := range map[string][]string{
		"a reference inside":        {"request_uri", "urn:ietf:params:oauth:request_uri:x"},
		"no redirect_uri":           {"redirect_uri", ""},
		"an unregistered one":       {"redirect_uri", rpOrigin + "other"},
		"one with something behind": {"redirect_uri", f.RedirectURIs[0] + "/x"},
		"no PKCE":                   {"code_challenge", "", "code_challenge_method", ""},
		"plain":                     {"code_challenge_method", "plain"},
		"no method":                 {"code_challenge_method", ""},
	} {
		t.Log(name)
		f.push(nil, changes...).refused(t, 400, "invalid_request")
	}
	for _, kind := range []string{"token", "code id_token"} {
		f.push(nil, "response_type", kind).refused(t, 400, "unsupported_response_type", "invalid_request")
	}
}

func TestOP40TheReferenceIsAllOfTheRequestAndItsClientsAlone(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f, other, p := o.strict(), o.strict(), o.person()
	nonce := strings.Repeat("n", 384)
	pushed := f.push(nil, "nonce", nonce)
	uri, _ := pushed.json(t)["request_uri"].(string)
	if at := p.open("/oauth2/authorize?" + url.Values{"client_id": {other.ID}, "request_uri": {uri}}.Encode()); at.name != "error" || at.status != 400 {
		t.Errorf("another client's: %v", at)
	}
	back := p.through(p.open(f.link(pushed, "state", "other", "nonce", "other", "scope", "email", "response_mode", "form_post")))
	if back.Get("state") != "af0ifjsldkj" {
		t.Errorf("what stood beside the reference counted: %v", back)
	}
	got := f.granted(f.token(f.code(back.Get("code"))...))
	if got.claims["nonce"] != nonce {
		t.Errorf("nonce %v", got.claims["nonce"])
	}
	refusedBack(t, o, p.through(f.open(p)), "invalid_request") // not pushed
	if at := p.open(f.link(pushed)); at.name != "error" || at.status != 400 {
		t.Errorf("used again: %v", at)
	}
}

func TestOP41TheResponseHasCodeStateAndIssuerAndARefusalItsState(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	f := o.strict(func(c *idp.Client) {
		c.RedirectURIs = append(c.RedirectURIs, c.RedirectURIs[0]+"?dummy1=lorem&dummy2=ipsum")
	})
	at := p.open(f.link(f.push(nil, "redirect_uri", f.RedirectURIs[1])))
	if at.name != "consent" {
		t.Fatalf("at %v", at)
	}
	back := p.through(p.submit(at, "consent-deny", nil))
	if back.Get("dummy1") != "lorem" || back.Get("dummy2") != "ipsum" {
		t.Errorf("the redirect URI has lost its query: %v", back)
	}
	back.Del("dummy1")
	back.Del("dummy2")
	refusedBack(t, o, back, "access_denied")
	back = p.through(p.open(f.link(f.push(nil))))
	if names := slices.Sorted(maps.Keys(back)); !slices.Equal(names, []string{"code", "iss", "state"}) || back.Get("iss") != o.issuer || back.Get("state") != "af0ifjsldkj" {
		t.Errorf("%v", back)
	}
}

func TestOP43ACodeIsForItsClientItsVerifierItsAddressAndOnce(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f, p := o.strict(), o.person()
	fresh := func() string { return f.signs(p, nil) }
	for name, changes := range map[string][]string{
		"no verifier":          {"code_verifier", ""},
		"a wrong verifier":     {"code_verifier", strings.Repeat("x", 43)},
		"another redirect_uri": {"redirect_uri", rpOrigin + "other"},
	} {
		t.Log(name)
		f.token(f.code(fresh(), changes...)...).refused(t, 400, "invalid_grant")
	}
	other := o.strict()
	other.token(other.code(fresh(), "redirect_uri", f.RedirectURIs[0], "code_verifier", f.verifier)...).refused(t, 400, "invalid_grant")
	f.token(f.code(fresh(), "client_id", other.ID)...).refused(t, 401, "invalid_client")
	f.with("/oauth2/token", nil, f.code(fresh())...).refused(t, 400, "invalid_dpop_proof")

	code := fresh()
	got := f.granted(f.token(f.code(code)...))
	token := got.AccessToken
	if got.TokenType != "DPoP" || got.ExpiresIn > 600 {
		t.Errorf("token_type %q for %d s", got.TokenType, got.ExpiresIn)
	}
	f.token(f.code(code)...).refused(t, 400, "invalid_grant")
	r := f.resource("DPoP", token, f.proof("GET", "/oauth2/userinfo", dpoptest.Hash(token)))
	r.refused(t, 401, "invalid_token") // the second use has ended what the first gave
}

func TestOP44AKeyBindsTheCodeFromTheRequestOn(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f, p := o.strict(), o.person()
	stranger := dpoptest.New("ES256")
	other := func() []string {
		return []string{stranger.Proof("POST", f.issuer+"/oauth2/token", dpoptest.Claims{"nonce": f.nonce})}
	}
	atPAR := func(change ...any) []string { return []string{f.proof("POST", "/oauth2/par", change...)} }
	for name, code := range map[string]func() string{
		"dpop_jkt":       func() string { return f.signs(p, nil, "dpop_jkt", f.key.Thumbprint()) },
		"a proof at PAR": func() string { return f.signs(p, atPAR()) },
	} {
		t.Log(name)
		if got := f.granted(f.token(f.code(code())...)); got.TokenType != "DPoP" {
			t.Errorf("token_type %q", got.TokenType)
		}
		f.with("/oauth2/token", other(), f.code(code())...).refused(t, 400, "invalid_dpop_proof", "invalid_grant")
	}
	f.push(atPAR(), "dpop_jkt", stranger.Thumbprint()).refused(t, 400, "invalid_dpop_proof")
	now := time.Now().Unix()
	for _, at := range []int64{now - 10, now + 10} {
		if r := f.push(atPAR(dpoptest.Claims{"iat": at, "nbf": at, "exp": at + 60})); r.status != 201 {
			t.Errorf("iat %d s from now: %s", at-now, r.body)
		}
	}
	for _, at := range []int64{now - 3600, now + 3600} {
		f.push(atPAR(dpoptest.Claims{"iat": at})).refused(t, 400, "invalid_dpop_proof")
	}
	r := f.push(atPAR(dpoptest.Claims{"nonce": nil}))
	r.refused(t, 400, "use_dpop_nonce")
	f.nonce = r.header.Get("DPoP-Nonce")
	if r := f.push(atPAR()); r.status != 201 {
		t.Errorf("with the nonce that was asked for: %s", r.body)
	}
}

func TestOP45ABoundTokenWorksWithAFreshProofOfItsKeyAndNoOtherWay(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f, other, p := o.strict(), o.strict(), o.person()
	token := f.granted(f.token(f.code(f.signs(p, nil))...)).AccessToken
	const path = "/oauth2/userinfo"
	ath := dpoptest.Hash(token)
	proof := func(change ...any) string { return f.proof("GET", path, append([]any{ath}, change...)...) }
	host := strings.TrimPrefix(f.issuer, "https://")
	type C = dpoptest.Claims
	type H = dpoptest.Header
	for name, change := range map[string]any{
		"":                       C{},
		"a query and a fragment": C{"htu": f.issuer + path + "?a=b#c"},
		"the host in capitals":   C{"htu": "HTTPS://" + strings.ToUpper(host) + path},
		"unknown claims":         C{"x": 1, "nbf": 1, "exp": 1},
	} {
		for _, scheme := range []string{"DPoP", "dpop", "dPoP"} {
			if r := f.resource(scheme, token, proof(change)); r.status != 200 || r.header.Get("Date") == "" {
				t.Errorf("%s %s: %d %s", scheme, name, r.status, r.body)
			}
		}
	}
	private := f.key.JWK()
	private["d"] = "AAAA"
	once := proof()
	f.resource("DPoP", token, once)
	now := time.Now().Unix()
	for name, r := range map[string]answer{
		"without a proof":       f.resource("DPoP", token),
		"as a bearer token":     f.resource("Bearer", token, proof()),
		"with two proofs":       f.resource("DPoP", token, proof(), proof()),
		"with a used proof":     f.resource("DPoP", token, once),
		"another client's key":  f.resource("DPoP", token, other.key.Proof("GET", f.issuer+path, C{"nonce": f.nonce}, ath)),
		"another's jwk":         f.resource("DPoP", token, proof(H{"jwk": other.key.JWK()})),
		"private jwk":           f.resource("DPoP", token, proof(H{"jwk": private})),
		"no jwk":                f.resource("DPoP", token, proof(H{"jwk": nil})),
		"no typ":                f.resource("DPoP", token, proof(H{"typ": nil})),
		"typ JWT":               f.resource("DPoP", token, proof(H{"typ": "JWT"})),
		"no alg":                f.resource("DPoP", token, proof(H{"alg": nil})),
		"alg none":              f.resource("DPoP", token, proof(H{"alg": "none"})),
		"no jti":                f.resource("DPoP", token, proof(C{"jti": nil})),
		"no htm":                f.resource("DPoP", token, proof(C{"htm": nil})),
		"another method":        f.resource("DPoP", token, proof(C{"htm": "POST"})),
		"no htu":                f.resource("DPoP", token, proof(C{"htu": nil})),
		"another address":       f.resource("DPoP", token, proof(C{"htu": f.issuer + "/oauth2/token"})),
		"no iat":                f.resource("DPoP", token, proof(C{"iat": nil})),
		"an hour old":           f.resource("DPoP", token, proof(C{"iat": now - 3600})),
		"of the next hour":      f.resource("DPoP", token, proof(C{"iat": now + 3600})),
		"no ath":                f.resource("DPoP", token, proof(C{"ath": nil})),
		"ath of something else": f.resource("DPoP", token, proof(dpoptest.Hash("other"))),
		"no nonce":              f.resource("DPoP", token, proof(C{"nonce": nil})),
	} {
		t.Log(name)
		r.refused(t, 401, "invalid_dpop_proof", "invalid_token", "use_dpop_nonce")
		if all := strings.Join(r.header.Values("WWW-Authenticate"), ", "); !strings.Contains(all, "DPoP ") || !strings.Contains(all, "algs=") {
			t.Errorf("challenge %q", all)
		}
	}
	f.send("GET", path+"?access_token="+token, nil, "DPoP", proof()).refused(t, 400, "invalid_request")
}

func TestOP46RefreshingNeedsTheClientAndAProofAndForgivesALostAnswer(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f, other, p := o.strict(), o.strict(), o.person()
	got := f.granted(f.token(f.code(f.signs(p, nil, "scope", "openid offline_access", "prompt", "consent"))...))
	refresh := []string{"grant_type", "refresh_token", "refresh_token", got.RefreshToken}
	f.with("/oauth2/token", nil, refresh...).refused(t, 400, "invalid_dpop_proof")
	f.send("POST", "/oauth2/token", set(url.Values{"client_id": {f.ID}}, refresh), "DPoP", f.proof("POST", "/oauth2/token")).refused(t, 401, "invalid_client")
	for range 3 { // the answer may be lost as often as it likes
		r := f.token(refresh...)
		again := f.granted(r)
		if again.TokenType != "DPoP" || again.RefreshToken != got.RefreshToken || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("token_type %q, rotated %v, Cache-Control %q", again.TokenType, again.RefreshToken != got.RefreshToken, r.header.Get("Cache-Control"))
		}
	}
	other.token(refresh...).refused(t, 400, "invalid_grant")
}

func TestOP47PlainOAuthWorksWithoutOpenID(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	f, p := o.strict(), o.person()
	meta := o.send("GET", "/.well-known/oauth-authorization-server", nil).json(t)
	if meta["issuer"] != o.issuer || meta["token_endpoint"] != o.issuer+"/oauth2/token" {
		t.Errorf("metadata of RFC 8414: %v", meta)
	}
	r := f.token(f.code(f.signs(p, nil, "scope", "payouts"))...)
	got := f.granted(r)
	if got.IDToken != "" || got.AccessToken == "" || got.Scope != "payouts" {
		t.Errorf("%s", r.body)
	}
}
