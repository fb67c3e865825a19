package provider

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// When an application cannot sign people in, its developers ask the operator first: one log line must contain the
// reason.
func TestTheLogOfACommonMistakeNamesTheClientAndTheInput(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	inForm := func(r url.Values) url.Values {
		r.Set("client_id", c.ID)
		r.Set("client_secret", clientSecret.Reveal())
		return r
	}
	wrongSecret := func(r *http.Request) { r.SetBasicAuth(c.ID, "s3cr3t-and-wrong") }
	for name, row := range map[string]struct {
		make func() reply
		said []string
	}{
		"a wrong redirect URI": {
			func() reply { return h.authorize(request(c, "redirect_uri", "https://app.example/callback?x=hidden")) },
			[]string{"client=" + c.ID, `https://app.example/callback`, "redirect_uri_sent="},
		},
		"pushed": {
			func() reply { return h.push(c, request(c, "redirect_uri", "https://app.example/callback?x=hidden")) },
			[]string{"client=" + c.ID, `https://app.example/callback`, "redirect_uri_sent="},
		},
		"another one at the code exchange": {
			func() reply {
				form := exchangeForm(h.code(c, u))
				form.Set("redirect_uri", "https://app.example/callback?x=hidden")
				return h.post(oauth.PathToken, form, basic(c))
			},
			[]string{"client=" + c.ID, `https://app.example/callback`, "redirect_uri_sent="},
		},
		"an unknown client": {
			func() reply { return h.authorize(request(idp.Client{ID: "not\nme"})) },
			[]string{"client_id_sent=", `not\\nme`},
		},
		"an unknown client at the token endpoint": {
			func() reply { return h.post(oauth.PathToken, exchangeForm("x"), basic(idp.Client{ID: "somebody"})) },
			[]string{"client_id_sent=", "somebody", "no such client"},
		},
		"the wrong method": {
			func() reply { return h.post(oauth.PathToken, inForm(exchangeForm("x"))) },
			[]string{"client=" + c.ID, "sent client_secret_post", "registered for client_secret_basic"},
		},
		"no method": {
			func() reply { return h.post(oauth.PathToken, withID(exchangeForm("x"), c)) },
			[]string{"client=" + c.ID, "sent none", "registered for client_secret_basic"},
		},
		"a wrong secret": {
			func() reply { return h.post(oauth.PathToken, exchangeForm("x"), wrongSecret) },
			[]string{"client=" + c.ID, "wrong secret"},
		},
		"a wrong address after sign-out": {
			func() reply {
				return h.endSession("client_id", c.ID, "post_logout_redirect_uri", "https://app.example/?x=hidden")
			},
			[]string{"client=" + c.ID, "post_logout_redirect_uri_sent=", "https://app.example/"},
		},
		"a scope it may not have": {
			func() reply {
				return h.authorize(request(h.addClient(func(c *idp.Client) { c.ID = "narrow"; c.Scopes = []string{"openid"} }), "scope", "openid payments"))
			},
			[]string{"client=narrow", "oauth_error=invalid_scope"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.log.Reset()
			r := row.make()
			lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
			last := lines[len(lines)-1]
			for _, want := range row.said {
				if !strings.Contains(last, want) {
					t.Errorf("%d: no %s in\n%s", r.StatusCode, want, last)
				}
			}
			for _, secret := range []string{"hidden", clientSecret.Reveal(), "s3cr3t", verifier} {
				if strings.Contains(h.log.String(), secret) {
					t.Errorf("the log repeats %q", secret)
				}
			}
			if strings.Contains(r.body, c.ID) || strings.Contains(r.body, "app.example/callback") {
				t.Errorf("the answer repeats what was sent: %s", r.body)
			}
		})
	}
}
