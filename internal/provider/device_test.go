package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// addDevice stores a public client for devices without a browser.
func (h *house) addDevice(f func(*idp.Client)) idp.Client {
	h.t.Helper()
	return h.addClient(func(c *idp.Client) {
		c.Name, c.AuthMethod, c.RedirectURIs = "Tele", idp.AuthMethodNone, nil
		c.GrantTypes = []string{idp.GrantDeviceCode, idp.GrantRefreshToken}
		if f != nil {
			f(c)
		}
	})
}

// ask sends a device authorization request with these parameters.
func (h *house) ask(c idp.Client, params ...string) reply {
	h.t.Helper()
	form := url.Values{"scope": {"openid"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	if c.Public() {
		form.Set("client_id", c.ID)
		return h.post(oauth.PathDeviceAuthorization, form)
	}
	return h.post(oauth.PathDeviceAuthorization, form, basic(c))
}

// asked returns the device code and the user code of a valid request.
func (h *house) asked(c idp.Client, params ...string) (deviceCode, userCode string) {
	h.t.Helper()
	r := h.ask(c, params...)
	if r.StatusCode != 200 {
		h.t.Fatalf("ask: %d %s", r.StatusCode, r.body)
	}
	m := r.json(h.t)
	return m["device_code"].(string), m["user_code"].(string)
}

func (h *house) poll(c idp.Client, deviceCode string) reply {
	h.t.Helper()
	form := url.Values{"grant_type": {idp.GrantDeviceCode}, "device_code": {deviceCode}}
	if c.Public() {
		form.Set("client_id", c.ID)
		return h.post(oauth.PathToken, form)
	}
	return h.post(oauth.PathToken, form, basic(c))
}

// goOn continues to the interaction as the person.
func (h *house) goOn(userCode string) {
	h.t.Helper()
	r := h.post("/device/confirm", url.Values{"user_code": {userCode}, "answer": {"go"}})
	if r.StatusCode != 303 || !strings.HasPrefix(r.Header.Get("Location"), "/login?i=") {
		h.t.Fatalf("no interaction: %d %s %s", r.StatusCode, r.Header.Get("Location"), r.body)
	}
}

// allowed allows everything as the person.
func (h *house) allowed(u idp.User, userCode string) {
	h.t.Helper()
	h.goOn(userCode)
	r, err := h.respond(h.outcome(u))
	check(h.t, err)
	if r.StatusCode != 303 || r.Header.Get("Location") != "/device/connected" {
		h.t.Fatalf("%d %s", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestADeviceIsToldWhatToShow(t *testing.T) {
	h := open(t)
	r := h.ask(h.addDevice(nil))
	if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
	}
	m := r.json(t)
	shown, code := m["user_code"].(string), m["device_code"].(string)
	if len(shown) != 9 || shown[4] != '-' || len(code) < 40 || strings.Contains(code, shown) {
		t.Errorf("codes %q and %q", shown, code)
	}
	delete(m, "user_code")
	delete(m, "device_code")
	if d := cmp.Diff(map[string]any{
		"verification_uri": h.url + "/device", "verification_uri_complete": h.url + "/device?user_code=" + shown, "expires_in": 600.0, "interval": 5.0,
	}, m); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if meta := h.get("/.well-known/oauth-authorization-server").json(t); meta["device_authorization_endpoint"] != h.url+oauth.PathDeviceAuthorization {
		t.Errorf("metadata: %v", meta["device_authorization_endpoint"])
	}
}

func TestADeviceGetsTokensOfThePersonsCeremony(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u := h.addUser()
		confidential := func(c *idp.Client) { c.AuthMethod = idp.AuthMethodBasic }
		for name, c := range map[string]idp.Client{"public": h.addDevice(nil), "confidential": h.addDevice(confidential)} {
			code, shown := h.asked(c, "scope", "openid offline_access accounts", "acr_values", "phr", "claims", `{"id_token":{"email":null}}`)
			wantError(t, h.poll(c, code), 400, "authorization_pending")
			time.Sleep(time.Minute)
			h.goOn(shown)
			if d := cmp.Diff(idp.Request{
				ClientID: c.ID, Device: idp.Secret(code).Hash(), Prompt: []string{"login", "consent"},
				Scopes: []string{"openid", "offline_access", "accounts", "email"}, ClaimScopes: []string{"email"}, Claims: []byte(`{"id_token":{"email":null}}`),
			}, h.last.Request); d != "" {
				t.Errorf("%s: request (-want +got):\n%s", name, d)
			}
			if need := h.last.Requirement; !need.Fresh || len(need.ACRValues) != 1 || need.ACRValues[0] != "phr" {
				t.Errorf("%s: requirement %+v", name, need)
			}
			wantError(t, h.poll(c, code), 400, "authorization_pending")
			ceremony := time.Now().Unix()
			r, err := h.respond(h.outcome(u))
			check(t, err)
			if r.StatusCode != 303 || r.Header.Get("Location") != "/device/connected" {
				t.Fatalf("%s: %d %s", name, r.StatusCode, r.Header.Get("Location"))
			}
			time.Sleep(2 * time.Minute)
			answer := h.poll(c, code)
			if answer.StatusCode != 200 || answer.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%s: %d %s", name, answer.StatusCode, answer.body)
			}
			tok := answer.json(t)
			for _, token := range []string{"access_token", "id_token"} {
				_, got := claims(t, tok[token])
				if got["sub"] != u.ID || got["acr"] != "phr" || got["auth_time"] != float64(ceremony) || got["sid"] != "sid-1" || fmt.Sprint(got["amr"]) != "[pop user mfa]" || got["nonce"] != nil {
					t.Errorf("%s: %s %v", name, token, got)
				}
			}
			if _, id := claims(t, tok["id_token"]); id["aud"] != c.ID || id["email"] != u.Email {
				t.Errorf("%s: ID token %v", name, id)
			}
			if again := h.refresh(c, tok["refresh_token"]); again.StatusCode != 200 {
				t.Errorf("%s: refresh %d %s", name, again.StatusCode, again.body)
			}
			if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
				t.Errorf("%s: userinfo %d %s", name, r.StatusCode, r.body)
			}
			// The code again: another holder uses it, and the tokens from it end (as of an authorization code).
			wantError(t, h.poll(c, code), 400, "invalid_grant")
			if r := h.userinfo(tok["access_token"]); r.StatusCode != 401 {
				t.Errorf("%s: the token outlives the second use of its code: %d", name, r.StatusCode)
			}
		}
	})
}

func TestAnActionClassOfADeviceEndsWithTheWindowOfItsCeremony(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u, c := h.addUser(), h.addDevice(nil)
		code, shown := h.asked(c, "scope", "openid payments")
		h.allowed(u, shown)
		if classes := h.last.Requirement.ActionClasses; len(classes) != 1 || classes[0].Name != "payments" {
			t.Errorf("classes %v", classes)
		}
		time.Sleep(3 * time.Minute)
		tok := h.poll(c, code).json(t)
		if tok["scope"] != "openid payments" || tok["expires_in"].(float64) > 120 {
			t.Errorf("two of five minutes are left: %v %v", tok["scope"], tok["expires_in"])
		}
		late, shown := h.asked(c, "scope", "openid payments")
		h.allowed(u, shown)
		time.Sleep(6 * time.Minute)
		if tok := h.poll(c, late).json(t); tok["scope"] != "openid" {
			t.Errorf("after the window: %v", tok)
		}
	})
}

func TestADeviceMayAskNoMoreThanItsClient(t *testing.T) {
	h := open(t)
	c := h.addDevice(func(c *idp.Client) { c.Scopes = []string{"openid", "email"} })
	other := h.addClient(nil)
	confidential := h.addDevice(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodBasic })
	for _, row := range []struct {
		name   string
		form   url.Values
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"another client's scope", url.Values{"client_id": {c.ID}, "scope": {"openid accounts"}}, nil, 400, "invalid_scope"},
		{"no scope", url.Values{"client_id": {c.ID}}, nil, 400, "invalid_scope"},
		{"no scope that is known", url.Values{"client_id": {c.ID}, "scope": {"x y z"}}, nil, 400, "invalid_scope"},
		{"without the grant", url.Values{"scope": {"openid"}}, basic(other), 400, "unauthorized_client"},
		{"without authentication", url.Values{"client_id": {confidential.ID}, "scope": {"openid"}}, nil, 401, "invalid_client"},
		{"another's secret", url.Values{"client_id": {c.ID}, "client_secret": {clientSecret.Reveal()}, "scope": {"openid"}}, nil, 401, "invalid_client"},
		{"nobody", url.Values{"scope": {"openid"}}, nil, 401, "invalid_client"},
		{"an unknown client", url.Values{"client_id": {"nobody"}, "scope": {"openid"}}, nil, 401, "invalid_client"},
		{"scope twice", url.Values{"client_id": {c.ID}, "scope": {"openid", "email"}}, nil, 400, "invalid_request"},
		{"client_id twice", url.Values{"client_id": {c.ID, c.ID}, "scope": {"openid"}}, nil, 400, "invalid_request"},
		{"claims that are no object", url.Values{"client_id": {c.ID}, "scope": {"openid"}, "claims": {"[]"}}, nil, 400, "invalid_request"},
		{"claims of the wrong type", url.Values{"client_id": {c.ID}, "scope": {"openid"}, "claims": {`{"id_token":7}`}}, nil, 400, "invalid_request"},
		{"claims that are too long", url.Values{"client_id": {c.ID}, "scope": {"openid"}, "claims": {`{"x":"` + strings.Repeat("y", 5000) + `"}`}}, nil, 400, "invalid_request"},
		{"too much", url.Values{"client_id": {c.ID}, "scope": {strings.Repeat("openid ", 3000)}}, nil, 413, "invalid_request"},
		{"in the address", url.Values{"client_id": {c.ID}, "scope": {"openid"}}, func(r *http.Request) { r.URL.RawQuery = "scope=openid" }, 400, "invalid_request"},
		{"JSON", url.Values{}, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		{"a foreign method", url.Values{}, func(r *http.Request) { r.Method = "PUT" }, 405, "invalid_request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.edit == nil {
				row.edit = func(*http.Request) {}
			}
			r := h.post(oauth.PathDeviceAuthorization, row.form, row.edit)
			wantError(t, r, row.status, row.code)
			if strings.Contains(r.body, "device_code") {
				t.Errorf("%s", r.body)
			}
		})
	}
}

func TestAnInvalidPollIsRejected(t *testing.T) {
	h := open(t)
	u, c, twin := h.addUser(), h.addDevice(nil), h.addDevice(nil)
	code, shown := h.asked(c)
	h.allowed(u, shown)
	grant := func(more ...string) url.Values {
		v := url.Values{"grant_type": {idp.GrantDeviceCode}, "client_id": {c.ID}}
		for i := 0; i < len(more); i += 2 {
			v.Add(more[i], more[i+1])
		}
		return v
	}
	for _, row := range []struct {
		name   string
		form   url.Values
		status int
		code   string
	}{
		{"no code", grant(), 400, "invalid_request"},
		{"an empty code", grant("device_code", ""), 400, "invalid_request"},
		{"an unknown code", grant("device_code", "x"), 400, "invalid_grant"},
		{"an endless code", grant("device_code", strings.Repeat("x", 60000)), 400, "invalid_grant"},
		{"the user code", grant("device_code", shown), 400, "invalid_grant"},
		{"the code with something added", grant("device_code", code+"A"), 400, "invalid_grant"},
		{"the code in lower case", grant("device_code", strings.ToLower(code)), 400, "invalid_grant"},
		{"the code twice", grant("device_code", code, "device_code", code), 400, "invalid_request"},
		{"no client", url.Values{"grant_type": {idp.GrantDeviceCode}, "device_code": {code}}, 401, "invalid_client"},
		{"as an authorization code", url.Values{"grant_type": {idp.GrantAuthorizationCode}, "client_id": {c.ID}, "code": {code}, "redirect_uri": {"https://app.example/cb"}}, 400, "unauthorized_client"},
	} {
		t.Run(row.name, func(t *testing.T) { wantError(t, h.post(oauth.PathToken, row.form), row.status, row.code) })
	}
	wantError(t, h.poll(twin, code), 400, "invalid_grant") // and its own client is none the worse for it
	wantError(t, h.poll(h.addClient(nil), code), 400, "unauthorized_client")
	if r := h.poll(c, code); r.StatusCode != 200 {
		t.Errorf("the right client: %d %s", r.StatusCode, r.body)
	}
	// A code of the code flow is no device code.
	app := h.addClient(func(c *idp.Client) { c.GrantTypes = append(c.GrantTypes, idp.GrantDeviceCode) })
	authorizationCode := h.code(app, u)
	wantError(t, h.poll(app, authorizationCode), 400, "invalid_grant")
	if r := h.exchange(app, authorizationCode); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestAPollThatIsTooEarlyMakesTheIntervalLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u, c := h.addUser(), h.addDevice(nil)
		code, shown := h.asked(c)
		for i, step := range []struct {
			wait time.Duration
			code string
		}{
			{0, "authorization_pending"}, // the first may come at once
			{5 * time.Second, "authorization_pending"},
			{4500 * time.Millisecond, "authorization_pending"}, // the one before was longer on its way
			{time.Second, "slow_down"},                         // 10 s from now on
			{5 * time.Second, "slow_down"},                     // 15 s
			{10 * time.Second, "slow_down"},                    // 20 s
			{20 * time.Second, "authorization_pending"},
			{15 * time.Second, "slow_down"},
			{25 * time.Second, "authorization_pending"},
		} {
			time.Sleep(step.wait)
			r := h.poll(c, code)
			if r.StatusCode != 400 || r.json(t)["error"] != step.code {
				t.Errorf("poll %d, after %v: %s", i, step.wait, r.body)
			}
		}
		h.allowed(u, shown)
		if r := h.poll(c, code); r.StatusCode != 200 { // nothing is pending any more
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	})
}

func TestADeviceCodeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		u, c := h.addUser(), h.addDevice(nil)
		code, shown := h.asked(c)
		answered, other := h.asked(c)
		h.goOn(shown)
		pending := h.last
		h.allowed(u, other)
		time.Sleep((10 * time.Minute))
		for range 2 {
			wantError(t, h.poll(c, code), 400, "expired_token")
			wantError(t, h.poll(c, answered), 400, "expired_token") // allowed in time, fetched too late
			time.Sleep(time.Minute)
		}
		if r := h.post("/device", url.Values{"user_code": {shown}}); r.StatusCode != 400 || !strings.Contains(r.body, `data-test="error"`) {
			t.Errorf("the old code at /device: %d", r.StatusCode)
		}
		h.last = pending
		var problem *web.Problem
		if _, err := h.respond(h.outcome(u)); !asProblem(err, &problem) || problem.Code != "expired" {
			t.Errorf("an answer that comes too late: %v", err)
		}
		time.Sleep((20 * time.Minute))
		wantError(t, h.poll(c, code), 400, "invalid_grant")
	})
}

func TestADeniedDeviceStaysDenied(t *testing.T) {
	h := open(t)
	c := h.addDevice(nil)
	before, shown := h.asked(c)
	if r := h.post("/device/confirm", url.Values{"user_code": {shown}, "answer": {"refuse"}}); r.Header.Get("Location") != "/device/refused" {
		t.Errorf("%d %s", r.StatusCode, r.Header.Get("Location"))
	}
	after, shown := h.asked(c)
	h.goOn(shown)
	if r, err := h.respond(idp.Outcome{Error: "access_denied"}); err != nil || r.Header.Get("Location") != "/device/refused" {
		t.Errorf("%v %s", err, r.Header.Get("Location"))
	}
	unmet, shown := h.asked(c)
	h.goOn(shown)
	var problem *web.Problem
	if _, err := h.respond(idp.Outcome{Error: "unmet_authentication_requirements"}); !asProblem(err, &problem) || problem.Status != 403 {
		t.Errorf("%v", err)
	}
	for name, code := range map[string]string{"before the sign-in": before, "after it": after, "by no passkey": unmet} {
		for range 2 {
			if r := h.poll(c, code); r.StatusCode != 400 || r.json(t)["error"] != "access_denied" {
				t.Errorf("refused %s: %s", name, r.body)
			}
		}
	}
}

func TestADeviceIsAnsweredOnce(t *testing.T) {
	h := open(t)
	u, stranger, c := h.addUser(), h.addUser(), h.addDevice(nil)
	code, shown := h.asked(c)
	h.goOn(shown)
	first := h.last
	h.goOn(shown) // another tab, or another user with the same code
	second := h.last
	check(t, func() error { h.last = first; _, err := h.respond(h.outcome(u)); return err }())
	for name, i := range map[string]idp.Interaction{"the other tab": second, "the same once more": first} {
		h.last = i
		var problem *web.Problem
		if _, err := h.respond(h.outcome(stranger)); !asProblem(err, &problem) || problem.Status != 409 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{"/device", "/device/confirm"} {
		if r := h.post(path, url.Values{"user_code": {shown}, "answer": {"refuse"}}); r.StatusCode != 400 {
			t.Errorf("%s with a code that was used: %d", path, r.StatusCode)
		}
	}
	if _, access := claims(t, h.poll(c, code).json(t)["access_token"]); access["sub"] != u.ID {
		t.Errorf("%v", access)
	}
}

func TestOnlyOneOfManyPollsGetsTokens(t *testing.T) {
	h := open(t)
	u, c := h.addUser(), h.addDevice(nil)
	code, shown := h.asked(c)
	h.allowed(u, shown)
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for range 8 {
		wg.Go(func() {
			r := h.poll(c, code)
			mu.Lock()
			defer mu.Unlock()
			statuses[r.StatusCode]++
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[400] != 7 {
		t.Errorf("%v", statuses)
	}
}

func TestManyPollsAtOnceAreCountedTogether(t *testing.T) {
	h := open(t)
	c := h.addDevice(nil)
	code, _ := h.asked(c)
	var mu sync.Mutex
	var wg sync.WaitGroup
	said := map[any]int{}
	for range 8 {
		wg.Go(func() {
			m := h.poll(c, code).json(t)
			mu.Lock()
			defer mu.Unlock()
			said[m["error"]]++
		})
	}
	wg.Wait()
	if said["authorization_pending"] != 1 || said["slow_down"] != 7 {
		t.Errorf("%v", said)
	}
}

func TestACodeInTheLinkStillNeedsAPerson(t *testing.T) {
	h := open(t)
	c := h.addDevice(nil)
	_, shown := h.asked(c, "scope", "openid accounts")
	h.last = idp.Interaction{}
	if r := h.get("/device?user_code=" + shown); r.StatusCode != 200 || !strings.Contains(r.body, `value="`+shown+`"`) || strings.Contains(r.body, "Tele") {
		t.Errorf("the link: %d %s", r.StatusCode, r.body)
	}
	for _, typed := range []string{shown, strings.ToLower(strings.Replace(shown, "-", " ", 1))} {
		r := h.post("/device", url.Values{"user_code": {typed}})
		if r.StatusCode != 200 || r.Header.Get("Location") != "" || h.last.ID != "" {
			t.Errorf("%d %s began %q", r.StatusCode, r.Header.Get("Location"), h.last.ID)
		}
		for _, says := range []string{`data-page="device"`, shown, "Tele", "See your accounts", "127.0.0.1", "a Go program", "Only go on if you started this yourself", `data-test="device-confirm"`, `data-test="cancel"`} {
			if !strings.Contains(r.body, says) {
				t.Errorf("the page does not say %q:\n%s", says, r.body)
			}
		}
	}
	// A form without an answer, and one that another site sends, go nowhere.
	if r := h.post("/device/confirm", url.Values{"user_code": {shown}}); r.StatusCode != 200 || h.last.ID != "" {
		t.Errorf("no answer: %d", r.StatusCode)
	}
	r := h.post("/device/confirm", url.Values{"user_code": {shown}, "answer": {"go"}}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if r.StatusCode != 403 || h.last.ID != "" {
		t.Errorf("from another site: %d", r.StatusCode)
	}
	if r := h.get("/device"); r.StatusCode != 200 || !strings.Contains(r.body, `data-test="device-code"`) {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if strings.Contains(h.log.String(), shown) {
		t.Error("the log holds the user code")
	}
}

func TestWrongUserCodesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c := h.addDevice(nil)
		_, shown := h.asked(c)
		wrong := func() int { return h.post("/device", url.Values{"user_code": {"BCDF-GHJK"}}).StatusCode }
		for range 100 { // right ones, and what cannot be a code, are no guesses
			if r := h.post("/device", url.Values{"user_code": {shown}}); r.StatusCode != 200 {
				t.Fatalf("%d", r.StatusCode)
			}
			if r := h.get("/device?user_code=BCDF-GHJK"); r.StatusCode != 200 { // as images of a foreign page do
				t.Fatalf("%d", r.StatusCode)
			}
			if r := h.post("/device", url.Values{"user_code": {"hello"}}); r.StatusCode != 400 {
				t.Fatalf("%d", r.StatusCode)
			}
		}
		for range 20 {
			if status := wrong(); status != 400 {
				t.Fatalf("%d", status)
			}
		}
		if r := h.post("/device", url.Values{"user_code": {shown}}); r.StatusCode != 429 || r.Header.Get("Retry-After") != "600" {
			t.Errorf("the browser: %d", r.StatusCode)
		}
		h.client.Jar = nil // another browser at the same address
		if r := h.post("/device", url.Values{"user_code": {shown}}); r.StatusCode != 200 {
			t.Errorf("another browser: %d", r.StatusCode)
		}
		for range 60 - 20 {
			if status := wrong(); status != 400 {
				t.Fatalf("%d", status)
			}
		}
		for _, r := range []reply{h.post("/device", url.Values{"user_code": {shown}}), h.post("/device/confirm", url.Values{"user_code": {shown}, "answer": {"go"}})} {
			if r.StatusCode != 429 || h.last.ID != "" {
				t.Errorf("the address: %d", r.StatusCode)
			}
		}
		time.Sleep((10 * time.Minute))
		if status := wrong(); status != 400 {
			t.Errorf("after the window: %d", status)
		}
	})
}

func TestADeviceRequestIsReadAgainWhenThePersonComes(t *testing.T) {
	h := open(t)
	c := h.addDevice(nil)
	_, shown := h.asked(c, "scope", "openid accounts")
	c.Scopes = []string{"openid"}
	check(t, h.db.PutClient(t.Context(), c))
	if r := h.post("/device/confirm", url.Values{"user_code": {shown}, "answer": {"go"}}); r.StatusCode != 400 || h.last.ID != "" {
		t.Errorf("a scope that the client lost: %d", r.StatusCode)
	}
	c.GrantTypes = []string{idp.GrantRefreshToken}
	check(t, h.db.PutClient(t.Context(), c))
	if r := h.post("/device", url.Values{"user_code": {shown}}); r.StatusCode != 400 {
		t.Errorf("a grant that the client lost: %d", r.StatusCode)
	}
	check(t, h.db.RemoveClient(t.Context(), c.ID))
	if r := h.post("/device", url.Values{"user_code": {shown}}); r.StatusCode != 400 {
		t.Errorf("a client that is gone: %d", r.StatusCode)
	}
}

func TestADeviceRequestIsKeptUnderHashes(t *testing.T) {
	h := open(t)
	code, shown := h.asked(h.addDevice(nil))
	user := strings.ReplaceAll(shown, "-", "")
	plain, hashed := &ephemeral.Op{Verb: ephemeral.Get, Key: "device:" + code}, &ephemeral.Op{Verb: ephemeral.Get, Key: "device:" + idp.Secret(code).Hash()}
	typed, found := &ephemeral.Op{Verb: ephemeral.Get, Key: "user-code:" + user}, &ephemeral.Op{Verb: ephemeral.Get, Key: "user-code:" + idp.Secret(user).Hash()}
	check(t, h.eph.Do(t.Context(), plain, hashed, typed, found))
	if plain.Found || !hashed.Found || typed.Found || !found.Found || strings.Contains(string(hashed.Result)+string(found.Result), code) {
		t.Errorf("%v %v %v %v: %s", plain.Found, hashed.Found, typed.Found, found.Found, hashed.Result)
	}
	if strings.Contains(h.log.String(), code) || strings.Contains(h.log.String(), shown) {
		t.Error("the log holds a code")
	}
}

func asProblem(err error, p **web.Problem) bool { return errors.As(err, p) }

func TestADeviceNamesResourcesAndDetailsAsAnAuthorizationRequestDoes(t *testing.T) {
	h := open(t)
	u, c := h.addUser(), h.addDevice(func(c *idp.Client) { c.DetailTypes = []string{"payment"} })
	code, shown := h.asked(c, "scope", "openid accounts", "resource", apiPay)
	h.goOn(shown)
	if got := h.last.Request.Resources; len(got) != 1 || got[0] != apiPay {
		t.Errorf("resources of the interaction: %v", got)
	}
	if _, err := h.respond(h.outcome(u)); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.post(oauth.PathToken, url.Values{"grant_type": {idp.GrantDeviceCode}, "client_id": {c.ID}, "device_code": {code}, "resource": {"https://unheard.example/"}}), 400, "invalid_target")
	if _, access := claims(t, h.poll(c, code).json(t)["access_token"]); access["aud"] != apiPay || access["scope"] != "accounts" {
		t.Errorf("%v", access)
	}
	code, shown = h.asked(c, "authorization_details", `[{"type":"payment","amount":7}]`)
	h.allowed(u, shown)
	if tok := h.poll(c, code).json(t); fmt.Sprint(tok["authorization_details"]) != "[map[amount:7 type:payment]]" {
		t.Errorf("%v", tok)
	}
	wantError(t, h.ask(c, "resource", "https://unheard.example/"), 400, "invalid_target")
	wantError(t, h.ask(c, "authorization_details", `[{"type":"unheard"}]`), 400, "invalid_authorization_details")
	wantError(t, h.ask(c, "authorization_details", `{}`), 400, "invalid_authorization_details")
}

func TestTheTokensOfADeviceAreBoundToTheKeyThatItProves(t *testing.T) {
	h := open(t)
	u, key := h.addUser(), dpoptest.New("ES256")
	c := h.addDevice(func(c *idp.Client) { c.DPoPBound = true })
	code, shown := h.asked(c, "scope", "openid offline_access")
	h.allowed(u, shown)
	wantError(t, h.poll(c, code), 400, "invalid_dpop_proof") // and the code is not used up by it
	form := url.Values{"grant_type": {idp.GrantDeviceCode}, "device_code": {code}}
	tok := h.asClient(c, form, proof(h, key, "POST", oauth.PathToken)).json(t)
	if _, access := claims(t, tok["access_token"]); tok["token_type"] != "DPoP" || access["cnf"].(map[string]any)["jkt"] != key.Thumbprint() {
		t.Fatalf("%v", tok)
	}
	wantError(t, h.refreshWith(c, tok["refresh_token"], proof(h, dpoptest.New("ES256"), "POST", oauth.PathToken)), 400, "invalid_grant")
}

func TestInvalidUserCodesAreAskedForAgain(t *testing.T) {
	h := open(t)
	_, shown := h.asked(h.addDevice(nil))
	script := `"><script>alert(1)</script>`
	for name, r := range map[string]reply{
		"nothing":              h.post("/device", url.Values{}),
		"a posted endless one": h.post("/device", url.Values{"user_code": {strings.Repeat("B", 60000)}}),
		"a script":             h.post("/device", url.Values{"user_code": {script}}),
		"no text":              h.post("/device", url.Values{"user_code": {"\xff\x00"}}),
		"two codes in one":     h.post("/device", url.Values{"user_code": {shown + shown}}),
		"no code to confirm":   h.post("/device/confirm", url.Values{"answer": {"go"}}),
		"a wrong one":          h.post("/device/confirm", url.Values{"user_code": {"BBBB-BBBB"}, "answer": {"go"}}),
	} {
		if r.StatusCode != 400 || !strings.Contains(r.body, `data-test="error"`) || !strings.Contains(r.body, `data-test="device-code"`) || strings.Contains(r.body, script) || len(r.body) > 6000 {
			t.Errorf("%s: %d, %d bytes", name, r.StatusCode, len(r.body))
		}
	}
	if r := h.post("/device", url.Values{"user_code": {strings.Repeat("B", 70000)}}); r.StatusCode != 413 {
		t.Errorf("more than the server takes: %d", r.StatusCode)
	}
	if h.last.ID != "" {
		t.Error("an interaction began")
	}
}
