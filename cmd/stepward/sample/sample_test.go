package sample

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSignInShowsUserMethodAndTime(t *testing.T) {
	b := visit(t)
	if s := b.do("GET", "/"); s.text("app-signin") != "Sign in" || !strings.Contains(s.body, "/demo/mail") {
		t.Error(s.body)
	}
	s := b.signIn()
	for param, want := range map[string]string{
		"response_type": "code", "client_id": "acme", "scope": "openid profile email",
		"redirect_uri": b.base + CallbackPath, "acr_values": "", "code_challenge_method": "S256",
	} {
		if got := b.issuer.asked.Get(param); got != want {
			t.Errorf("%s = %q, want %q", param, got, want)
		}
	}
	for _, want := range []string{"Ada &lt;Lovelace&gt;", "ada@example.com", "ada-1", "phr", "pop swk user mfa", b.issuer.server.URL + "/account/passkeys"} {
		if !strings.Contains(s.body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if id, access := s.json("app-id-token"), s.json("app-access-token"); id["acr"] != "phr" || id["aud"] != "acme" || access["aud"] != b.base+APIPath {
		t.Error(id, access)
	}
	for _, secret := range []string{b.issuer.asked.Get("state"), b.issuer.asked.Get("code_challenge"), "the-code", "s3cret"} {
		if strings.Contains(s.body, secret) {
			t.Errorf("%q is on the page", secret)
		}
	}
}

func TestUserinfoOfAnotherUserIsNotShown(t *testing.T) {
	b := visit(t)
	b.issuer.info = "eve-2"
	if s := b.signIn(); s.text("app-userinfo") != "{}" || strings.Contains(s.body, "Lovelace") {
		t.Error(s.body)
	}
}

func TestPayoutStepsUpOnceAndPays(t *testing.T) {
	b := visit(t)
	b.signIn()
	hint := b.issuer.codes
	callback := b.atIssuer(b.do("POST", "/payout"))
	want := map[string]string{
		"acr_values": "phr", "max_age": "300", "scope": "openid profile email payouts",
		"authorization_details": `[{"amount":"250.00","creditor":"Ada","currency":"EUR","type":"payout"}]`,
	}
	for param, value := range want {
		if got := b.issuer.asked.Get(param); got != value {
			t.Errorf("%s = %q, want %q", param, got, value)
		}
	}
	if b.issuer.asked.Get("id_token_hint") == "" || b.issuer.asked.Get("nonce") == "" || b.issuer.asked.Get("code_challenge") == "" {
		t.Error("the step-up lost a parameter:", b.issuer.asked)
	}

	s := b.do("GET", callback)
	if s.path != "/payout" || b.issuer.codes != hint+1 {
		t.Fatalf("at %s after %d codes\n%s", s.path, b.issuer.codes, s.body)
	}
	result := s.json("app-result")
	if result["amount"] != "250.00" || result["currency"] != "EUR" || result["acr"] != "phr" || result["auth_time"] == nil || result["sub"] != "ada-1" {
		t.Error(result)
	}
	if challenge := s.text("app-challenge"); !strings.Contains(challenge, `error="insufficient_user_authentication"`) || !strings.Contains(challenge, `scope="payouts"`) {
		t.Error(challenge)
	}
	if scope := s.json("app-access-token")["scope"]; scope != "openid profile email payouts" {
		t.Error(scope)
	}

	again := b.do("POST", "/payout")
	if again.path != "/payout" || again.json("app-result")["amount"] != "250.00" || b.issuer.codes != hint+1 {
		t.Errorf("the second payout was not paid immediately: %s %d", again.path, b.issuer.codes)
	}
}

func TestPayoutWithAnExpiredTokenTakesOneAuthorizationRequest(t *testing.T) {
	b := visit(t)
	b.issuer.access = map[string]any{"exp": time.Now().Add(-time.Second).Unix(), "scope": "payouts"}
	b.signIn()
	callback := b.atIssuer(b.do("POST", "/payout"))
	if got := b.issuer.asked.Get("scope") + " " + b.issuer.asked.Get("acr_values") + " " + b.issuer.asked.Get("max_age"); got != "openid profile email payouts phr 300" {
		t.Error(got)
	}
	b.issuer.access = nil
	if s := b.do("GET", callback); s.json("app-result")["amount"] != "250.00" {
		t.Error(s.body)
	}
}

func TestPayoutIsNotMadeUnlessTheChallengeIsMet(t *testing.T) {
	for name, bend := range map[string]func(*issuer){
		"another user returned":        func(i *issuer) { i.id = map[string]any{"sub": "eve-2"}; i.access = i.id },
		"the authentication is weaker": func(i *issuer) { i.id = map[string]any{"acr": "pwd"} },
		"the authentication is old":    func(i *issuer) { i.id = map[string]any{"auth_time": time.Now().Unix() - 301} },
		"the scope was denied":         func(i *issuer) { i.scope = "openid profile email" },
	} {
		t.Run(name, func(t *testing.T) {
			b := visit(t)
			b.signIn()
			callback := b.atIssuer(b.do("POST", "/payout"))
			bend(b.issuer)
			s := b.do("GET", callback)
			if s.status != http.StatusForbidden || !strings.Contains(s.text("error"), "same person") {
				t.Errorf("%d %s", s.status, s.body)
			}
			if after := b.do("GET", "/payout"); after.text("app-result") != "" || after.json("app-id-token")["sub"] != "ada-1" || after.json("app-id-token")["acr"] != "phr" {
				t.Error("the session changed:", after.body)
			}
		})
	}
}

func TestAFailedPayoutDoesNotShowAnEarlierReceipt(t *testing.T) {
	b := visit(t)
	b.signIn()
	if s := b.do("GET", b.atIssuer(b.do("POST", "/payout"))); s.text("app-result") == "" {
		t.Fatal(s.body)
	}
	b.apiDown = true
	if s := b.do("POST", "/payout"); s.status != http.StatusBadGateway || s.text("error") == "" {
		t.Errorf("%d %s", s.status, s.body)
	}
	if s := b.do("GET", "/payout"); s.text("app-result") != "" {
		t.Error(s.body)
	}
}

func TestOneResponsePaysOnce(t *testing.T) {
	b := visit(t)
	b.signIn()
	callback := b.atIssuer(b.do("POST", "/payout"))
	b.do("GET", callback)
	codes := b.issuer.codes
	if s := b.do("GET", callback); s.status != http.StatusBadRequest || s.text("error") == "" || b.issuer.codes != codes {
		t.Errorf("%d after %d codes: %s", s.status, b.issuer.codes-codes, s.body)
	}
}

func TestASecondChallengeDoesNotLoop(t *testing.T) {
	b := visit(t)
	b.signIn()
	callback := b.atIssuer(b.do("POST", "/payout"))
	b.issuer.access = map[string]any{"auth_time": time.Now().Unix() - 301} // the ID token says otherwise
	if s := b.do("GET", callback); s.status != http.StatusBadGateway || s.text("error") == "" {
		t.Errorf("%d %v %s", s.status, s.location, s.body)
	}
}

func TestUnrequestedResponsesAreRefused(t *testing.T) {
	for name, bend := range map[string]func(b *browser, callback string) string{
		"another state":         func(_ *browser, c string) string { return strings.Replace(c, "state=", "state=x", 1) },
		"no state":              func(b *browser, _ string) string { return b.base + CallbackPath + "?code=the-code" },
		"another issuer":        func(_ *browser, c string) string { return strings.Replace(c, "iss=http", "iss=https", 1) },
		"the issuer is missing": func(_ *browser, c string) string { return strings.Replace(c, "iss=", "was=", 1) },
		"another code":          func(_ *browser, c string) string { return strings.Replace(c, "the-code", "other-code", 1) },
		"another nonce":         func(b *browser, c string) string { b.issuer.id = map[string]any{"nonce": "n"}; return c },
		"another audience":      func(b *browser, c string) string { b.issuer.id = map[string]any{"aud": "eve"}; return c },
		"another at_hash":       func(b *browser, c string) string { b.issuer.id = map[string]any{"at_hash": "AAAA"}; return c },
		"another browser":       func(b *browser, c string) string { b.http.Jar = nil; return c },
	} {
		t.Run(name, func(t *testing.T) {
			b := visit(t)
			s := b.do("GET", bend(b, b.atIssuer(b.do("POST", "/signin"))))
			if s.status < 400 || s.text("error") == "" || s.text("app-signin") == "" {
				t.Errorf("%d %s", s.status, s.body)
			}
			if me := b.do("GET", "/me"); me.path != "/" {
				t.Error("signed in anyway")
			}
		})
	}
}

func TestProviderErrorsAreExplainedWithANextStep(t *testing.T) {
	for code, want := range map[string]string{
		"access_denied":                     "You chose not to continue",
		"unmet_authentication_requirements": "None of your passkeys",
		"login_required":                    "sign in yourself",
		"temporarily_unavailable":           "Try again later",
		"<script>":                          "our mistake",
	} {
		t.Run(code, func(t *testing.T) {
			b := visit(t)
			b.signIn()
			b.atIssuer(b.do("POST", "/payout"))
			s := b.do("GET", b.back(url.Values{"error": {code}, "error_description": {"Call 555-1234"}}))
			if s.status < 400 || !strings.Contains(s.text("error"), want) || !strings.Contains(s.body, `href="/payout"`) {
				t.Errorf("%d %s", s.status, s.body)
			}
			if strings.Contains(s.body, "555-1234") || strings.Contains(s.body, "<script") || strings.Contains(s.body, "_required") {
				t.Error("text of the URL reached the page:", s.body)
			}
		})
	}
}

func TestSignOutEndsTheSessionHereAndThenAtTheProvider(t *testing.T) {
	b := visit(t)
	b.signIn()
	s := b.do("POST", "/signout")
	if s.location == nil || s.location.Path != "/oauth2/end_session" {
		t.Fatalf("%d %v", s.status, s.location)
	}
	q := s.location.Query()
	if q.Get("post_logout_redirect_uri") != b.base+SignedOutPath || q.Get("client_id") != "acme" || strings.Count(q.Get("id_token_hint"), ".") != 2 {
		t.Error(q)
	}
	if me := b.do("GET", "/me"); me.path != "/" || me.text("app-signin") == "" {
		t.Error("still signed in:", me.path)
	}
	if q.Get("state") != leaving {
		t.Error(q)
	}
	if s := b.do("GET", SignedOutPath+"?state="+leaving); s.status != 200 || !strings.Contains(s.body, "signed out") {
		t.Error(s.body)
	}
}

func TestTheSessionIdentifierChangesWithEverySignInAndStepUp(t *testing.T) {
	b := visit(t)
	base, _ := url.Parse(b.base)
	seen := map[string]bool{}
	note := func() {
		cookies := b.http.Jar.Cookies(base)
		if len(cookies) != 1 || cookies[0].Name != "acme-session" || seen[cookies[0].Value] {
			t.Fatalf("%v, seen %v", cookies, seen)
		}
		seen[cookies[0].Value] = true
	}
	callback := b.atIssuer(b.do("POST", "/signin"))
	note()
	b.do("GET", callback)
	note()
	b.do("GET", b.atIssuer(b.do("POST", "/payout")))
	note()
	now := b.http.Jar.Cookies(base)[0].Value
	b.http.Jar = nil
	for old := range seen {
		if s := b.do("GET", "/me", "Cookie", "acme-session="+old); (s.status == http.StatusOK && s.path == "/me") != (old == now) {
			t.Errorf("an old identifier still works, or the current one does not: %s", s.path)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	b := visit(t)
	b.signIn()
	for _, path := range []string{"/payout", "/signout", "/signin"} {
		if s := b.do("POST", path, "Sec-Fetch-Site", "cross-site"); s.status != http.StatusForbidden || s.text("error") == "" {
			t.Errorf("%s: %d", path, s.status)
		}
	}
}

func TestMemberPagesRedirectOthersHome(t *testing.T) {
	b := visit(t)
	for _, path := range []string{"/me", "/payout"} {
		if s := b.do("GET", path); s.path != "/" {
			t.Errorf("%s led to %s", path, s.path)
		}
	}
	if s := b.do("POST", "/payout"); s.status != http.StatusUnauthorized || s.text("error") == "" {
		t.Error(s.status, s.body)
	}
}

func TestEveryPageForbidsScriptsAndFrames(t *testing.T) {
	b := visit(t)
	for _, path := range []string{"/", "/nowhere", CallbackPath, "/static/acme.css"} {
		s := b.do("GET", path)
		policy := s.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %q", path, policy)
		}
		if strings.Contains(s.body, "<script") || strings.Contains(s.body, "style=") {
			t.Errorf("%s has something inline", path)
		}
	}
}

func TestAnUnreachableProviderIsReportedAndRetried(t *testing.T) {
	b := visit(t)
	handler := b.issuer.server.Config.Handler
	b.issuer.server.Config.Handler = http.NotFoundHandler()
	if s := b.do("POST", "/signin"); s.status != http.StatusBadGateway || !strings.Contains(s.body, "can’t reach") {
		t.Errorf("%d %s", s.status, s.body)
	}
	b.issuer.server.Config.Handler = handler
	b.signIn()
}

func TestNewRejectsInvalidConfiguration(t *testing.T) {
	good := Config{Issuer: "http://localhost:8080", ClientID: "acme", BaseURL: "http://localhost:8090/"}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Config{
		"no issuer":            {ClientID: good.ClientID, BaseURL: good.BaseURL},
		"no client":            {Issuer: good.Issuer, BaseURL: good.BaseURL},
		"no base URL":          {Issuer: good.Issuer, ClientID: good.ClientID},
		"a base URL with path": {Issuer: good.Issuer, ClientID: good.ClientID, BaseURL: "http://localhost:8090/bank"},
	} {
		if _, err := New(c); err == nil {
			t.Error(name, "was accepted")
		}
	}
}

func TestTheAPIAcceptsOnlyItsOwnAccessTokens(t *testing.T) {
	b := visit(t)
	b.issuer.asked = url.Values{"redirect_uri": {b.base + CallbackPath}}
	other := newIssuer(t).key
	good := func(more map[string]any) map[string]any {
		return b.issuer.claims(map[string]any{"aud": []string{b.base + APIPath}, "scope": "openid payouts"}, more)
	}
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		token string
		want  int
		code  string
	}{
		"a good token":             {b.issuer.sign("at+jwt", good(nil)), 200, ""},
		"the long name of type":    {b.issuer.sign("application/at+jwt", good(nil)), 200, ""},
		"a hardware-bound passkey": {b.issuer.sign("at+jwt", good(map[string]any{"acr": "phrh"})), 200, ""},
		"an ID token":              {b.issuer.sign("JWT", good(nil)), 401, "invalid_token"},
		"a logout token":           {b.issuer.sign("logout+jwt", good(nil)), 401, "invalid_token"},
		"another key":              {signWith(t, other, "at+jwt", good(nil)), 401, "invalid_token"},
		"another audience":         {b.issuer.sign("at+jwt", good(map[string]any{"aud": "acme"})), 401, "invalid_token"},
		"another issuer":           {b.issuer.sign("at+jwt", good(map[string]any{"iss": b.base})), 401, "invalid_token"},
		"an expired one":           {b.issuer.sign("at+jwt", good(map[string]any{"exp": now})), 401, "invalid_token"},
		"one that never expires":   {b.issuer.sign("at+jwt", good(map[string]any{"exp": nil})), 401, "invalid_token"},
		"no sub":                   {b.issuer.sign("at+jwt", good(map[string]any{"sub": ""})), 401, "invalid_token"},
		"bound to a key":           {b.issuer.sign("at+jwt", good(map[string]any{"cnf": map[string]string{"jkt": "x"}})), 401, "invalid_token"},
		"no signature":             {"eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJub25lIn0.e30.", 401, "invalid_token"},
		"no JWT":                   {"opaque", 401, "invalid_token"},
		"for another payout":       {b.issuer.sign("at+jwt", good(map[string]any{"authorization_details": []map[string]string{{"type": "payout", "amount": "2.00", "currency": "EUR", "creditor": "Ada"}}})), 403, ""},
		"of a sign-in":             {b.issuer.sign("at+jwt", good(map[string]any{"scope": "openid"})), 401, "insufficient_user_authentication"},
		"too old":                  {b.issuer.sign("at+jwt", good(map[string]any{"auth_time": now - 301})), 401, "insufficient_user_authentication"},
		"too weak":                 {b.issuer.sign("at+jwt", good(map[string]any{"acr": "pwd"})), 401, "insufficient_user_authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", b.base+"/api/payouts", strings.NewReader(`{"amount":"1.00","currency":"EUR","to":"Ada"}`))
			r.Header.Set("Authorization", "Bearer "+test.token)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			challenge := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != test.want || (test.code != "") != strings.Contains(challenge, `error="`+test.code+`"`) {
				t.Errorf("%d %s", resp.StatusCode, challenge)
			}
			if test.want == 401 && !strings.HasSuffix(challenge, `acr_values="phr", max_age="300", scope="payouts"`) {
				t.Error("the challenge lacks the requirement:", challenge)
			}
		})
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSessions(true)
	for range maxSessions + 5 {
		s.start(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), session{})
	}
	if len(s.byKey) != maxSessions {
		t.Errorf("%d sessions", len(s.byKey))
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	s.expect(w, r, pending{state: "0"})
	cookie := w.Result().Cookies()[0]
	if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
		t.Error(cookie)
	}
	r.AddCookie(cookie)
	for range maxPending {
		s.expect(httptest.NewRecorder(), r, pending{state: "n"})
	}
	if got := len(s.current(r).pending); got != maxPending {
		t.Errorf("%d pending requests", got)
	}
	if _, ok := s.take(r, "0"); ok {
		t.Error("the oldest request was kept")
	}
}
