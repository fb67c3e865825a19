package provider

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// push sends a request to the PAR endpoint with the client's registered authentication.
func (h *house) push(c idp.Client, form url.Values) reply {
	h.t.Helper()
	switch c.AuthMethod {
	case idp.AuthMethodBasic:
		return h.post(oauth.PathPAR, form, basic(c))
	case idp.AuthMethodPost:
		form.Set("client_secret", clientSecret.Reveal())
	}
	return h.post(oauth.PathPAR, form)
}

// pushed pushes a good request and returns its reference.
func (h *house) pushed(c idp.Client, params ...string) string {
	h.t.Helper()
	r := h.push(c, request(c, params...))
	if r.StatusCode != 201 {
		h.t.Fatalf("push: %d %s", r.StatusCode, r.body)
	}
	return r.json(h.t)["request_uri"].(string)
}

// visit requests the authorization endpoint with only a reference, plus params.
func (h *house) visit(c idp.Client, reference string, params ...string) reply {
	h.t.Helper()
	h.last = idp.Interaction{}
	v := url.Values{"client_id": {c.ID}, "request_uri": {reference}}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	return h.authorize(v)
}

// begun is visit for a reference that still works: it returns the interaction.
func (h *house) begun(c idp.Client, reference string, params ...string) idp.Interaction {
	h.t.Helper()
	if r := h.visit(c, reference, params...); h.last.ID == "" || r.Header.Get("Location") != "/login?i="+h.last.ID {
		h.t.Fatalf("no interaction: %d to %q: %s", r.StatusCode, r.Header.Get("Location"), r.body)
	}
	return h.last
}

// wantPage checks that the response is an error page without a redirect.
func (h *house) wantPage(name string, r reply) {
	h.t.Helper()
	if r.StatusCode != 400 || r.Header.Get("Location") != "" || !strings.Contains(r.body, `data-page="error"`) || h.last.ID != "" {
		h.t.Errorf("%s: %d to %q: %.300s", name, r.StatusCode, r.Header.Get("Location"), r.body)
	}
}

func ended(err error) bool {
	p, ok := errors.AsType[*web.Problem](err)
	return ok && p.Status == 409
}

func TestOp17_ABrokenRequestObjectIsNeverIgnored(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	wantError(t, h.push(c, request(c, "request", "eyJ")), 400, "invalid_request_object")
	if q := h.authorize(request(c, "request_uri", "https://app.example/r")).query(); q.Get("error") != "invalid_request_uri" {
		t.Errorf("a request_uri of the client's own: %v", q)
	}
	h.wantPage("request beside a reference", h.visit(c, h.pushed(c), "request", "eyJ")) // RFC 9101 §5
}

func TestOp39_APushIsAnsweredWithAReference(t *testing.T) {
	h := open(t)
	for _, method := range []string{idp.AuthMethodBasic, idp.AuthMethodPost, idp.AuthMethodNone} {
		c := h.addClient(func(c *idp.Client) { c.AuthMethod = method })
		r := h.push(c, request(c))
		if r.StatusCode != 201 || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v %s", method, r.StatusCode, r.Header, r.body)
		}
		m := r.json(t)
		reference, ok := strings.CutPrefix(m["request_uri"].(string), "urn:ietf:params:oauth:request_uri:")
		if !ok || len(reference) < 26 || m["expires_in"] != 90.0 || len(m) != 2 {
			t.Errorf("%s: %v", method, m)
		}
	}
	c := h.addClient(nil)
	if r := h.push(c, request(c, "client_id", "")); r.StatusCode != 201 {
		t.Errorf("the client is known by its authentication: %d %s", r.StatusCode, r.body)
	}
}

func TestOp39_OtherMethodsAreRefused(t *testing.T) {
	h := open(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		req, err := http.NewRequest(method, h.url+oauth.PathPAR, nil)
		check(t, err)
		if r := h.do(req); r.StatusCode != 405 || r.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

func TestOp39_TheClientIsAuthenticatedAsAtTheTokenEndpoint(t *testing.T) {
	h := open(t)
	c, other := h.addClient(nil), h.addClient(nil)
	byForm, public := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPost }), h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone })
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	for _, row := range []struct {
		name   string
		params []string
		edit   func(*http.Request)
		code   string
	}{
		{"nothing", []string{"client_id", ""}, nil, "invalid_client"},
		{"no secret", []string{"client_id", c.ID}, nil, "invalid_client"},
		{"an unknown client", []string{"client_id", "nobody"}, nil, "invalid_client"},
		{"a wrong secret", nil, func(r *http.Request) { r.SetBasicAuth(c.ID, "wrong") }, "invalid_client"},
		{"a wrong secret in the form", []string{"client_id", byForm.ID, "client_secret", "wrong"}, nil, "invalid_client"},
		{"a secret in the form that belongs in the header", []string{"client_id", c.ID, "client_secret", clientSecret.Reveal()}, nil, "invalid_client"},
		{"a secret in the header that belongs in the form", []string{"client_id", byForm.ID}, basic(byForm), "invalid_client"},
		{"a public client with a secret", []string{"client_id", public.ID, "client_secret", "x"}, nil, "invalid_client"},
		{"two authentications", []string{"client_id", c.ID, "client_secret", clientSecret.Reveal()}, basic(c), "invalid_request"},
		{"another client's id", []string{"client_id", other.ID}, basic(c), "invalid_request"},
		{"a bearer token", []string{"client_id", c.ID}, header("Bearer x"), "invalid_client"},
		{"no base64", []string{"client_id", c.ID}, header("Basic !"), "invalid_client"},
		{"no form encoding", []string{"client_id", ""}, func(r *http.Request) { r.SetBasicAuth(c.ID, "%zz") }, "invalid_client"},
		{"an assertion that is none", []string{"client_id", c.ID, "client_assertion", "x", "client_assertion_type", "y"}, nil, "invalid_client"},
	} {
		t.Run(row.name, func(t *testing.T) {
			edit := row.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			form := exchangeForm("nothing")
			for i := 0; i < len(row.params); i += 2 {
				form.Set(row.params[i], row.params[i+1])
			}
			token, par := h.post(oauth.PathToken, form, edit), h.post(oauth.PathPAR, request(c, row.params...), edit)
			wantError(t, par, map[string]int{"invalid_client": 401, "invalid_request": 400}[row.code], row.code)
			if par.body != token.body || par.StatusCode != token.StatusCode || par.Header.Get("WWW-Authenticate") != token.Header.Get("WWW-Authenticate") {
				t.Errorf("par: %d %s, token: %d %s", par.StatusCode, par.body, token.StatusCode, token.body)
			}
		})
	}
}

func TestOp39_InvalidRequestsCannotBePushed(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for _, row := range badRequests {
		t.Run(row.name, func(t *testing.T) {
			narrow, code := h.narrowed(c, row.code), row.code
			if code == "invalid_request_uri" {
				code = "invalid_request" // RFC 9126 §2.1
			}
			r := h.push(narrow, request(narrow, row.params...))
			wantError(t, r, 400, code)
			if r.json(t)["error_description"] == "" {
				t.Error("no description")
			}
		})
	}
}

func TestOp39_BadPushesAreRefused(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	machine := h.addClient(func(c *idp.Client) { c.GrantTypes = []string{"refresh_token"} })
	body := func(text, media string) func(*http.Request) {
		return func(r *http.Request) {
			basic(c)(r)
			r.Header.Set("Content-Type", media)
			r.Body, r.ContentLength = http.NoBody, 0
			if text != "" {
				fresh, err := http.NewRequest("POST", h.url, strings.NewReader(text))
				check(t, err)
				r.Body, r.ContentLength = fresh.Body, fresh.ContentLength
			}
		}
	}
	const form = "application/x-www-form-urlencoded"
	for _, row := range []struct {
		name   string
		form   url.Values
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"no redirect_uri", request(c, "redirect_uri", ""), basic(c), 400, "invalid_request"},
		{"an unregistered redirect_uri", request(c, "redirect_uri", "https://evil.example/cb"), basic(c), 400, "invalid_request"},
		{"a redirect_uri with a query added", request(c, "redirect_uri", "https://app.example/cb?x=1"), basic(c), 400, "invalid_request"},
		{"a reference inside", request(c, "request_uri", h.pushed(c)), basic(c), 400, "invalid_request"},
		{"a reference alone", url.Values{"client_id": {c.ID}, "request_uri": {h.pushed(c)}}, basic(c), 400, "invalid_request"},
		{"a client without the code grant", request(machine), basic(machine), 400, "unauthorized_client"},
		{"a state too long", request(c, "state", strings.Repeat("s", 8<<10+1)), basic(c), 400, "invalid_request"},
		{"a parameter twice", url.Values{"state": {"a", "b"}}, basic(c), 400, "invalid_request"},
		{"an unknown parameter twice", url.Values{"foo": {"a", "b"}}, basic(c), 400, "invalid_request"},
		{"client_id twice", url.Values{"client_id": {c.ID, c.ID}}, basic(c), 400, "invalid_request"},
		{"nothing", url.Values{}, basic(c), 400, "invalid_request"},
		{"JSON", nil, body(`{"client_id":"x"}`, "application/json"), 400, "invalid_request"},
		{"no media type", nil, body("a=b", ""), 400, "invalid_request"},
		{"broken encoding", nil, body("state=%zz", form), 400, "invalid_request"},
		{"in the address", request(c), func(r *http.Request) { basic(c)(r); r.URL.RawQuery = "state=x" }, 400, "invalid_request"},
		{"too long for the store", request(c, "scope", strings.Repeat("openid ", oauth.MaxRequest/7)), basic(c), 413, "invalid_request"},
		{"too long for the server", request(c, "foo", strings.Repeat("x", 65<<10)), basic(c), 413, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := h.post(oauth.PathPAR, row.form, row.edit)
			if row.code == "" {
				if r.StatusCode != row.status {
					t.Errorf("%d %s", r.StatusCode, r.body)
				}
				return
			}
			wantError(t, r, row.status, row.code)
		})
	}
	if r := h.push(c, request(c, "claims", `{"x":"`+strings.Repeat(`<\"`, 1300)+`"}`, "ui_locales", strings.Repeat("\x01", 11<<10))); r.StatusCode != 201 {
		t.Errorf("what is below the bound fits the store, however it is encoded there: %d %s", r.StatusCode, r.body)
	}
}

func TestOp40_ClientIDAndRequestURIAreEnough(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	nonce := strings.Repeat("n", 384)
	reference := h.pushed(c, "nonce", nonce, "state", "pushed state", "redirect_uri", "https://app.example/cb?tenant=1", "max_age", "0")
	h.begun(c, reference)
	if !h.last.Requirement.Fresh {
		t.Error("what was pushed was not demanded")
	}
	r, err := h.respond(h.outcome(u))
	check(t, err)
	q := r.query()
	form := exchangeForm(q.Get("code"))
	form.Set("redirect_uri", "https://app.example/cb?tenant=1")
	q.Del("code")
	if d := cmp.Diff(url.Values{"state": {"pushed state"}, "iss": {h.url}, "tenant": {"1"}}, q); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	tok := h.post(oauth.PathToken, form, basic(c)).json(t)
	if _, id := claims(t, tok["id_token"]); id["nonce"] != nonce {
		t.Errorf("nonce %v", id["nonce"])
	}
}

func TestOp40_ByPOSTAsWell(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	r := h.post(oauth.PathAuthorize, url.Values{"client_id": {c.ID}, "request_uri": {h.pushed(c)}})
	if r.StatusCode != 303 || r.Header.Get("Location") != "/login?i="+h.last.ID {
		t.Errorf("%d to %q", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestOp40_OtherParametersAreIgnored(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	plain := h.begun(c, h.pushed(c))
	more := h.begun(c, h.pushed(c), "state", "another", "nonce", "another", "redirect_uri", "https://evil.example/", "redirect_uri", "https://evil.example/",
		"scope", "openid payments", "prompt", "none", "response_type", "token", "response_mode", "fragment", "code_challenge", "", "max_age", "x")
	plain.Request.Pushed, more.Request.Pushed = "", ""
	if d := cmp.Diff(plain.Request, more.Request); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(plain.Requirement, more.Requirement); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestOp40_AReferenceIsUsedOnceCountedAtTheEndOfTheFlow(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	for name, outcome := range map[string]func() idp.Outcome{
		"a code":   func() idp.Outcome { return h.outcome(u) },
		"an error": func() idp.Outcome { return idp.Outcome{Error: "access_denied"} },
	} {
		reference := h.pushed(c)
		first := h.begun(c, reference)
		second := h.begun(c, reference) // reloaded before the sign-in is finished
		r, err := h.respond(outcome())
		check(t, err)
		if q := r.query(); q.Get("code") == "" && q.Get("error") != "access_denied" || q.Get("state") != "st" {
			t.Errorf("%s: %v", name, q)
		}
		h.wantPage("after "+name, h.visit(c, reference))
		for _, late := range []idp.Interaction{first, second} {
			h.last = late
			if r, err := h.respond(h.outcome(u)); !ended(err) || r.Header.Get("Location") != "" {
				t.Errorf("after %s, another tab: %v, to %q", name, err, r.Header.Get("Location"))
			}
		}
	}
}

func TestOp40_ASilentAnswerUsesAReferenceUpToo(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	reference := h.pushed(c, "prompt", "none")
	h.begun(c, reference)
	h.last.ID = "" // as login.Begin answers it: without storing an interaction
	r, err := h.respond(idp.Outcome{Error: "login_required"})
	check(t, err)
	if r.query().Get("error") != "login_required" {
		t.Errorf("to %q", r.Header.Get("Location"))
	}
	h.wantPage("again", h.visit(c, reference))
}

func TestOp40_OfManyTabsOneIsAnswered(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	reference := h.pushed(c)
	tabs := []idp.Interaction{h.begun(c, reference), h.begun(c, reference), h.begun(c, reference)}
	var codes atomic.Int64
	var all sync.WaitGroup
	for _, i := range append(tabs, tabs...) { // and each is reloaded
		all.Go(func() {
			w := httptest.NewRecorder()
			err := h.provider.Respond(w, httptest.NewRequest("GET", "/login", nil), i, h.outcome(u))
			if err == nil && strings.Contains(w.Header().Get("Location"), "code=") {
				codes.Add(1)
			} else if !ended(err) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if codes.Load() != 1 {
		t.Errorf("%d codes", codes.Load())
	}
}

func TestOp40_AReferenceIsForItsClientAlone(t *testing.T) {
	h := open(t)
	c, other := h.addClient(nil), h.addClient(nil)
	reference := h.pushed(c)
	h.wantPage("a foreign client's", h.visit(other, reference))
	h.wantPage("with a redirect URI to fall back on", h.visit(other, reference, "redirect_uri", "https://app.example/cb", "response_type", "code"))
	h.wantPage("unknown", h.visit(c, "urn:ietf:params:oauth:request_uri:"+"AAAAAAAAAAAAAAAAAAAAAAAAAA"))
	h.wantPage("empty", h.visit(c, "urn:ietf:params:oauth:request_uri:"))
	h.wantPage("longer", h.visit(c, reference+"A"))
	h.wantPage("very long", h.visit(c, "urn:ietf:params:oauth:request_uri:"+strings.Repeat("A", 4096)))
	h.wantPage("twice", h.visit(c, reference, "request_uri", reference))
	h.wantPage("beside another", h.visit(c, "https://app.example/r", "request_uri", reference))
	h.wantPage("without a client", h.visit(idp.Client{}, reference))
	h.wantPage("with two clients", h.visit(c, reference, "client_id", other.ID))
	h.begun(c, reference) // none of which used it up
}

func TestOp40_AReferenceExpiresAndItsSignInDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		reference := h.pushed(c)
		time.Sleep(89 * time.Second)
		first := h.begun(c, reference)
		second := h.begun(c, reference)
		time.Sleep(time.Second)
		h.wantPage("after 90 s", h.visit(c, reference))
		time.Sleep(10 * time.Minute) // the person takes their time
		h.last = first
		if r, err := h.respond(h.outcome(u)); err != nil || r.query().Get("code") == "" {
			t.Errorf("to %q: %v", r.Header.Get("Location"), err)
		}
		time.Sleep(19 * time.Minute) // as long as an interaction lives
		h.last = second
		if r, err := h.respond(h.outcome(u)); !ended(err) {
			t.Errorf("a second answer to %q: %v", r.Header.Get("Location"), err)
		}
	})
}

func TestOp40_ARequestThatWasNotPushedIsRefusedIfTheClientMustPush(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.RequirePAR = true }), h.addUser()
	for name, v := range map[string]url.Values{"": request(c), "with a request_uri of its own": request(c, "request_uri", "https://app.example/r")} {
		if q := h.authorize(v).query(); q.Get("error") != "invalid_request" || q.Get("state") != "st" || q.Get("iss") != h.url {
			t.Errorf("%s: %v", name, q)
		}
	}
	h.wantPage("without a redirect URI", h.authorize(request(c, "redirect_uri", "")))
	h.begun(c, h.pushed(c))
	if r, err := h.respond(h.outcome(u)); err != nil || r.query().Get("code") == "" {
		t.Errorf("pushed: %v", err)
	}
}

func TestOp41_ARefusalOfAPushedRequestHasItsState(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	h.begun(c, h.pushed(c, "response_mode", "form_post", "state", "s-2"))
	r, err := h.respond(idp.Outcome{Error: "access_denied", Description: "the user cancelled"})
	check(t, err)
	for _, want := range []string{`name="error" value="access_denied"`, `name="state" value="s-2"`, `name="iss" value="` + h.url} {
		if !strings.Contains(r.body, want) {
			t.Errorf("no %s in %s", want, r.body)
		}
	}
}

// RFC 9126 §4: changes between push and use count.
func TestAPushedRequestIsReadAgainWhenItIsUsed(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	scope, redirect := h.pushed(c, "scope", "openid email"), h.pushed(c, "redirect_uri", "https://app.example/cb?tenant=1")
	c.Scopes, c.RedirectURIs = []string{"openid"}, c.RedirectURIs[:1]
	check(t, h.db.PutClient(t.Context(), c))
	if q := h.visit(c, scope).query(); q.Get("error") != "invalid_scope" || q.Get("state") != "st" {
		t.Errorf("a scope that is no longer the client's: %v", q)
	}
	h.wantPage("the error was its one answer", h.visit(c, scope))
	h.wantPage("a redirect URI that is no longer the client's", h.visit(c, redirect))
}

func TestAPushedRequestIsKeptUnderTheHashOfItsReference(t *testing.T) {
	h := open(t)
	c := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPost })
	reference := h.pushed(c, "state", "very-own-state")
	hashed := &ephemeral.Op{Verb: ephemeral.Get, Key: "par:" + idp.Secret(reference).Hash()}
	clear := &ephemeral.Op{Verb: ephemeral.Get, Key: "par:" + reference}
	check(t, h.eph.Do(t.Context(), hashed, clear))
	if !hashed.Found || clear.Found {
		t.Errorf("under its hash: %v, in clear: %v", hashed.Found, clear.Found)
	}
	if kept := string(hashed.Result); strings.Contains(kept, reference) || strings.Contains(kept, clientSecret.Reveal()) {
		t.Errorf("what could be used is kept: %s", kept)
	}
	h.begun(c, reference)
	if strings.Contains(h.last.Request.Pushed, reference) || h.last.Request.Pushed != idp.Secret(reference).Hash() {
		t.Error("the interaction holds the reference")
	}
	for name, secret := range map[string]string{"reference": strings.TrimPrefix(reference, "urn:ietf:params:oauth:request_uri:"), "state": "very-own-state", "client secret": clientSecret.Reveal()} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

func FuzzPushedRequest(f *testing.F) {
	h := open(f)
	c := h.addClient(nil)
	f.Add(request(c).Encode())
	f.Add("request_uri=urn:ietf:params:oauth:request_uri:x&client_id=" + c.ID)
	f.Add("scope=openid&claims={&max_age=-1&state=\x00")
	f.Fuzz(func(t *testing.T, body string) {
		req := httptest.NewRequest("POST", h.url+oauth.PathPAR, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		basic(c)(req)
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, req)
		if w.Code != 201 && (w.Code < 400 || w.Code >= 500) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestOp39_AClientPushesWithAKeyOfItsOwn(t *testing.T) {
	h := open(t)
	c := h.addKeyClient(nil, keys.ES256)
	form := withAssertion(request(c), h.goodAssertion(c).text(t))
	if r := h.post(oauth.PathPAR, form); r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	wantError(t, h.post(oauth.PathPAR, form), 401, "invalid_client") // an assertion works once, here as anywhere
}
