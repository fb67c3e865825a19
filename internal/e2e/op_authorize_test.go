package e2e

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

// basicOP makes a client as the certification of the basic profile registers it: neither PKCE nor PAR, ID tokens with RS256.
func basicOP(change func(*idp.Client)) func(*idp.Client) {
	return func(c *idp.Client) {
		c.Policy, c.IDTokenAlg = idp.PolicyCompatible, "RS256"
		if change != nil {
			change(c)
		}
	}
}

// age makes the session of a sign-in older, as if that much time had passed.
func (o *op) age(signedIn tokens, by time.Duration) {
	o.t.Helper()
	sessions := session.Records(o.Ephemeral, time.Hour)
	_, err := sessions.Update(o.t.Context(), signedIn.claims["sid"].(string), 0, func(s *idp.Session) error {
		for i := range s.Authentications {
			s.Authentications[i].At = s.Authentications[i].At.Add(-by)
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func TestOP07ARequestComesByGETAndByACrossSitePOST(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	a := o.client(basicOP(nil))
	got := a.signIn(p)
	// A form on another site: the browser sends no Lax cookie with it, and says so.
	r := o.send("POST", "/oauth2/authorize", a.request("max_age", "10000"), "Origin", "https://rp.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	if r.status != 302 && r.status != 303 {
		t.Fatalf("POST: %d %.500s", r.status, r.body)
	}
	at := p.open(r.header.Get("Location")) // with its cookies: a navigation by GET
	if tokens := a.granted(a.exchange(p.through(at).Get("code"))); tokens.claims["auth_time"] != got.claims["auth_time"] {
		t.Errorf("auth_time %v, first %v", tokens.claims["auth_time"], got.claims["auth_time"])
	}
}

func TestOP07NeitherOrderNorUnknownParametersMatter(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	a := o.client(basicOP(nil))
	names := slices.Sorted(maps.Keys(a.request("nonce", "n", "scope", "email profile openid")))
	slices.Reverse(names)
	query := "extra=foobar&extra=twice&_x=%2F"
	for _, name := range names {
		query += "&" + name + "=" + url.QueryEscape(a.request("nonce", "n", "scope", "email profile openid").Get(name))
	}
	back := p.through(p.open("/oauth2/authorize?" + query))
	if got := a.granted(a.exchange(back.Get("code"))); got.claims["nonce"] != "n" || len(strings.Fields(got.Scope)) != 3 {
		t.Errorf("%v, scope %q", got.claims, got.Scope)
	}
}

func TestOP08ALongStateComesBackUntouchedAndWithTheIssuer(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a := o.client(basicOP(nil))
	state := strings.Repeat(`aZ0-._~ !$&'()*+,;=:@/?%2B"<>#é`, 8)[:128]
	if back := a.authorize(o.person(), "state", state); back.Get("state") != state || back.Get("iss") != o.issuer || back.Get("code") == "" || len(back) != 3 {
		t.Errorf("%v", back)
	}
	nobody, _ := o.browser()
	back := a.authorize(nobody, "state", state, "prompt", "none")
	if back.Get("state") != state || back.Get("iss") != o.issuer || back.Get("error") == "" {
		t.Errorf("an error: %v", back)
	}
	if back := a.authorize(nobody, "state", "", "prompt", "none"); back.Has("state") {
		t.Errorf("a state that was not sent: %v", back)
	}
}

func TestOP09NoNonceIsNeededAndOneComesBack(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	if _, has := a.signIn(p).claims["nonce"]; has {
		t.Error("a nonce that was not sent")
	}
	nonce := strings.Repeat("n+/=%20 ", 16)
	if got := a.signIn(p, "nonce", nonce).claims["nonce"]; got != nonce {
		t.Errorf("nonce %q, sent %q", got, nonce)
	}
}

func TestOP10ARequestWithoutResponseTypeIsRefused(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	refusedBack(t, o, o.client(basicOP(nil)).authorize(o.person(), "response_type", ""), "invalid_request", "unsupported_response_type")
}

func TestOP11ARedirectURIIsComparedCharacterByCharacter(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	a := o.client(basicOP(func(c *idp.Client) {
		c.RedirectURIs = []string{rpOrigin + "cb", rpOrigin + "cb?foo=bar"}
	}))
	for name, uri := range map[string]string{
		"none of two":       "",
		"unregistered":      rpOrigin + "other",
		"a longer path":     rpOrigin + "cb/x",
		"a query added":     rpOrigin + "cb?x=y",
		"another query":     rpOrigin + "cb?foo=baz",
		"a longer query":    rpOrigin + "cb?foo=bar&x=y",
		"a fragment":        rpOrigin + "cb#f",
		"another case":      strings.ToUpper(rpOrigin) + "cb",
		"a default port":    "https://rp.example:443/cb",
		"escaped":           rpOrigin + "%63b",
		"dots":              rpOrigin + "x/../cb",
		"user information":  "https://x@rp.example/cb",
		"another scheme":    "http://rp.example/cb",
		"a script":          "javascript:alert(1)",
		"of another client": o.client(basicOP(nil)).RedirectURIs[0],
	} {
		at := a.open(p, "redirect_uri", uri)
		if at.status != 400 || at.name != "error" || at.url.Host != strings.TrimPrefix(o.issuer, "https://") {
			t.Errorf("%s: %v", name, at)
		}
	}
	a.RedirectURIs = a.RedirectURIs[1:] // used in request and exchange
	back := a.authorize(p)
	if back.Get("foo") != "bar" {
		t.Errorf("the registered query is lost: %v", back)
	}
	a.granted(a.exchange(back.Get("code")))
}

func TestOP12PromptNoneIsSilentOrAnError(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a := o.client(basicOP(nil))
	nobody, _ := o.browser()
	refusedBack(t, o, a.authorize(nobody, "prompt", "none"), "login_required")
	p := o.person()
	refusedBack(t, o, a.authorize(p, "prompt", "none"), "consent_required")
	first := a.signIn(p)
	o.age(first, 2*time.Minute)
	first = a.signIn(p)
	at := a.open(p, "prompt", "none")
	if !strings.HasPrefix(at.url.String(), rpOrigin) {
		t.Fatalf("prompt=none showed %v", at)
	}
	again := a.granted(a.exchange(at.url.Query().Get("code")))
	if again.claims["sub"] != first.claims["sub"] || again.claims["auth_time"] != first.claims["auth_time"] {
		t.Errorf("%v, first %v", again.claims, first.claims)
	}
	refusedBack(t, o, a.authorize(p, "prompt", "none login"), "invalid_request")
}

func TestOP13PromptLoginAndMaxAgeAskForThePasskeyAgain(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	first := a.signIn(p)
	for _, how := range [][]string{{"prompt", "login"}, {"max_age", "1"}, {"max_age", "0"}} {
		o.age(first, 2*time.Second)
		before := a.signIn(p).claims["auth_time"].(float64)
		at := a.open(p, how...)
		if at.name != "stepup" {
			t.Errorf("%v: no passkey was asked for: %v", how, at)
		}
		after := a.granted(a.exchange(p.through(at).Get("code")))
		if at := after.claims["auth_time"].(float64); at <= before || time.Since(time.Unix(int64(at), 0)) > time.Minute {
			t.Errorf("%v: auth_time %v, before %v", how, at, before)
		}
		if after.claims["sub"] != first.claims["sub"] {
			t.Errorf("%v: another sub", how)
		}
	}
	nobody, _ := o.browser()
	if at := a.open(nobody, "prompt", "login"); at.name != "login" {
		t.Errorf("without a session: %v", at)
	}
}

func TestOP13AGenerousMaxAgeAsksForNothing(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	first := a.signIn(p, "max_age", "15000")
	again := a.granted(a.exchange(a.authorize(p, "max_age", "99999999999999999999", "prompt", "none").Get("code")))
	if again.claims["auth_time"] != first.claims["auth_time"] || again.claims["auth_time"] == nil {
		t.Errorf("auth_time %v, first %v", again.claims["auth_time"], first.claims["auth_time"])
	}
	for _, wrong := range []string{"-1", "1.5", "soon"} {
		refusedBack(t, o, a.authorize(p, "max_age", wrong), "invalid_request")
	}
}

func TestOP14AnIDTokenHintIsSilentForItsUserAlone(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	first := a.signIn(p)
	back := a.authorize(p, "prompt", "none", "id_token_hint", first.IDToken)
	if got := a.granted(a.exchange(back.Get("code"))); got.claims["sub"] != first.claims["sub"] {
		t.Errorf("%v", got.claims)
	}
	other := o.person()
	a.signIn(other)
	refusedBack(t, o, a.authorize(other, "prompt", "none", "id_token_hint", first.IDToken), "login_required")
	for name, hint := range map[string]string{
		"no token": "x", "of another signature": first.IDToken[:len(first.IDToken)-8] + "AAAAAAAA", "an access token": first.AccessToken,
	} {
		if back := a.authorize(p, "prompt", "none", "id_token_hint", hint); back.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", name, back)
		}
	}
}

func TestOP14OtherHintsAreNoErrors(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	for _, hint := range [][]string{
		{"login_hint", "somebody@example.com"},
		{"ui_locales", "se fr-CA xx-invalid-tag"},
		{"claims_locales", "se"},
		{"display", "page"},
		{"display", "popup"},
	} {
		if back := a.authorize(p, hint...); back.Get("code") == "" {
			t.Errorf("%v: %v", hint, back)
		}
	}
}

func TestOP15EveryAnnouncedACRCanBeAskedFor(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	announced := o.list("acr_values_supported")
	if len(announced) == 0 {
		t.Fatal("no acr_values_supported")
	}
	for _, asked := range append(slices.Clone(announced), strings.Join(announced, " "), "1 2") {
		if acr, _ := a.signIn(p, "acr_values", asked).claims["acr"].(string); !slices.Contains(announced, acr) {
			t.Errorf("acr_values=%q: acr %q", asked, acr)
		}
	}
}

func TestOP16AClaimAskedForByNameArrivesWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	got := a.signIn(p, "claims", `{"userinfo":{"name":{"essential":true}}}`)
	if info := o.userInfo(got.AccessToken).json(t); info["name"] != "Ada Lovelace" || info["email"] != nil {
		t.Errorf("userinfo: %v", info)
	}
	if got.claims["name"] != nil {
		t.Errorf("ID token: %v", got.claims)
	}
	got = a.signIn(p, "claims", `{"id_token":{"email":null,"auth_time":{"essential":true},"acr":{"values":["phr"]}}}`)
	if email, _ := got.claims["email"].(string); !strings.HasSuffix(email, "@example.com") || got.claims["acr"] != "phr" {
		t.Errorf("ID token: %v", got.claims)
	}
	if info := o.userInfo(got.AccessToken).json(t); info["email"] != nil {
		t.Errorf("userinfo: %v", info)
	}
	refusedBack(t, o, a.authorize(p, "claims", `{"userinfo":`), "invalid_request")
}

// A request object that cannot be trusted. If it were ignored, the server would answer a request that the client did not mean.
func TestOP17ARequestObjectIsNeverOverlooked(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	unsigned := "eyJhbGciOiJub25lIn0.eyJzY29wZSI6Im9wZW5pZCBlbWFpbCJ9."
	refusedBack(t, o, a.authorize(p, "request", unsigned), "invalid_request_object")
	refusedBack(t, o, a.authorize(p, "request_uri", "https://rp.example/request.jwt#1"), "invalid_request_uri")
}

func TestOP18PKCEWorksForClientsThatNeedNotUseIt(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	challenge := o.client(func(*idp.Client) {}).request() // of a client that must
	a.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	s256 := []string{"code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method", "S256"}
	a.granted(a.exchange(a.authorize(p, s256...).Get("code"), "code_verifier", a.verifier))
	a.exchange(a.authorize(p, s256...).Get("code")).refused(t, 400, "invalid_grant")
	a.exchange(a.authorize(p, s256...).Get("code"), "code_verifier", challenge.Get("code_challenge")).refused(t, 400, "invalid_grant")
	a.exchange(a.authorize(p).Get("code"), "code_verifier", a.verifier).refused(t, 400, "invalid_grant")
}

var formAction = regexp.MustCompile(`<form\b[^>]*method="post" action="([^"]*)" data-form-post>`)

// posted is what the form_post page at sends to the client.
func posted(t *testing.T, a *rp, at page) url.Values {
	t.Helper()
	m := formAction.FindStringSubmatch(at.body)
	if at.name != "continue" || m == nil || m[1] != a.RedirectURIs[0] || at.status != 200 {
		t.Fatalf("no form for the client on %v:\n%.2000s", at, at.body)
	}
	form := url.Values{}
	for _, tag := range inputTag.FindAllString(at.body, -1) {
		if name := attr(tag, "name"); name != "" {
			form.Add(name, attr(tag, "value"))
		}
	}
	return form
}

func TestOP19FormPostPutsNothingIntoAnAddress(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(func(c *idp.Client) { c.FirstParty = true })), o.person()
	at := a.open(p, "response_mode", "form_post", "state", `a"b<c>&d`)
	back := posted(t, a, at)
	if back.Get("state") != `a"b<c>&d` || back.Get("iss") != o.issuer || len(back) != 3 {
		t.Errorf("%v", back)
	}
	a.granted(a.exchange(back.Get("code")))
	if strings.Contains(at.url.RawQuery, back.Get("code")) {
		t.Errorf("the code is in %s", at.url)
	}
	script := regexp.MustCompile(`<script src="([^"]+)" defer></script>\s*</main>`).FindStringSubmatch(at.body)
	if script == nil || !strings.Contains(string(o.send("GET", script[1], nil).body), ".submit()") {
		t.Error("nothing submits the form")
	}
	nobody, _ := o.browser()
	for name, at := range map[string]page{
		"prompt=none":      a.open(nobody, "response_mode", "form_post", "prompt", "none"),
		"no response_type": a.open(nobody, "response_mode", "form_post", "response_type", ""),
	} {
		refusedBack(t, o, posted(t, a, at), "login_required", "invalid_request")
		if strings.Contains(at.url.RawQuery, "error=") {
			t.Errorf("%s: %s", name, at.url)
		}
	}
}
