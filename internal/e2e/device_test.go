package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

// asDevice makes the application of the site one that runs on a device, and public.
func (s *site) asDevice() {
	s.t.Helper()
	s.register("tele", func(c *idp.Client) {
		c.Name, c.AuthMethod, c.Secrets, c.RedirectURIs = "Tele", idp.AuthMethodNone, nil, nil
		c.GrantTypes = []string{idp.GrantDeviceCode, idp.GrantRefreshToken}
	})
	s.app.ClientSecret, s.app.RedirectURL, s.app.Endpoint.AuthStyle = "", "", oauth2.AuthStyleInParams
	s.app.Endpoint.DeviceAuthURL = s.issuer + "/oauth2/device_authorization"
}

// asks is a device authorization request, as a stock library makes it.
func (s *site) asks() *oauth2.DeviceAuthResponse {
	s.t.Helper()
	asked, err := s.app.DeviceAuth(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	asked.Interval = 1 // what the person does is done before the first poll
	return asked
}

// connects types the code and goes on until the end; it returns the names of the pages on the way, and the last page.
func (p *person) connects(code string) (seen []string, at page) {
	p.t.Helper()
	at = p.submit(p.open("/device"), "device-confirm", map[string]string{"device-code": code})
	for range 8 {
		seen = append(seen, at.name)
		switch {
		case strings.Contains(at.body, `data-test="device-confirm"`):
			at = p.submit(at, "device-confirm", nil)
		case at.name == "login" || at.name == "stepup":
			at = p.ceremony(at)
		case at.name == "consent":
			at = p.submit(at, "consent-allow", nil)
		default:
			return seen, at
		}
	}
	p.t.Fatalf("went round in circles: %v", seen)
	return nil, page{}
}

func TestADeviceIsConnectedByAPerson(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, map[string]int{"embedded": 1, "production": 2}[name], settings(t))
			p := newPerson(t, s.issuer, appCallback)
			p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
			_, here := s.tokens(p)
			s.asDevice()

			for _, signedIn := range []bool{true, false} { // a session is no reason to skip the ceremony, nor is a grant one to skip consent
				asked := s.asks()
				first := "stepup"
				if !signedIn {
					fresh := newPerson(t, s.issuer, appCallback)
					fresh.key = p.key
					p, first = fresh, "login"
				}
				seen, end := p.connects(strings.ToLower(strings.ReplaceAll(asked.UserCode, "-", " ")))
				if want := []string{"device", first, "consent", "device"}; !slices.Equal(seen, want) || end.url.Path != "/device/connected" {
					t.Fatalf("signed in %v: saw %q, ended at %v", signedIn, seen, end)
				}
				token, err := s.app.DeviceAccessToken(t.Context(), asked)
				if err != nil {
					t.Fatal(err)
				}
				if c := s.verify(token); c.Subject != here.Subject || c.ACR != "phr" || c.AuthTime < here.AuthTime || c.Issuer != s.issuer {
					t.Errorf("claims: %+v", c)
				}
				if next, err := s.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err != nil || s.verify(next).Subject != here.Subject {
					t.Errorf("refresh: %v", err)
				}
			}

			refusals := map[string]func(page) page{
				"at the door":     func(at page) page { return p.submit(at, "cancel", nil) },
				"at the ceremony": func(at page) page { return p.submit(p.submit(at, "device-confirm", nil), "cancel", nil) },
				"at consent": func(at page) page {
					return p.submit(p.ceremony(p.submit(at, "device-confirm", nil)), "consent-deny", nil)
				},
			}
			for where, refuse := range refusals {
				asked := s.asks()
				if end := refuse(p.submit(p.open(asked.VerificationURIComplete), "device-confirm", nil)); end.url.Path != "/device/refused" {
					t.Errorf("refused %s: at %v", where, end)
				}
				_, err := s.app.DeviceAccessToken(t.Context(), asked)
				if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "access_denied" {
					t.Errorf("refused %s: %v", where, err)
				}
			}
		})
	}
}

func TestOfManyPollsAtManyReplicasOneGetsTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, production(t))
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	s.asDevice()
	asked := s.asks()
	polls := func() map[int]int {
		form := url.Values{"grant_type": {idp.GrantDeviceCode}, "client_id": {s.app.ClientID}, "device_code": {asked.DeviceCode}}
		var mu sync.Mutex
		var wg sync.WaitGroup
		statuses := map[int]int{}
		for range 8 {
			wg.Go(func() {
				resp, err := http.PostForm(s.issuer+"/oauth2/token", form)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				statuses[resp.StatusCode]++
			})
		}
		wg.Wait()
		return statuses
	}
	if got := polls(); got[400] != 8 {
		t.Errorf("before the answer: %v", got)
	}
	p.connects(asked.UserCode)
	if got := polls(); got[200] != 1 || got[400] != 7 {
		t.Errorf("after the answer: %v", got)
	}
}

func TestAClientForDevicesNeedsNoRedirectURI(t *testing.T) {
	dir := t.TempDir()
	add := func(id string, args ...string) (string, error) {
		t.Helper()
		if _, err := operate(t, dir, append([]string{"client", "add", "Tele", "--id", id, "--grant", "device_code"}, args...)...); err != nil {
			return "", err
		}
		return operate(t, dir, "client", "show", id)
	}
	out, err := add("tele", "--public")
	if err != nil || !strings.Contains(out, `"grant_types": [
    "urn:ietf:params:oauth:grant-type:device_code",
    "refresh_token"
  ]`) || !strings.Contains(out, `"offline_access"`) {
		t.Errorf("%v %s", err, out)
	}
	out, err = add("both", "--redirect-uri", "https://tele.example/cb", "--no-refresh")
	if err != nil || !strings.Contains(out, `"authorization_code"`) || strings.Contains(out, `"refresh_token"`) {
		t.Errorf("%v %s", err, out)
	}
	if _, err := add("bad", "--grant", "implicit"); err == nil {
		t.Error("an unknown grant is taken")
	}
}
