package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/store/outbox"
)

// A safe is bytes that several goroutines write.
type safe struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// traceCollector takes OTLP over HTTP and keeps the bytes, which have all texts as they are.
func traceCollector(t *testing.T) (address string, taken *safe) {
	taken = &safe{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		zip, err := gzip.NewReader(r.Body)
		if err == nil {
			_, err = io.Copy(taken, zip)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, taken
}

// metricsOf returns what Prometheus would get from a replica.
func metricsOf(t *testing.T, r *replica) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Private().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// An eavesdropper remembers the secrets of a browser's traffic.
type eavesdropper struct {
	mu      sync.Mutex
	secrets map[string]string // the secret → what it is
}

var secretMembers = regexp.MustCompile(`"(challenge|access_token|refresh_token|id_token|signature|userHandle|clientDataJSON)":"([^"]+)"`)

// addresses finds e-mail addresses, in the bytes of traces too.
var addresses = regexp.MustCompile(`[a-z0-9]{2,}@[a-z0-9-]{2,}\.[a-z]{2,}`)

func (e *eavesdropper) keep(what, secret string) {
	if len(secret) < 6 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets[secret] = what
}

func (e *eavesdropper) read(body io.ReadCloser) io.ReadCloser {
	content, _ := io.ReadAll(body)
	body.Close()
	for _, m := range secretMembers.FindAllStringSubmatch(html.UnescapeString(string(content)), -1) {
		e.keep(m[1], m[2])
	}
	return io.NopCloser(bytes.NewReader(content))
}

func (e *eavesdropper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = e.read(r.Body)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for _, c := range resp.Cookies() {
		e.keep("cookie "+c.Name, c.Value)
	}
	if at, err := url.Parse(resp.Header.Get("Location")); err == nil {
		e.keep("code", at.Query().Get("code"))
		e.keep("state", at.Query().Get("state"))
	}
	resp.Body = e.read(resp.Body)
	return resp, nil
}

// TestNothingPersonalIsSeenFromOutside runs a life of an account, and looks for everything personal and secret in logs,
// metrics and traces.
func TestNothingPersonalIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			collector, traces := traceCollector(t)
			log := &safe{}
			s := newLoggedSite(t, 1, append(settings(t), "STEPWARD_METRICS_LISTEN=127.0.0.1:0", "STEPWARD_TRACE_URL="+collector,
				"STEPWARD_TRACE_SAMPLE=1"), slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			ear := &eavesdropper{secrets: map[string]string{
				"ada@example.com": "e-mail address", "Lovelace": "name", s.app.ClientSecret: "client secret", "AAAAAAAAAAAAAAAA": "operator's key",
			}}
			p := newPerson(t, s.issuer, appCallback)
			p.http.Transport = ear
			p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
			first := newestCode(t, s.issuer, "ada@example.com")
			ear.keep("sign-up code", first)
			s.tokens(p)
			s.app.Scopes = append(s.app.Scopes, "payouts")
			token, claims := s.tokens(p)
			ear.keep("sub", claims.Subject)
			source := s.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken})
			next, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			for _, issued := range []*oauth2.Token{token, next} {
				ear.keep("access token", issued.AccessToken)
				ear.keep("refresh token", issued.RefreshToken)
				raw, _ := issued.Extra("id_token").(string)
				ear.keep("ID token", raw)
			}
			if _, err := must(oidc.NewProvider(t.Context(), s.issuer)).UserInfo(t.Context(), oauth2.StaticTokenSource(next)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.app.Exchange(t.Context(), "wrong-code-of-somebody", oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
				t.Fatal("a wrong code was exchanged")
			}
			ear.keep("wrong code", "wrong-code-of-somebody")

			at := p.open("/account/codes/new")
			if at.name == "stepup" {
				at = p.ceremony(at)
			}
			at = p.submit(at, "codes-show", nil)
			saved := regexp.MustCompile(`<code translate="no">([^<]+)`).FindAllStringSubmatch(at.body, -1)
			if len(saved) != 4 {
				t.Fatalf("%d recovery codes on %s", len(saved), at.name)
			}
			for _, code := range saved {
				ear.keep("recovery code", code[1])
			}
			p.submit(at, "codes-done", map[string]string{"codes-check": saved[0][1]})
			if at := p.submit(p.open("/oauth2/end_session"), "logout-confirm", nil); at.name != "logged-out" {
				t.Fatalf("after signing out: %s", at.name)
			}

			p.key = passkeytest.New(s.issuer) // the old one is lost
			at = p.submit(p.open("/recover"), "recover-submit", map[string]string{"recover-email": "ada@example.com"})
			mailed := first
			for deadline := time.Now().Add(30 * time.Second); mailed == first && time.Now().Before(deadline); {
				mailed = newestCode(t, s.issuer, "ada@example.com")
			}
			ear.keep("mailed code", mailed)
			at = p.submit(at, "recover-finish", map[string]string{"recover-mailcode": mailed, "recover-code": saved[1][1]})
			if at = p.ceremony(at); at.status != http.StatusOK {
				t.Fatalf("after the recovery: %d %s", at.status, at.name)
			}

			metrics := metricsOf(t, s.replicas[0])
			s.replicas[0].Server.Close() // sends the last traces
			for what, text := range map[string]string{"log": log.String(), "metrics": metrics, "traces": traces.String()} {
				for secret, kind := range ear.secrets {
					if strings.Contains(text, secret) {
						t.Errorf("the %s contain a %s: %q", what, kind, secret)
					}
				}
				if found := addresses.FindString(text); found != "" {
					t.Errorf("the %s contain %q", what, found)
				}
			}
			if len(ear.secrets) < 40 {
				t.Errorf("only %d secrets were overheard", len(ear.secrets))
			}
			seen := []string{
				`stepward_ceremonies_total{outcome="ok",purpose="register"} 2`, `stepward_ceremonies_total{outcome="ok",purpose="sign-in"}`,
				`stepward_ceremonies_total{outcome="ok",purpose="step-up"} 2`, `stepward_step_ups_total{class="payments",reason="`,
				`stepward_tokens_total{grant="authorization_code"} 2`, `stepward_tokens_total{grant="refresh_token"} 1`,
				`stepward_refusals_total{error="invalid_grant"} 1`, `stepward_store_up{store="database"} 1`,
				`stepward_outbox_messages{outbox="mail"}`, `stepward_pool_connections_max{pool="`, "stepward_clock_skew_seconds ",
			}
			for _, line := range seen {
				if !strings.Contains(metrics, line) {
					t.Errorf("no %s in\n%s", line, metrics)
				}
			}
			for _, span := range []string{"/oauth2/token", "POST /login/passkey/finish", "record authentication", "http.route"} {
				if !strings.Contains(traces.String(), span) {
					t.Errorf("no %q in the traces", span)
				}
			}
			for line := range strings.Lines(log.String()) {
				var rec map[string]any
				if err := json.Unmarshal([]byte(line), &rec); err != nil {
					t.Fatal(err)
				}
				if id, _ := rec["trace_id"].(string); rec["msg"] == "request" && len(id) != 32 {
					t.Errorf("no trace in %s", line)
				}
			}
		})
	}
}

// ourSeries returns the names and labels of our series.
func ourSeries(metrics string) (all []string) {
	for line := range strings.Lines(metrics) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(line, "stepward_") {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func TestAFloodOfStrangersMakesNoSeries(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, append(backends["embedded"](t), "STEPWARD_METRICS_LISTEN=127.0.0.1:0"))
	flood := func(n int) {
		for i := range n {
			r, err := http.NewRequest(fmt.Sprintf("M%d", i), fmt.Sprintf("%s/path%d?x=%d", s.issuer, i, i), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Traceparent", fmt.Sprintf("00-%032x-%016x-01", i+1, i+1))
			get := func(r *http.Request, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			get(r, nil)
			get(http.NewRequest("GET", fmt.Sprintf("%s/nowhere/%d", s.issuer, i), nil))
			get(http.NewRequest("GET", fmt.Sprintf("%s/oauth2/authorize?client_id=c%d&response_type=r%d&scope=s%d", s.issuer, i, i, i), nil))
			form, err := http.NewRequest("POST", s.issuer+"/oauth2/token", strings.NewReader(url.Values{
				"grant_type": {fmt.Sprintf("g%d", i)}, "client_id": {fmt.Sprintf("c%d", i)}, "client_secret": {"x"},
			}.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			get(form, nil)
		}
	}
	flood(2)
	before := ourSeries(metricsOf(t, s.replicas[0]))
	flood(40)
	after := ourSeries(metricsOf(t, s.replicas[0]))
	ofRequests := regexp.MustCompile("^stepward_(requests|request|ceremonies|step_ups|tokens|refusals)_")
	for _, series := range after {
		if ofRequests.MatchString(series) && !slices.Contains(before, series) {
			t.Errorf("the flood made %s", series)
		}
	}
}

// What the alerts of deploy/prometheus look at, made by faults of a real server. That they fire on it is tested with
// promtool (make packages).
func TestFaultsShowInTheMetrics(t *testing.T) {
	t.Parallel()
	settings, postgres, redis := wired(t)
	s := newSite(t, 1, append(settings, "STEPWARD_METRICS_LISTEN=127.0.0.1:0"))
	r := s.replicas[0]
	long := time.Now().Add(-2 * time.Hour)
	if err := outbox.EnqueueMail(t.Context(), r.DB, outbox.Mail{ID: idp.NewID(), To: "x@example.com", CreatedAt: long, NextAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	value := func(name string) (v float64) {
		t.Helper()
		v = -1
		for line := range strings.Lines(metricsOf(t, r)) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				if _, err := fmt.Sscan(rest, &v); err != nil {
					t.Fatal(err)
				}
			}
		}
		return v
	}
	until := func(what, name string, ok func(float64) bool) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); ; {
			v := value(name)
			if ok(v) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s is %v", what, name, v)
			}
			<-time.After(100 * time.Millisecond)
		}
	}
	until("a message waits", `stepward_outbox_oldest_seconds{outbox="mail"}`, func(v float64) bool { return v > 7000 && v < 8000 })
	until("all is well", `stepward_store_up{store="ephemeral"}`, func(v float64) bool { return v == 1 })
	until("all is well", `stepward_store_up{store="database"}`, func(v float64) bool { return v == 1 })
	redis.cut()
	until("Redis is gone", `stepward_store_up{store="ephemeral"}`, func(v float64) bool { return v == 0 })
	until("Redis is gone", `stepward_store_fault{fault="down",store="ephemeral"}`, func(v float64) bool { return v == 1 })
	resp, err := http.Get(s.issuer + "/oauth2/authorize?" + url.Values{
		"client_id": {"app"}, "redirect_uri": {appCallback}, "response_type": {"code"}, "scope": {"openid"}, "code_challenge_method": {"S256"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !strings.Contains(metricsOf(t, r), `status="503"} 1`) || !strings.Contains(metricsOf(t, r), `stepward_store_seconds_count{outcome="unavailable",store="redis"}`) {
		t.Errorf("status %d, but no 503 and no unavailable store in\n%s", resp.StatusCode, metricsOf(t, r))
	}
	redis.mend()
	until("Redis is back", `stepward_store_up{store="ephemeral"}`, func(v float64) bool { return v == 1 })
	postgres.cut()
	until("Postgres is gone", `stepward_store_up{store="database"}`, func(v float64) bool { return v == 0 })
	if strings.Contains(metricsOf(t, r), "stepward_outbox_oldest_seconds{") {
		t.Error("the age of an outbox that cannot be read")
	}
}
