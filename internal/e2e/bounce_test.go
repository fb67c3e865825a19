package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/idp"
)

// Chromium applies a page's form-action to every redirect that follows the form, the client's own included.
func TestAClientMaySendTheBrowserOnToAnotherOrigin(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "ada@example.com")
	c.call(func() error {
		_, err := chromedp.Call(c.ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	})
	landing := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>there</title><body data-page="there">`))
	}
	for scheme, start := range map[string]func(http.Handler) *httptest.Server{"https": httptest.NewTLSServer, "http": httptest.NewServer} {
		home := start(http.HandlerFunc(landing))
		t.Cleanup(home.Close)
		callback := start(http.RedirectHandler(home.URL+"/home", http.StatusFound))
		t.Cleanup(callback.Close)
		now := time.Now()
		client := idp.Client{
			ID: "bouncing-" + scheme, Name: "Bouncing", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, CreatedAt: now, UpdatedAt: now,
			RedirectURIs: []string{strings.Replace(callback.URL, "127.0.0.1", "localhost", 1) + "/callback"}, GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid"},
		}
		if err := d.DB.PutClient(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		for _, answer := range []string{"consent-deny", "consent-allow"} {
			c.open(d.Config.Issuer.String() + "/oauth2/authorize?" + url.Values{
				"client_id": {client.ID}, "response_type": {"code"}, "redirect_uri": client.RedirectURIs, "scope": {"openid"}, "state": {"xyzzy"},
				"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
			}.Encode())
			c.at("consent")
			c.click(answer)
			c.wait(`location.href === "`+home.URL+`/home"`, scheme+": "+answer+" to arrive")
		}
	}
}
