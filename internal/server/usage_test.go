package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/internal/web"
)

func TestWhatAClientDidLastIsRecorded(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	now := time.Now().Truncate(time.Millisecond).UTC()
	c := idp.Client{
		ID: "robot", Name: "Robot", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, CreatedAt: now, UpdatedAt: now,
		GrantTypes: []string{idp.GrantClientCredentials, idp.GrantAuthorizationCode}, Scopes: []string{"openid"},
		RedirectURIs: []string{"https://robot.example/cb"}, Audience: []string{"https://api.example"},
	}
	secret := c.AddSecret(now)
	if err := h.DB.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, password string, form url.Values) {
		t.Helper()
		var r *http.Request
		if method == http.MethodGet {
			r, _ = http.NewRequest(method, h.origin+path+"?"+form.Encode(), nil)
		} else {
			r, _ = http.NewRequest(method, h.origin+path, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("robot", password)
		}
		r.Host = h.Config.Issuer.Host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	usage := func() registry.Usage {
		t.Helper()
		// The answer reaches the caller before its record is written.
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if err := h.used.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			all, err := registry.New(h.DB).Usage(t.Context(), "robot")
			if err != nil {
				t.Fatal(err)
			}
			if u := all["robot"]; u.Error != "" || time.Now().After(deadline) {
				return u
			}
		}
	}
	ask("POST", "/oauth2/token", secret.Reveal(), url.Values{"grant_type": {"client_credentials"}})
	ask("POST", "/oauth2/token", "guessed", url.Values{"grant_type": {"client_credentials"}})
	u := usage()
	if u.Error != "invalid_client: wrong secret" || !u.TokensAt.IsZero() || u.Secrets[c.Secrets[0].ID].IsZero() {
		t.Errorf("after a scope that it may not have and a wrong secret: %+v", u)
	}
	ask("GET", "/oauth2/authorize", "", url.Values{
		"client_id": {"robot"}, "redirect_uri": {"https://elsewhere.example"}, "response_type": {"code"}, "scope": {"openid"},
	})
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(u.Error, "redirect_uri is not registered"); u = usage() {
		if time.Now().After(deadline) {
			t.Fatalf("the redirect URI of another site is not recorded: %+v", u)
		}
	}
}

func TestOnlyTokensForAPersonCountAsASignIn(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for grant, signedIn := range map[string]bool{
		idp.GrantAuthorizationCode: true, idp.GrantDeviceCode: true, idp.GrantClientCredentials: false, idp.GrantRefreshToken: false,
	} {
		id := "client-" + grant
		if err := h.DB.PutClient(t.Context(), idp.Client{ID: id}); err != nil {
			t.Fatal(err)
		}
		noteUsage(h.used, web.Answer{Status: 200, Attrs: []slog.Attr{slog.String("client", id), slog.String("grant", grant)}})
		noteUsage(h.used, web.Answer{Status: 400, Attrs: []slog.Attr{slog.String("client", id), slog.String("oauth_error", "slow_down")}})
		if err := h.used.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := registry.New(h.DB).Usage(t.Context(), id)
		if u := all[id]; err != nil || u.TokensAt.IsZero() || u.SignInAt.IsZero() == signedIn || u.Error != "" {
			t.Errorf("%s: %+v, %v", grant, u, err)
		}
	}
}
