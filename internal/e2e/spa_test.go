package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

// A page of another origin exchanges a code and reads userinfo by fetch, in a real browser, which enforces what we say. One
// of a third origin reads nothing.
func TestOnlyTheBrowserApplicationItselfReadsItsTokens(t *testing.T) {
	c := newChrome(t)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>App</title>"))
	})
	serve := func() string {
		s := httptest.NewServer(page)
		t.Cleanup(s.Close)
		return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	}
	home, elsewhere := serve(), serve()
	s := newSite(t, 1, backends["embedded"](t))
	s.register("spa", func(c *idp.Client) {
		c.AuthMethod, c.Secrets, c.RedirectURIs = idp.AuthMethodNone, nil, []string{home + "/cb"}
	})
	s.app.RedirectURL = home + "/cb"
	p := newPerson(t, s.issuer, home)
	p.through(p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com"))
	verifier := oauth2.GenerateVerifier()
	code := s.authorize(p, verifier).Get("code")

	// What the page does, and what it gets to see: an answer, or that there is none to be read.
	run := func(origin, script string) string {
		t.Helper()
		c.open(origin + "/cb")
		got, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](`(async () => { try { `+script+` } catch (e) { return "blocked: " + e.name } })()`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	exchange := fmt.Sprintf(`
		const meta = await (await fetch(%q + "/.well-known/openid-configuration")).json()
		const answer = await fetch(meta.token_endpoint, {method: "POST", body: new URLSearchParams({
			grant_type: "authorization_code", client_id: "spa", code: %q, redirect_uri: %q, code_verifier: %q})})
		const tokens = await answer.json()
		if (!answer.ok) return "refused: " + tokens.error
		const info = await fetch(meta.userinfo_endpoint, {headers: {Authorization: "Bearer " + tokens.access_token}})
		return (await info.json()).email`, s.issuer, code, s.app.RedirectURL, verifier)
	if got := run(elsewhere, strings.Replace(exchange, code, "none", 1)); got != "blocked: TypeError" {
		t.Errorf("another origin: %s", got)
	}
	if got := run(home, exchange); got != "ada@example.com" {
		t.Errorf("its own: %s", got)
	}
	if got := run(home, exchange); got != "refused: invalid_grant" {
		t.Errorf("an error, which it has to see: %s", got)
	}
	if got := run(home, fmt.Sprintf(`
		const r = await fetch(%q + "/oauth2/userinfo", {headers: {Authorization: "Bearer none"}})
		return "read"`, s.issuer)); got != "blocked: TypeError" {
		t.Errorf("a token of nobody: %s", got)
	}
}
