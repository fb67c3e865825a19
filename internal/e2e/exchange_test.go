package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

// posts sends a form to an endpoint as the present application of the site.
func (s *site) posts(path string, form url.Values) (status int, answer map[string]any) {
	s.t.Helper()
	req := must(http.NewRequest("POST", s.issuer+path, strings.NewReader(form.Encode())))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.app.ClientID), url.QueryEscape(s.app.ClientSecret))
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&answer) // revocation says nothing
	return resp.StatusCode, answer
}

func TestAnAPIPassesATokenOnUntilThePersonSignsOut(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, map[string]int{"embedded": 1, "production": 2}[name], settings(t))
			s.register("shop", func(c *idp.Client) { c.Audience = []string{"https://orders.example"} })
			p := newPerson(t, s.issuer, appCallback)
			p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
			s.app.Scopes = []string{"openid", "payouts"} // no offline_access: it ends with the session
			token, here := s.tokens(p)
			s.register("https://orders.example", func(c *idp.Client) {
				c.RedirectURIs, c.GrantTypes, c.ResourceServer = nil, []string{idp.GrantTokenExchange}, true
				c.Scopes, c.Audience = []string{"payouts"}, []string{"https://ledger.example"}
			})
			exchange := url.Values{
				"grant_type": {idp.GrantTokenExchange}, "subject_token": {token.AccessToken}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			}
			status, got := s.posts("/oauth2/token", exchange)
			if status != http.StatusOK || got["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" || got["scope"] != "payouts" {
				t.Fatalf("exchange: %d %v", status, got)
			}
			s.register("https://ledger.example", func(c *idp.Client) { c.RedirectURIs, c.GrantTypes, c.ResourceServer = nil, nil, true })
			introspect := func() map[string]any {
				t.Helper()
				_, said := s.posts("/oauth2/introspect", url.Values{"token": {got["access_token"].(string)}})
				return said
			}
			said := introspect()
			act, _ := said["act"].(map[string]any)
			if said["active"] != true || said["sub"] != here.Subject || act["sub"] != "https://orders.example" || said["acr"] != "phr" || said["auth_time"] != float64(here.AuthTime) {
				t.Errorf("the ledger learns %v", said)
			}
			p.submit(p.open("/logout"), "logout-confirm", nil)
			if said := introspect(); said["active"] != false {
				t.Errorf("after signing out: %v", said)
			}
			s.app.ClientID = "nobody"
			if status, got := s.posts("/oauth2/token", exchange); status != http.StatusUnauthorized {
				t.Errorf("a stranger: %d %v", status, got)
			}
		})
	}
}

func TestAClientForExchangeAuthenticatesItself(t *testing.T) {
	dir := t.TempDir()
	add := func(id string, args ...string) (string, error) {
		t.Helper()
		if _, err := operate(t, dir, append([]string{"client", "add", "Orders", "--id", id, "--grant", "token_exchange", "--scope", "email"}, args...)...); err != nil {
			return "", err
		}
		return operate(t, dir, "client", "show", id)
	}
	out, err := add("orders", "--resource-server", "--audience", "https://ledger.example")
	if err != nil || !strings.Contains(out, `"grant_types": [
    "urn:ietf:params:oauth:grant-type:token-exchange"
  ]`) {
		t.Errorf("%v %s", err, out)
	}
	for flag, want := range map[string]string{"--public": "requires client authentication", "--access-token=opaque": "must be jwt for grant_types token-exchange"} {
		if _, err := add("bad", flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
