package provider

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// proof adds a DPoP proof for an endpoint of h.
func proof(h *house, key dpoptest.Key, method, path string, change ...any) func(*http.Request) {
	text := key.Proof(method, h.url+path, change...)
	return func(r *http.Request) { r.Header.Add("DPoP", text) }
}

// boundTokens exchanges a code with a proof.
func (h *house) boundTokens(c idp.Client, u idp.User, key dpoptest.Key, params ...string) map[string]any {
	h.t.Helper()
	r := h.exchangeWith(c, h.code(c, u, params...), proof(h, key, "POST", oauth.PathToken))
	if r.StatusCode != 200 {
		h.t.Fatalf("exchange: %d %s", r.StatusCode, r.body)
	}
	return r.json(h.t)
}

func (h *house) exchangeWith(c idp.Client, code string, edit ...func(*http.Request)) reply {
	h.t.Helper()
	return h.asClient(c, exchangeForm(code), edit...)
}

func (h *house) refreshWith(c idp.Client, token any, edit ...func(*http.Request)) reply {
	h.t.Helper()
	return h.asClient(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}}, edit...)
}

// asClient sends a token request as its client would.
func (h *house) asClient(c idp.Client, form url.Values, edit ...func(*http.Request)) reply {
	h.t.Helper()
	switch c.AuthMethod {
	case idp.AuthMethodNone:
		form.Set("client_id", c.ID)
	case idp.AuthMethodPrivateKey:
		form = withAssertion(form, h.goodAssertion(c).text(h.t))
	default:
		edit = append(edit, basic(c))
	}
	return h.post(oauth.PathToken, form, edit...)
}

// present asks for userinfo with a token in the Authorization header.
func (h *house) present(method, scheme string, token any, edit ...func(*http.Request)) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+oauth.PathUserInfo, nil)
	check(h.t, err)
	req.Header.Set("Authorization", scheme+" "+token.(string))
	for _, f := range edit {
		f(req)
	}
	return h.do(req)
}

func publicClient(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone }

func TestAProofBindsAccessTokensToItsKey(t *testing.T) {
	h := open(t)
	u, key := h.addUser(), dpoptest.New("ES256")
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		c := h.addClient(func(c *idp.Client) { c.AccessFormat = format })
		tok := h.boundTokens(c, u, key)
		if tok["token_type"] != "DPoP" {
			t.Errorf("%s: token_type %v", format, tok["token_type"])
		}
		said := h.introspect(c, tok["access_token"])
		if cnf, _ := said["cnf"].(map[string]any); cnf["jkt"] != key.Thumbprint() || said["token_type"] != "DPoP" {
			t.Errorf("%s: introspection %v", format, said)
		}
		for _, method := range []string{"GET", "POST"} {
			for _, scheme := range []string{"DPoP", "dpop", "DPOP"} {
				r := h.present(method, scheme, tok["access_token"], proof(h, key, method, oauth.PathUserInfo, dpoptest.Hash(tok["access_token"].(string))))
				if r.StatusCode != 200 || r.json(t)["sub"] != u.ID || r.Header.Get("DPoP-Nonce") == "" {
					t.Errorf("%s, %s %s: %d %s", format, method, scheme, r.StatusCode, r.body)
				}
			}
		}
	}
	machine := h.addMachine(nil)
	r := h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}}, basic(machine), proof(h, key, "POST", oauth.PathToken))
	if _, access := claims(t, r.json(t)["access_token"]); r.json(t)["token_type"] != "DPoP" || access["cnf"].(map[string]any)["jkt"] != key.Thumbprint() {
		t.Errorf("a machine's: %s", r.body)
	}
}

func TestOp45_ABoundTokenRequiresAFreshProofOfItsKey(t *testing.T) {
	h := open(t)
	c, u, key := h.addClient(nil), h.addUser(), dpoptest.New("ES256")
	token := h.boundTokens(c, u, key)["access_token"].(string)
	bearer := h.tokens(c, u)["access_token"].(string)
	ath := dpoptest.Hash(token)
	with := func(change ...any) func(*http.Request) {
		return proof(h, key, "GET", oauth.PathUserInfo, append([]any{ath}, change...)...)
	}
	private := maps.Clone(key.JWK())
	private["d"] = "AAAA"
	type C = dpoptest.Claims
	type H = dpoptest.Header
	now := time.Now().Unix()
	for name, tt := range map[string]struct {
		scheme, token string
		proof         func(*http.Request)
		code          string
	}{
		"as a bearer token":            {"Bearer", token, nil, "invalid_token"},
		"as a bearer token, and proof": {"Bearer", token, with(), "invalid_token"},
		"a bearer token as bound":      {"DPoP", bearer, proof(h, key, "GET", oauth.PathUserInfo, dpoptest.Hash(bearer)), "invalid_token"},
		"no proof":                     {"DPoP", token, nil, "invalid_dpop_proof"},
		"two proofs":                   {"DPoP", token, func(r *http.Request) { with()(r); with()(r) }, "invalid_dpop_proof"},
		"empty proof":                  {"DPoP", token, func(r *http.Request) { r.Header.Set("DPoP", "") }, "invalid_dpop_proof"},
		"another key":                  {"DPoP", token, proof(h, dpoptest.New("ES256"), "GET", oauth.PathUserInfo, ath), "invalid_token"},
		"no typ":                       {"DPoP", token, with(H{"typ": nil}), "invalid_dpop_proof"},
		"typ JWT":                      {"DPoP", token, with(H{"typ": "JWT"}), "invalid_dpop_proof"},
		"no alg":                       {"DPoP", token, with(H{"alg": nil}), "invalid_dpop_proof"},
		"alg none":                     {"DPoP", token, with(H{"alg": "none"}), "invalid_dpop_proof"},
		"alg HS256":                    {"DPoP", token, with(H{"alg": "HS256"}), "invalid_dpop_proof"},
		"no jwk":                       {"DPoP", token, with(H{"jwk": nil}), "invalid_dpop_proof"},
		"private jwk":                  {"DPoP", token, with(H{"jwk": private}), "invalid_dpop_proof"},
		"another client's jwk":         {"DPoP", token, with(H{"jwk": dpoptest.New("ES256").JWK()}), "invalid_dpop_proof"},
		"no jti":                       {"DPoP", token, with(C{"jti": nil}), "invalid_dpop_proof"},
		"no htm":                       {"DPoP", token, with(C{"htm": nil}), "invalid_dpop_proof"},
		"another method":               {"DPoP", token, with(C{"htm": "POST"}), "invalid_dpop_proof"},
		"no htu":                       {"DPoP", token, with(C{"htu": nil}), "invalid_dpop_proof"},
		"another address":              {"DPoP", token, with(C{"htu": h.url + oauth.PathToken}), "invalid_dpop_proof"},
		"another host":                 {"DPoP", token, with(C{"htu": "https://evil.example" + oauth.PathUserInfo}), "invalid_dpop_proof"},
		"no iat":                       {"DPoP", token, with(C{"iat": nil}), "invalid_dpop_proof"},
		"an hour old":                  {"DPoP", token, with(C{"iat": now - 3600}), "invalid_dpop_proof"},
		"of the next hour":             {"DPoP", token, with(C{"iat": now + 3600}), "invalid_dpop_proof"},
		"no ath":                       {"DPoP", token, with(C{"ath": nil}), "invalid_dpop_proof"},
		"ath of another token":         {"DPoP", token, with(dpoptest.Hash(bearer)), "invalid_dpop_proof"},
		"a nonce that is not ours":     {"DPoP", token, with(C{"nonce": "theirs"}), "use_dpop_nonce"},
	} {
		edit := tt.proof
		if edit == nil {
			edit = func(*http.Request) {}
		}
		r := h.present("GET", tt.scheme, tt.token, edit)
		wantError(t, r, 401, tt.code)
		challenges := r.Header.Values("WWW-Authenticate")
		if !strings.HasPrefix(challenges[0], tt.scheme+" ") || !strings.Contains(challenges[0], `error="`+tt.code+`"`) {
			t.Errorf("%s: challenges %q", name, challenges)
		}
		if all := strings.Join(challenges, ", "); !strings.Contains(all, `algs="ES256 EdDSA PS256"`) {
			t.Errorf("%s: no algs in %q", name, all)
		}
	}
	r := h.post(oauth.PathUserInfo, url.Values{"access_token": {token}}, proof(h, key, "POST", oauth.PathUserInfo, ath))
	wantError(t, r, 401, "invalid_token") // in the body no scheme is said
	r = h.post(oauth.PathUserInfo, url.Values{"access_token": {token}}, proof(h, key, "POST", oauth.PathUserInfo, ath), func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+token) })
	wantError(t, r, 400, "invalid_request")

	for name, change := range map[string]C{
		"unknown claims, exp, nbf": {"exp": 1, "nbf": now + 7200, "x": []int{1}},
		"10 s old":                 {"iat": now - 10},
		"of the next 10 s":         {"iat": now + 10},
		"query and fragment":       {"htu": h.url + oauth.PathUserInfo + "?a=b#c"},
		"scheme in capitals":       {"htu": strings.Replace(h.url, "http", "HTTP", 1) + oauth.PathUserInfo},
	} {
		if r := h.present("GET", "DPoP", token, with(change)); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
		}
	}
}

func TestOp45_AProofWorksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u, key := h.addClient(nil), h.addUser(), dpoptest.New("ES256")
		atToken := proof(h, key, "POST", oauth.PathToken)
		tok := h.exchangeWith(c, h.code(c, u, "scope", "openid offline_access"), atToken).json(t)
		token := tok["access_token"].(string)
		for name, use := range map[string]func() reply{
			"code":    func() reply { return h.exchangeWith(c, h.code(c, u), atToken) },
			"refresh": func() reply { return h.refreshWith(c, tok["refresh_token"], atToken) },
			"client credentials": func() reply {
				return h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}}, basic(h.addMachine(nil)), atToken)
			},
		} {
			r := use()
			wantError(t, r, 400, "invalid_dpop_proof")
			if !strings.Contains(r.body, "used before") {
				t.Errorf("%s: %s", name, r.body)
			}
		}
		atPAR := proof(h, key, "POST", oauth.PathPAR)
		if r := h.post(oauth.PathPAR, request(c), basic(c), atPAR); r.StatusCode != 201 {
			t.Fatal(r.body)
		}
		wantError(t, h.post(oauth.PathPAR, request(c), basic(c), atPAR), 400, "invalid_dpop_proof")

		// The mark stays as long as the proof would be taken: one that is as far ahead as allowed included.
		ahead := dpoptest.Claims{"iat": time.Now().Add(15 * time.Second).Unix()}
		once := proof(h, key, "GET", oauth.PathUserInfo, dpoptest.Hash(token), ahead)
		if r := h.present("GET", "DPoP", token, once); r.StatusCode != 200 {
			t.Fatal(r.body)
		}
		for range 16 {
			time.Sleep(5 * time.Second)
			wantError(t, h.present("GET", "DPoP", token, once), 401, "invalid_dpop_proof")
		}
		// Another key may choose the same jti.
		same := dpoptest.Claims{"jti": "same"}
		for range 2 {
			key := dpoptest.New("EdDSA")
			if r := h.exchangeWith(c, h.code(c, u), proof(h, key, "POST", oauth.PathToken, same)); r.StatusCode != 200 {
				t.Error(r.body)
			}
		}
	})
}

func TestOp44_TheAnnouncedKeyMustExchangeTheCode(t *testing.T) {
	h := open(t)
	c, u, key := h.addClient(nil), h.addUser(), dpoptest.New("ES256")
	other := dpoptest.New("ES256")
	pushedWith := func(params []string, edit ...func(*http.Request)) func() string {
		return func() string {
			r := h.post(oauth.PathPAR, request(c, params...), append(edit, basic(c))...)
			if r.StatusCode != 201 {
				t.Fatal(r.body)
			}
			h.begun(c, r.json(t)["request_uri"].(string))
			done, err := h.respond(h.outcome(u))
			check(t, err)
			return done.query().Get("code")
		}
	}
	for name, code := range map[string]func() string{
		"dpop_jkt at authorize": func() string { return h.code(c, u, "dpop_jkt", key.Thumbprint()) },
		"dpop_jkt pushed":       pushedWith([]string{"dpop_jkt", key.Thumbprint()}),
		"a proof at PAR":        func() string { return pushedWith(nil, proof(h, key, "POST", oauth.PathPAR))() },
		"both, of one key": func() string {
			return pushedWith([]string{"dpop_jkt", key.Thumbprint()}, proof(h, key, "POST", oauth.PathPAR))()
		},
	} {
		if r := h.exchangeWith(c, code(), proof(h, key, "POST", oauth.PathToken)); r.StatusCode != 200 {
			t.Errorf("%s: %s", name, r.body)
		}
		t.Log(name)
		wantError(t, h.exchangeWith(c, code(), proof(h, other, "POST", oauth.PathToken)), 400, "invalid_grant")
		wantError(t, h.exchangeWith(c, code()), 400, "invalid_grant")
	}
	r := h.post(oauth.PathPAR, request(c, "dpop_jkt", other.Thumbprint()), basic(c), proof(h, key, "POST", oauth.PathPAR))
	wantError(t, r, 400, "invalid_dpop_proof")
	wantError(t, h.post(oauth.PathPAR, request(c), basic(c), proof(h, key, "POST", oauth.PathToken)), 400, "invalid_dpop_proof")
	wantError(t, h.post(oauth.PathPAR, request(c, "dpop_jkt", "short"), basic(c)), 400, "invalid_request")
	form := request(c)
	form["dpop_jkt"] = []string{key.Thumbprint(), other.Thumbprint()}
	wantError(t, h.post(oauth.PathPAR, form, basic(c)), 400, "invalid_request")
	for _, jkt := range []string{"short", strings.Repeat("=", 43), strings.Repeat("a", 44)} {
		if q := h.authorize(request(c, "dpop_jkt", jkt)).query(); q.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", jkt, q)
		}
	}
}

func TestAPublicClientsRefreshTokenRequiresItsKey(t *testing.T) {
	h := open(t)
	c, u, key := h.addClient(publicClient), h.addUser(), dpoptest.New("ES256")
	refresh := h.boundTokens(c, u, key, "scope", "openid offline_access")["refresh_token"]
	stolen := func(edit ...func(*http.Request)) {
		t.Helper()
		wantError(t, h.refreshWith(c, refresh, edit...), 400, "invalid_grant")
	}
	stolen()
	stolen(proof(h, dpoptest.New("ES256"), "POST", oauth.PathToken))
	// A token whose binding was rewritten has no valid signature.
	handle, secret, _ := strings.Cut(refresh.(string), ".")
	bare, _, _ := strings.Cut(handle, "~")
	for _, bent := range []string{bare + "." + secret, bare + "~." + secret, bare + "~" + dpoptest.New("ES256").Thumbprint() + "." + secret} {
		wantError(t, h.refreshWith(c, bent, proof(h, dpoptest.New("ES256"), "POST", oauth.PathToken)), 400, "invalid_grant")
	}
	// And none of it has used the token up, or ended what it belongs to.
	r := h.refreshWith(c, refresh, proof(h, key, "POST", oauth.PathToken))
	if tok := r.json(t); r.StatusCode != 200 || tok["token_type"] != "DPoP" || tok["refresh_token"] == refresh {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	// It can be revoked without the key (RFC 7009 knows no proof).
	h.post(oauth.PathRevoke, url.Values{"client_id": {c.ID}, "token": {r.json(t)["refresh_token"].(string)}})
	wantError(t, h.refreshWith(c, r.json(t)["refresh_token"], proof(h, key, "POST", oauth.PathToken)), 400, "invalid_grant")
}

// RFC 9449 §5: bound to the client, whose access tokens follow the key it has by then.
func TestAConfidentialClientsRefreshTokenSurvivesAKeyChange(t *testing.T) {
	h := open(t)
	c, u, key := h.addClient(nil), h.addUser(), dpoptest.New("ES256")
	refresh := h.boundTokens(c, u, dpoptest.New("ES256"), "scope", "openid offline_access")["refresh_token"]
	wantError(t, h.refreshWith(c, refresh), 400, "invalid_grant") // not back to bearer tokens
	tok := h.refreshWith(c, refresh, proof(h, key, "POST", oauth.PathToken)).json(t)
	if _, access := claims(t, tok["access_token"]); access["cnf"].(map[string]any)["jkt"] != key.Thumbprint() || tok["token_type"] != "DPoP" {
		t.Errorf("%v", tok)
	}
}

func TestAClientWithBoundTokensGetsNoOthers(t *testing.T) {
	h := open(t)
	u := h.addUser()
	c := h.addClient(func(c *idp.Client) { c.DPoPBound = true })
	wantError(t, h.exchangeWith(c, h.code(c, u)), 400, "invalid_dpop_proof")
	machine := h.addMachine(func(c *idp.Client) { c.DPoPBound = true })
	wantError(t, h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}}, basic(machine)), 400, "invalid_dpop_proof")
	code := h.code(c, u)
	h.exchangeWith(c, code)
	if r := h.exchangeWith(c, code, proof(h, dpoptest.New("ES256"), "POST", oauth.PathToken)); r.StatusCode != 200 {
		t.Errorf("what lacked its proof has used the code up: %s", r.body)
	}
}

func TestADevicesTokensAreBoundToThePollingKey(t *testing.T) {
	h := open(t)
	c, u, key := h.addDevice(publicClient), h.addUser(), dpoptest.New("ES256")
	code, shown := h.asked(c, "scope", "openid offline_access")
	h.allowed(u, shown)
	form := url.Values{"grant_type": {idp.GrantDeviceCode}, "device_code": {code}}
	wantError(t, h.asClient(c, form, proof(h, key, "GET", oauth.PathToken)), 400, "invalid_dpop_proof") // and the code is not used up
	tok := h.asClient(c, form, proof(h, key, "POST", oauth.PathToken)).json(t)
	if tok["token_type"] != "DPoP" {
		t.Fatalf("%v", tok)
	}
	if _, access := claims(t, tok["access_token"]); access["cnf"].(map[string]any)["jkt"] != key.Thumbprint() {
		t.Errorf("%v", access)
	}
	wantError(t, h.refreshWith(c, tok["refresh_token"]), 400, "invalid_grant")
	if r := h.refreshWith(c, tok["refresh_token"], proof(h, key, "POST", oauth.PathToken)); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestADynamicClientMayDemandBoundTokensOfItself(t *testing.T) {
	h := open(t, full)
	m := h.registered(`{"redirect_uris":["https://app.example/cb"],"client_name":"App","dpop_bound_access_tokens":true}`)
	c, err := h.db.Client(t.Context(), m["client_id"].(string))
	if err != nil || !c.DPoPBound || m["dpop_bound_access_tokens"] != true {
		t.Errorf("%v, registered %v", err, m)
	}
}

func TestNoncesAreValidOnEveryReplicaForTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u, key := h.addClient(nil), h.addUser(), dpoptest.New("ES256")
		try := func(nonce string) reply {
			return h.exchangeWith(c, h.code(c, u), proof(h, key, "POST", oauth.PathToken, dpoptest.Claims{"nonce": nonce}))
		}
		r := try("guess")
		wantError(t, r, 400, "use_dpop_nonce")
		nonce := r.Header.Get("DPoP-Nonce")
		if r := try(nonce); r.StatusCode != 200 {
			t.Fatalf("%s: %s", nonce, r.body)
		}
		if r := h.exchange(c, h.code(c, u)); r.Header.Get("DPoP-Nonce") != "" {
			t.Error("a nonce for who does not use DPoP")
		}
		h.rebuild() // a replica with the same key
		if r := try(nonce); r.StatusCode != 200 {
			t.Errorf("a replica refuses the nonce: %s", r.body)
		}
		time.Sleep((2 * time.Minute) - time.Second)
		if r := try(nonce); r.StatusCode != 200 {
			t.Errorf("almost a period old: %s", r.body)
		}
		time.Sleep((2 * time.Minute) + time.Second)
		wantError(t, try(nonce), 400, "use_dpop_nonce")
	})
}

func TestADPoPRequestCostsOneEphemeralRoundTripAtTheMost(t *testing.T) {
	h := open(t)
	c, u, key := h.addClient(nil), h.addUser(), dpoptest.New("ES256")
	h.boundTokens(c, u, key) // warm
	cost := func(name string, sql, ephemeral int64, f func() reply) map[string]any {
		t.Helper()
		s, e := h.db.RoundTrips(), h.eph.RoundTrips()
		r := f()
		if s, e = h.db.RoundTrips()-s, h.eph.RoundTrips()-e; s > sql || e > ephemeral || r.StatusCode >= 300 {
			t.Errorf("%s: %d, %d SQL and %d ephemeral round trips, budget %d and %d", name, r.StatusCode, s, e, sql, ephemeral)
		}
		return r.json(t)
	}
	code := h.code(c, u, "scope", "openid offline_access")
	tok := cost("code: the mark comes with the code", 1, 1, func() reply { return h.exchangeWith(c, code, proof(h, key, "POST", oauth.PathToken)) })
	token := tok["access_token"].(string)
	cost("userinfo", 1, 1, func() reply {
		return h.present("GET", "DPoP", token, proof(h, key, "GET", oauth.PathUserInfo, dpoptest.Hash(token)))
	})
	cost("refresh", 1, 1, func() reply { return h.refreshWith(c, tok["refresh_token"], proof(h, key, "POST", oauth.PathToken)) })
	cost("introspection", 1, 0, func() reply { return h.post(oauth.PathIntrospect, url.Values{"token": {token}}, basic(c)) })
	cost("push: the mark comes with the request", 0, 1, func() reply {
		return h.post(oauth.PathPAR, request(c), basic(c), proof(h, key, "POST", oauth.PathPAR))
	})
	machine := h.addMachine(nil)
	h.machineToken(machine, "") // warm
	cost("client credentials", 0, 1, func() reply {
		return h.post(oauth.PathToken, url.Values{"grant_type": {"client_credentials"}}, basic(machine), proof(h, key, "POST", oauth.PathToken))
	})
}

func FuzzDPoPHeader(f *testing.F) {
	h := open(f)
	machine := h.addMachine(nil)
	f.Add(dpoptest.New("ES256").Proof("POST", h.url+oauth.PathToken))
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.NewRequest("POST", h.url+oauth.PathToken, strings.NewReader("grant_type=client_credentials"))
		check(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["Dpop"] = []string{text}
		basic(machine)(r)
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 || w.Code == 200 && !strings.Contains(w.Body.String(), `"DPoP"`) {
			t.Errorf("%q: %d %s", text, w.Code, w.Body)
		}
	})
}
