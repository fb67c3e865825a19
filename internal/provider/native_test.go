package provider

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// addNative stores a native application according to RFC 8252 §8.4: public, with a redirect URI of each kind.
func (h *house) addNative() idp.Client {
	return h.addClient(func(c *idp.Client) {
		c.AuthMethod, c.Native = idp.AuthMethodNone, true
		c.RedirectURIs = []string{"com.example.app:/cb", "https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]/cb"}
	})
}

func TestRFC8252Section7ANativeApplicationGetsItsCodeInEachOfThreeWays(t *testing.T) {
	h := open(t)
	c, u := h.addNative(), h.addUser()
	for _, uri := range []string{
		"com.example.app:/cb",                                // §7.1
		"https://app.example/cb",                             // §7.2
		"http://127.0.0.1:49152/cb", "http://[::1]:61023/cb", // §7.3
	} {
		h.authorize(request(c, "redirect_uri", uri, "scope", "openid offline_access"))
		done, err := h.respond(h.outcome(u))
		check(t, err)
		at, code := done.Header.Get("Location"), done.query().Get("code")
		if !strings.HasPrefix(at, uri+"?") || code == "" || done.query().Get("iss") != h.url { // §8.10: iss
			t.Errorf("%s: sent to %s", uri, at)
			continue
		}
		// The token request names the very address that the code went to, port included (RFC 6749 §4.1.3).
		form := withID(exchangeForm(code), c)
		form.Set("redirect_uri", uri)
		if r := h.post(oauth.PathToken, form); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", uri, r.StatusCode, r.body)
		}
	}
	form := withID(exchangeForm(h.code(c, u, "redirect_uri", "http://127.0.0.1:49152/cb")), c)
	form.Set("redirect_uri", "http://127.0.0.1:49153/cb")
	wantError(t, h.post(oauth.PathToken, form), 400, "invalid_grant")
}

func TestRFC8252Section8ANativeApplicationIsTrustedOnlyWithProof(t *testing.T) {
	h := open(t)
	c, u := h.addNative(), h.addUser()
	const uri = "com.example.app:/cb"
	for what, params := range map[string][]string{ // §8.1: PKCE
		"no challenge": {"code_challenge", "", "code_challenge_method", ""},
		"plain":        {"code_challenge_method", "plain"},
	} {
		r := h.authorize(request(c, append(params, "redirect_uri", uri)...))
		if got := r.query().Get("error"); got != "invalid_request" || !strings.HasPrefix(r.Header.Get("Location"), uri+"?") {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.Header.Get("Location"))
		}
	}
	if r := h.authorize(request(c, "redirect_uri", uri, "response_type", "token")); r.query().Get("error") != "unsupported_response_type" { // §8.2
		t.Errorf("implicit: %s", r.Header.Get("Location"))
	}
	for _, foreign := range []string{ // §8.4: the complete address
		"com.example.app:/other", "com.example.app:/cb?x=1", "com.example.app://cb", "com.example.apps:/cb", "http://127.0.0.1:1/cb/", "http://localhost:1/cb", "https://app.example:444/cb",
	} {
		if r := h.authorize(request(c, "redirect_uri", foreign)); r.StatusCode != 400 || r.Header.Get("Location") != "" {
			t.Errorf("%s: %d %s", foreign, r.StatusCode, r.Header.Get("Location"))
		}
	}
	form := withID(exchangeForm(h.code(c, u, "redirect_uri", uri)), c) // §8.5: a secret in an application is none
	form.Set("redirect_uri", uri)
	form.Set("client_secret", clientSecret.Reveal())
	wantError(t, h.post(oauth.PathToken, form), 401, "invalid_client")
	stranger := h.addNative() // §8.6: another application with the same address has another client_id
	form = withID(url.Values{}, stranger)
	for name, values := range exchangeForm(h.code(c, u, "redirect_uri", uri)) {
		form[name] = values
	}
	form.Set("redirect_uri", uri)
	wantError(t, h.post(oauth.PathToken, form), 400, "invalid_grant")
}
