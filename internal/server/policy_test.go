package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/internal/store/storetest"
)

// changePolicy changes the policy as an operation on this replica does.
func changePolicy(t *testing.T, s *Server, expected int64, document string) {
	t.Helper()
	doc, err := config.ReadDocument("policy.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	ops := admin.New(admin.Config{DB: s.DB, Settings: s.Config, PolicyChanged: func(ctx context.Context) { _ = s.RenewPolicy(ctx) }})
	if _, err := ops.Policy.Change(t.Context(), admin.Operator(), expected, doc); err != nil {
		t.Fatal(err)
	}
}

func answerOf(s *Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w
}

func scopesOf(t *testing.T, s *Server) []string {
	t.Helper()
	var metadata struct {
		Scopes []string `json:"scopes_supported"`
	}
	w := answerOf(s, httptest.NewRequest(http.MethodGet, "http://localhost:8080/.well-known/openid-configuration", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &metadata); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return metadata.Scopes
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !condition() {
		if time.Since(begin) > 2*time.Minute {
			t.Fatalf("%s: not within two minutes", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(begin)
}

func TestAPolicyChangedAtOneReplicaCountsAtAll(t *testing.T) {
	settings := production(t, storetest.PostgresURL(t))
	var log diary
	a, b := newServer(t, log.logger(), settings...), newServer(t, log.logger(), settings...)
	ctx, stop := context.WithCancel(t.Context())
	var jobs sync.WaitGroup
	jobs.Go(func() { b.RunJobs(ctx) })
	defer func() { stop(); jobs.Wait() }()

	changePolicy(t, a, 0, "scopes: {payouts: {description: Pay}}\nproduct-name: Acme\n")
	if !slices.Contains(scopesOf(t, a), "payouts") {
		t.Error("the change does not count at once where it was made")
	}
	took := until(t, "the other replica", func() bool { return slices.Contains(scopesOf(t, b), "payouts") })
	t.Logf("the other replica took over after %v", took)
	page := answerOf(b, httptest.NewRequest(http.MethodGet, "http://localhost:8080/account/signed-out", nil))
	if !strings.Contains(page.Body.String(), "Acme") {
		t.Errorf("the product's name is not on the page: %s", page.Body)
	}
	if log.lines("path=/account/signed-out") != 1 || log.lines("policy=1") < 2 {
		t.Error("log records do not say which policy counted")
	}
	c := newServer(t, log.logger(), settings...)
	if c.PolicyVersion() != 1 || !slices.Contains(scopesOf(t, c), "payouts") {
		t.Error("a replica that starts later does not have the policy")
	}

	// What a replica does not understand leaves it as it was, and is logged once.
	unknown := policies.Version{Number: 2, Document: `{"tomorrow": {}}`, ChangedAt: time.Now()}
	if err := policies.New(a.DB).Put(t.Context(), unknown); err != nil {
		t.Fatal(err)
	}
	until(t, "the log", func() bool { return log.lines("policy not taken over") == 1 })
	for range 3 {
		if err := b.RenewPolicy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if log.lines("policy not taken over") != 1 || b.PolicyVersion() != 1 || !slices.Contains(scopesOf(t, b), "payouts") {
		t.Errorf("version %d, %d lines", b.PolicyVersion(), log.lines("policy not taken over"))
	}
}

// changing is a body during which the policy changes.
type changing struct {
	io.Reader
	change func()
}

func (c *changing) Read(p []byte) (int, error) {
	if c.change != nil {
		c.change()
		c.change = nil
	}
	return c.Reader.Read(p)
}

func TestARequestUnderWayKeepsItsPolicy(t *testing.T) {
	var log diary
	s := newServer(t, log.logger(), "STEPWARD_DATA_DIR="+t.TempDir())
	changePolicy(t, s, 0, "resources: {'https://api.example.com': {description: API}}")
	now := time.Now()
	client := idp.Client{
		ID: "app", Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodPost, RedirectURIs: []string{"http://localhost:1/cb"},
		GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid"}, CreatedAt: now, UpdatedAt: now,
	}
	secret := client.AddSecret(now)
	if err := s.DB.PutClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	push := func(change func()) int {
		form := url.Values{
			"client_id": {"app"}, "client_secret": {secret.Reveal()}, "response_type": {"code"}, "redirect_uri": {"http://localhost:1/cb"},
			"scope": {"openid"}, "resource": {"https://api.example.com"}, "code_challenge_method": {"S256"},
			"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
		}
		r := httptest.NewRequest(http.MethodPost, "http://localhost:8080/oauth2/par", &changing{strings.NewReader(form.Encode()), change})
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := answerOf(s, r)
		t.Logf("%d %s", w.Code, w.Body)
		return w.Code
	}
	under := push(func() { changePolicy(t, s, 1, "resources: null") })
	after := push(nil)
	if under != http.StatusCreated || after != http.StatusBadRequest || s.PolicyVersion() != 2 {
		t.Errorf("under way %d, after it %d, version %d", under, after, s.PolicyVersion())
	}
	if log.lines("path=/oauth2/par") != 2 || log.lines("policy=1") != 1 || log.lines("policy=2") != 1 {
		t.Error("log records do not say which policy counted")
	}
}

func TestAStoredPolicyThatTheSettingsContradictStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, slog.New(slog.DiscardHandler), "STEPWARD_DATA_DIR="+dir)
	changePolicy(t, s, 0, "action-classes: {pay: {description: pay, window: 5m}}\nscopes: {payouts: {description: Pay, action-class: pay}}")
	s.Close()
	file := filepath.Join(t.TempDir(), "stepward.yaml")
	if err := os.WriteFile(file, []byte("action-classes: {other: {description: other, window: 5m}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file, Environ: []string{"STEPWARD_DATA_DIR=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err == nil || !strings.Contains(err.Error(), `version 1 of the policy`) || !strings.Contains(err.Error(), `"pay" is not among action-classes`) {
		t.Errorf("start: %v", err)
	}
	if err := CheckStores(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "scopes.payouts.action-class") {
		t.Errorf("check: %v", err)
	}
}
