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

// pushed is the application's authorization URL with its request pushed first, in plain HTTP.
func (s *site) pushed(verifier string) string {
	s.t.Helper()
	long := must(url.Parse(s.app.AuthCodeURL("af0ifjsldkj", oauth2.S256ChallengeOption(verifier))))
	req := must(http.NewRequest("POST", s.issuer+"/oauth2/par", strings.NewReader(long.RawQuery)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.app.ClientID), url.QueryEscape(s.app.ClientSecret))
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
		s.t.Fatalf("push: %d %v", resp.StatusCode, err)
	}
	long.RawQuery = url.Values{"client_id": {s.app.ClientID}, "request_uri": {answer.RequestURI}}.Encode()
	return long.String()
}

func TestOP40APushedSignInMayBeReloadedUntilItIsFinished(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			replicas := map[string]int{"embedded": 1, "production": 2}[name]
			s := newSite(t, replicas, settings(t))
			p := newPerson(t, s.issuer, appCallback)
			p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
			s.register("pushing", func(c *idp.Client) { c.RequirePAR = true })

			if back := s.authorize(p, oauth2.GenerateVerifier()); back.Get("error") != "invalid_request" || back.Get("code") != "" {
				t.Errorf("not pushed: %v", back)
			}
			verifier := oauth2.GenerateVerifier()
			link := s.pushed(verifier)
			left := p.open(link)
			at := p.open(link) // reloaded: the sign-in is not finished
			if left.name != "consent" && left.name != "login" || at.name != left.name {
				t.Fatalf("at %v, then at %v", left, at)
			}
			back := p.through(at)
			if back.Get("state") != "af0ifjsldkj" || back.Get("iss") != s.issuer {
				t.Errorf("authorization response: %v", back)
			}
			token, err := s.app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatalf("exchange: %v", err)
			}
			if c := s.verify(token); c.ACR != "phr" {
				t.Errorf("claims: %+v", c)
			}
			if again := p.open(link); again.url.String() != link || again.status != http.StatusBadRequest {
				t.Errorf("a used link leads to %v", again)
			}
			if other := p.open(left.url.String()); other.name != "error" || other.status != http.StatusConflict {
				t.Errorf("the other tab, reloaded: %v", other)
			}
			// Silently, as for every signed-in user.
			if back := p.through(p.open(s.pushed(verifier))); back.Get("code") == "" {
				t.Errorf("signed in already: %v", back)
			}
		})
	}
}

func TestAClientThatMustPushIsRegisteredSo(t *testing.T) {
	dir := t.TempDir()
	if _, err := operate(t, dir, "client", "add", "Acme Bank", "--redirect-uri", "https://acme.example/cb", "--id", "acme", "--require-par"); err != nil {
		t.Fatal(err)
	}
	if out, err := operate(t, dir, "client", "show", "acme"); err != nil || !strings.Contains(out, `"require_pushed_authorization_requests": true`) {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := operate(t, dir, "client", "add", "API", "--resource-server", "--require-par"); err == nil || !strings.Contains(err.Error(), "authorization_code") {
		t.Errorf("a client without authorization requests: %v", err)
	}
}
