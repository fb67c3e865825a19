package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/storetest"
)

// backends are the two profiles that a flow must work on.
var backends = map[string]func(*testing.T) []string{
	"embedded":   func(t *testing.T) []string { return []string{"STEPWARD_DATA_DIR=" + t.TempDir()} },
	"production": production,
}

// production returns the settings of a throw-away Postgres and Redis, shared by all who get the same settings.
func production(t *testing.T) []string {
	return []string{
		"STEPWARD_DATABASE_URL=" + storetest.PostgresURL(t), "STEPWARD_REDIS_URL=" + ephemeraltest.RedisURL(t),
		"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
}

// site is a provider under test: one or several replicas behind one address.
type site struct {
	t        *testing.T
	issuer   string
	replicas []*replica
	turn     atomic.Int64
	app      oauth2.Config
}

type replica struct {
	*server.Server
	front *httptest.Server
	dead  atomic.Bool
}

const appCallback = "http://localhost:1/callback"

// newSite runs n replicas on the same stores behind a proxy that gives every request to the next one.
func newSite(t *testing.T, n int, settings []string) *site {
	t.Helper()
	return newLoggedSite(t, n, settings, slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func newLoggedSite(t *testing.T, n int, settings []string, handler slog.Handler) *site {
	t.Helper()
	s := &site{t: t}
	front := httptest.NewUnstartedServer(http.HandlerFunc(s.forward))
	front.Start()
	t.Cleanup(front.Close)
	s.issuer = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	mailbox := &mail.Mailbox{}
	for range n {
		cfg, err := config.Load(config.Sources{Environ: append([]string{"STEPWARD_ISSUER=" + s.issuer, "STEPWARD_TRUSTED_PROXIES=127.0.0.0/8"}, settings...)})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Adapt = func(c *config.Config) { c.SignUp, c.Policy = true, server.DemoPolicy(c.Policy) }
		cfg.Adapt(cfg)
		r := &replica{}
		if r.Server, err = server.New(t.Context(), cfg, slog.New(handler), mailbox); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Server.Close)
		jobs, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { r.RunJobs(jobs); close(done) }()
		t.Cleanup(func() { stop(); <-done })
		r.front = httptest.NewServer(r.Handler)
		t.Cleanup(r.front.Close)
		s.replicas = append(s.replicas, r)
	}
	s.register("app", func(*idp.Client) {})
	return s
}

// forward is a load balancer: round robin over the living.
func (s *site) forward(w http.ResponseWriter, r *http.Request) {
	for range s.replicas {
		next := s.replicas[int(s.turn.Add(1))%len(s.replicas)]
		if next.dead.Load() {
			continue
		}
		target, _ := url.Parse(next.front.URL)
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		}}).ServeHTTP(w, r)
		return
	}
	http.Error(w, "no replica is left", http.StatusBadGateway)
}

// register adds a client and makes it the application of the site.
func (s *site) register(id string, change func(*idp.Client)) {
	s.t.Helper()
	now := time.Now()
	client := idp.Client{
		ID: id, Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, RedirectURIs: []string{appCallback},
		GrantTypes: []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken},
		Scopes:     []string{"openid", "profile", "email", "offline_access", "payouts"}, CreatedAt: now, UpdatedAt: now,
	}
	secret := client.AddSecret(now)
	change(&client)
	if err := s.replicas[0].DB.PutClient(s.t.Context(), client); err != nil {
		s.t.Fatal(err)
	}
	provider, err := oidc.NewProvider(s.t.Context(), s.issuer)
	if err != nil {
		s.t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // the library would try another method after a failure
	s.app = oauth2.Config{
		ClientID: id, ClientSecret: secret.Reveal(), Endpoint: endpoint, RedirectURL: appCallback,
		Scopes: []string{"openid", "profile", "email", "offline_access"},
	}
}

// authorize sends the person through an authorization request and returns what the application got back.
func (s *site) authorize(p *person, verifier string, options ...oauth2.AuthCodeOption) url.Values {
	s.t.Helper()
	options = append(options, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "n-0S6_WzA2Mj"))
	return p.through(p.open(s.app.AuthCodeURL("af0ifjsldkj", options...)))
}

// tokens authorizes and exchanges the code, as a stock relying party does, and verifies the ID token.
func (s *site) tokens(p *person, options ...oauth2.AuthCodeOption) (*oauth2.Token, claims) {
	s.t.Helper()
	verifier := oauth2.GenerateVerifier()
	back := s.authorize(p, verifier, options...)
	if back.Get("state") != "af0ifjsldkj" || back.Get("iss") != s.issuer || back.Get("code") == "" {
		s.t.Fatalf("authorization response: %v", back)
	}
	token, err := s.app.Exchange(s.t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		s.t.Fatalf("exchange: %v", err)
	}
	return token, s.verify(token)
}

func (s *site) verify(token *oauth2.Token) (c claims) {
	s.t.Helper()
	provider, err := oidc.NewProvider(s.t.Context(), s.issuer)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: s.app.ClientID, SupportedSigningAlgs: []string{"ES256"}}).Verify(s.t.Context(), raw)
	if err != nil {
		s.t.Fatalf("ID token: %v", err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		s.t.Errorf("at_hash: %v", err)
	}
	if err := id.Claims(&c); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func TestAStockRelyingPartySignsInAndStepsUp(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, 1, settings(t))
			p := newPerson(t, s.issuer, appCallback)
			p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")

			token, first := s.tokens(p)
			if first.ACR != "phr" || !slices.Equal(first.AMR, []string{"pop", "user", "mfa"}) || token.TokenType != "Bearer" {
				t.Errorf("claims: %+v", first)
			}
			user, err := must(oidc.NewProvider(t.Context(), s.issuer)).UserInfo(t.Context(), oauth2.StaticTokenSource(token))
			if err != nil || user.Subject != first.Subject || user.Email != "ada@example.com" || !user.EmailVerified {
				t.Errorf("userinfo: %+v %v", user, err)
			}

			// Silent single sign-on: no ceremony, the same auth_time.
			if _, again := s.tokens(p, oauth2.SetAuthURLParam("prompt", "none")); again.AuthTime != first.AuthTime {
				t.Errorf("silent: auth_time %d, first %d", again.AuthTime, first.AuthTime)
			}
			// A step-up for payments opens that window, and the next request within it is silent.
			s.app.Scopes = append(s.app.Scopes, "payouts")
			if back := s.authorize(p, oauth2.GenerateVerifier(), oauth2.SetAuthURLParam("prompt", "none")); back.Get("error") != "login_required" && back.Get("error") != "interaction_required" {
				t.Errorf("payouts without a step-up: %v", back)
			}
			paid, stepped := s.tokens(p)
			if stepped.Subject != first.Subject || stepped.AuthTime < first.AuthTime || !strings.Contains(paid.Extra("scope").(string), "payouts") {
				t.Errorf("step-up: %+v scope %v", stepped, paid.Extra("scope"))
			}
			if _, silent := s.tokens(p, oauth2.SetAuthURLParam("prompt", "none")); silent.AuthTime != stepped.AuthTime {
				t.Errorf("within the window: auth_time %d, step-up %d", silent.AuthTime, stepped.AuthTime)
			}

			// Refreshing rotates, keeps auth_time, and a used token kills its family.
			refreshed, err := s.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: paid.RefreshToken}).Token()
			if err != nil {
				t.Fatalf("refresh: %v", err)
			}
			if refreshed.RefreshToken == paid.RefreshToken {
				t.Error("the refresh token was not rotated")
			}
			if c := s.verify(refreshed); c.AuthTime != stepped.AuthTime || c.Subject != first.Subject || c.ACR != "phr" {
				t.Errorf("after refresh: %+v", c)
			}
		})
	}
}

func TestTwoReplicasAreOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2, production(t))
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	_, first := s.tokens(p) // every hop of it meets the other replica
	s.app.Scopes = append(s.app.Scopes, "payouts")
	if _, stepped := s.tokens(p); stepped.Subject != first.Subject {
		t.Errorf("subjects: %s, %s", first.Subject, stepped.Subject)
	}
}

func TestAReplicaDiesDuringASignInAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for dead := range 2 {
		s := newSite(t, 2, production(t))
		p := newPerson(t, s.issuer, appCallback)
		p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
		verifier := oauth2.GenerateVerifier()
		at := p.open(s.app.AuthCodeURL("af0ifjsldkj", oauth2.S256ChallengeOption(verifier)))
		if at.name != "login" {
			t.Fatalf("at %v", at)
		}
		s.replicas[dead].dead.Store(true)
		s.replicas[dead].front.CloseClientConnections()
		back := p.through(at)
		if _, err := s.app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier)); err != nil {
			t.Errorf("replica %d died: %v", dead, err)
		}
	}
}

func TestAChallengeIsForOneBrowserAndOneUse(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, backends["embedded"](t))
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	at := p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())))
	tag := ceremonyT.FindString(at.body)
	i, ceremony, options := attr(tag, "data-interaction"), attr(tag, "data-ceremony"), []byte(attr(tag, "data-options"))

	thief := newPerson(t, s.issuer, appCallback) // knows the whole page, and even has the key; not the browser
	thief.key = p.key
	if stolen := thief.open("/login?i=" + i); stolen.name != "error" {
		t.Errorf("another browser sees %v", stolen)
	}
	if next, answer := thief.finish("/login/passkey/finish", "get", i, ceremony, options); next != "" || answer["error"] == nil {
		t.Errorf("another browser finished: %v", answer)
	}
	// The thief's try used the challenge up. The rightful browser gets another, which works once.
	if again, answer := p.finish("/login/passkey/finish", "get", i, ceremony, options); again != "" || answer["error"] != "ceremony_gone" {
		t.Errorf("a used challenge: %v", answer)
	}
	ceremony, options = p.begin("/login/passkey/begin", i)
	next, answer := p.finish("/login/passkey/finish", "get", i, ceremony, options)
	if next == "" {
		t.Fatalf("the rightful browser: %v", answer)
	}
	if again, answer := p.finish("/login/passkey/finish", "get", i, ceremony, options); again != "" || answer["error"] != "ceremony_gone" {
		t.Errorf("the same challenge worked twice: %v", answer)
	}
	back := p.through(p.open(next))
	if back.Get("code") == "" {
		t.Fatalf("no code: %v", back)
	}
	if replay := p.open("/login?i=" + i); replay.name != "error" {
		t.Errorf("a finished interaction shows %v", replay)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
