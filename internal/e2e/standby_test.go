package e2e

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/storetest"
)

// A failover of Postgres, for a URL that leads to one address and for one that names both servers.
func TestAPromotedStandbyTakesOver(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	primary, standby := pair.Sockets()
	way := newWire(t, primary)
	settings := production(t)
	settings[0] = "STEPWARD_DATABASE_URL=postgres://postgres@" + way.listener.Addr().String() + "/postgres?sslmode=disable"
	both := append([]string{"STEPWARD_DATABASE_URL=" + pair.URL()}, settings[1:]...)
	follower := newSite(t, 1, both)
	s := newSite(t, 1, settings) // last, because each registers the application anew, with another secret
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	held, before := s.tokens(p)

	pair.Replayed()
	pair.StopPrimary()
	way.cut()
	way.lead(standby)
	way.mend()
	status := s.waitForHealth(`"database":"standby: a standby of Postgres answers`)
	if !strings.Contains(status, "target_session_attrs") {
		t.Errorf("readiness does not say how to find the primary: %s", status)
	}
	follower.waitForHealth(`"database":"standby: none of the servers`)
	source := s.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: held.RefreshToken})
	if _, err := source.Token(); err == nil || !strings.Contains(err.Error(), "temporarily_unavailable") {
		t.Errorf("refreshing on a standby: %v", err)
	}
	s.refusesToStart(settings, "a standby of Postgres answers")
	s.refusesToStart(both, "none of the servers of database-url that answer is a primary")

	pair.Promote()
	s.waitForHealth(`"status":"ready"`)
	follower.waitForHealth(`"status":"ready"`)
	lost := 0
	if fresh, err := source.Token(); err != nil || fresh.AccessToken == "" {
		lost++
		t.Errorf("the refresh token of before: %v", err)
	}
	t.Logf("counted: %d of 1 refresh tokens lost in a failover, 0 of 2 replicas restarted", lost)
	if _, after := s.tokens(p); after.Subject != before.Subject {
		t.Errorf("another user: %+v", after)
	}
}

// refusesToStart wants one more replica to stop at the start, and to say why in words.
func (s *site) refusesToStart(settings []string, why string) {
	s.t.Helper()
	cfg, err := config.Load(config.Sources{Environ: append([]string{"STEPWARD_ISSUER=" + s.issuer}, settings...)})
	if err != nil {
		s.t.Fatal(err)
	}
	if srv, err := server.New(s.t.Context(), cfg, slog.New(slog.DiscardHandler), nil); err == nil {
		srv.Close()
		s.t.Errorf("it starts, in place of: %s", why)
	} else if !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "SQLSTATE") || strings.Contains(err.Error(), "hunter2") {
		s.t.Errorf("it says %v, in place of: %s", err, why)
	}
}

// waitForHealth waits until /readyz contains text, and returns what it says.
func (s *site) waitForHealth(text string) string {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(s.issuer + "/readyz")
		if err != nil {
			s.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.Contains(string(body), text) {
			return string(body)
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("/readyz never says %s: %s", text, body)
		}
	}
}
