package provider

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

func TestAnAuthorizationResponseHasOnlyCodeStateAndIssuer(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c, "state", "a b&c=ü", "redirect_uri", "https://app.example/cb?tenant=1"))
	r, err := h.respond(h.outcome(u))
	check(t, err)
	q := r.query()
	if len(q.Get("code")) < 26 {
		t.Errorf("code %q has less than 128 bits", q.Get("code"))
	}
	q.Del("code")
	if d := cmp.Diff(url.Values{"state": {"a b&c=ü"}, "iss": {h.url}, "tenant": {"1"}}, q); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r.StatusCode != 303 || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d, Cache-Control %q", r.StatusCode, r.Header.Get("Cache-Control"))
	}
}

func TestAnInteractionEndsOnce(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c))
	_, err := h.respond(h.outcome(u))
	check(t, err)
	for _, o := range []idp.Outcome{h.outcome(u), {Error: "access_denied"}} {
		r, err := h.respond(o)
		if p, ok := errors.AsType[*web.Problem](err); !ok || p.Status != 409 || r.Header.Get("Location") != "" {
			t.Errorf("a second end: %v, to %q", err, r.Header.Get("Location"))
		}
	}
}

func TestARefusalIsAnOAuthError(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	h.authorize(request(c))
	r, err := h.respond(idp.Outcome{Error: "access_denied", Description: "the person said \"no\"\r\n"})
	check(t, err)
	want := url.Values{"error": {"access_denied"}, "error_description": {"the person said 'no'"}, "state": {"st"}, "iss": {h.url}}
	if d := cmp.Diff(want, r.query()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFormPostIsAPageForCodesAndForErrors(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c, "response_mode", "form_post", "state", `"><script>`))
	ok, err := h.respond(h.outcome(u))
	check(t, err)
	refused := h.authorize(request(c, "response_mode", "form_post", "state", `"><script>`, "response_type", "token"))
	for name, r := range map[string]reply{"code": ok, "error": refused} {
		if r.StatusCode != 200 || r.Header.Get("Location") != "" {
			t.Errorf("%s: %d to %q", name, r.StatusCode, r.Header.Get("Location"))
		}
		for _, want := range []string{
			`action="https://app.example/cb"`, `name="` + name + `"`, `name="iss" value="` + h.url, `name="state" value="&#34;&gt;&lt;script&gt;"`,
			`<button class="primary" data-test="continue">`, `src="` + oauth.PathFormPostJS + `"`,
		} {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s: no %s in\n%s", name, want, r.body)
			}
		}
		if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:;") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: CSP %q", name, csp)
		}
	}
	if js := h.get(oauth.PathFormPostJS); js.StatusCode != 200 || !strings.HasPrefix(js.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("script: %d %s", js.StatusCode, js.Header.Get("Content-Type"))
	}
}

func TestFormPostReachesANativeAppWithoutScripts(t *testing.T) {
	h := open(t)
	for uri, want := range map[string]string{"com.example.app:/cb": `action="com.example.app:/cb"`, "javascript:alert(1)": `action="#ZgotmplZ"`} {
		c := h.addClient(func(c *idp.Client) { c.Native = true; c.RedirectURIs = []string{uri} })
		r := h.authorize(request(c, "redirect_uri", uri, "response_mode", "form_post", "response_type", ""))
		if !strings.Contains(r.body, want) {
			t.Errorf("%s: %s", uri, r.body)
		}
	}
}

func TestACodeLivesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(nil), h.addUser()
		early, late := h.code(c, u), h.code(c, u)
		time.Sleep(59 * time.Second)
		if r := h.exchange(c, early); r.StatusCode != 200 {
			t.Errorf("after 59 s: %d %s", r.StatusCode, r.body)
		}
		time.Sleep(time.Second)
		wantError(t, h.exchange(c, late), 400, "invalid_grant")
	})
}

func TestNothingSecretIsLogged(t *testing.T) {
	var library bytes.Buffer // it logs by itself, to the process's logger
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&library, nil)))
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	code := h.code(c, u, "scope", "openid offline_access", "state", "very-own-state")
	tok := h.exchange(c, code).json(t)
	h.exchange(c, code)
	h.refresh(c, tok["refresh_token"])
	h.userinfo(tok["access_token"])
	h.get(oauth.PathEndSession + "?" + url.Values{"id_token_hint": {tok["id_token"].(string)}}.Encode())
	for name, secret := range map[string]string{
		"code": code, "state": "very-own-state", "verifier": verifier, "client secret": clientSecret.Reveal(),
		"access token": tok["access_token"].(string), "refresh token": tok["refresh_token"].(string), "ID token": tok["id_token"].(string),
	} {
		if strings.Contains(h.log.String()+library.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

func TestACodeIsStoredUnderItsHashAlone(t *testing.T) {
	h := open(t)
	code := idp.Secret(h.code(h.addClient(nil), h.addUser()))
	plain, hashed := &ephemeral.Op{Verb: ephemeral.Get, Key: "code:" + code.Reveal()}, &ephemeral.Op{Verb: ephemeral.Get, Key: "code:" + code.Hash()}
	check(t, h.eph.Do(t.Context(), plain, hashed))
	if plain.Found || !hashed.Found || strings.Contains(string(hashed.Result), code.Reveal()) {
		t.Errorf("under the code: %v, under its hash: %v %s", plain.Found, hashed.Found, hashed.Result)
	}
}
