// These tests are inside the package: they run single jobs, and set the clocks that jobs compare.
package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/store/leases"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/storetest"
)

const month = 31 * 24 * time.Hour

// A diary is a log that can be read while it is written.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

// lines returns the number of lines that contain a text.
func (d *diary) lines(text string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range strings.Lines(d.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (d *diary) logger() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

// shifted returns the URL of a fresh database whose clock differs from this process's. Its function comes before that
// of pg_catalog in the search path.
func shifted(t *testing.T, by string) string {
	t.Helper()
	u, err := url.Parse(storetest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
		AS $$ SELECT pg_catalog.clock_timestamp() + interval '`+by+`' $$`); err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("search_path", "public,pg_catalog")
	u.RawQuery = query.Encode()
	return u.String()
}

func newServer(t *testing.T, log *slog.Logger, environ ...string) *Server {
	t.Helper()
	cfg, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func production(t *testing.T, database string) []string {
	return []string{
		"STEPWARD_DATABASE_URL=" + database, "STEPWARD_REDIS_URL=" + ephemeraltest.RedisURL(t),
		"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
}

func status(s *Server, path string) int {
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost:8080"+path, nil))
	return w.Code
}

// The clocks are compared each minute. A job does not wait for that.
func TestAClockThatJumpsBetweenTwoComparisonsSweepsNothing(t *testing.T) {
	var log diary
	address := shifted(t, "0")
	s := newServer(t, log.logger(), production(t, address)...)
	s.clocks.compare(t.Context())
	addFamilies(t, s, 50, time.Now().Add(month))
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
		AS $$ SELECT pg_catalog.clock_timestamp() + interval '40 days' $$`); err != nil {
		t.Fatal(err)
	}
	if err := s.once(t.Context(), job{"sweep", time.Minute, s.sweep}, "this"); err != nil {
		t.Fatal(err)
	}
	gone := 50 - countFamilies(t, address)
	wrong, _ := s.clocks.state()
	t.Logf("counted: swept %d of 50 live families after a jump of the clock", gone)
	if gone > 0 || !wrong || log.lines("clock is wrong") != 1 {
		t.Errorf("swept %d of 50 live families; the clock is wrong: %v", gone, wrong)
	}
}

// The replica is a month ahead of the database, which has rows that are only live by its own clock.
func TestAReplicaWithAWrongClockSweepsNothingAndIsNotReady(t *testing.T) {
	var log diary
	address := shifted(t, "-31 days")
	s := newServer(t, log.logger(), production(t, address)...)
	alive := time.Now().Add(-month + time.Hour)
	for n := range 20 {
		if err := s.DB.PutLink(t.Context(), idp.Link{Hash: fmt.Sprint(n), Kind: "enrol", ExpiresAt: alive}); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := s.DB.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		keys[i].State, keys[i].ExpiresAt = idp.KeyRetired, alive
	}
	if err := s.DB.UpdateSigningKeys(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	addFamilies(t, s, 50, alive)
	if got := status(s, "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d", got)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		s.RunJobs(ctx)
		cancel()
	}
	if n := log.lines("clock is wrong"); n != 1 {
		t.Errorf("%d lines say that the clock is wrong", n)
	}
	got, err := leases.Take(t.Context(), s.DB, "sweep", "other", 2*time.Minute, time.Now().Add(-month))
	if err != nil || !got {
		t.Errorf("a replica with a wrong clock took the lease: %v", err)
	}
	// Even a replica that has not compared yet goes by the database's clock.
	for _, j := range []job{{"sweep", time.Minute, s.sweep}} {
		if err := s.once(t.Context(), j, "other"); err != nil {
			t.Fatal(err)
		}
	}
	gone := map[string]int{}
	for n := range 20 {
		if _, err := s.DB.PeekLink(t.Context(), fmt.Sprint(n), "enrol", time.Now().Add(-month)); err != nil {
			gone["links"]++
		}
	}
	left, err := s.DB.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone["keys"] = len(keys) - len(left)
	gone["families"] = 50 - countFamilies(t, address)
	t.Logf("counted: swept %d of 50 live families, %d of %d published keys, %d of 20 links; lease taken: %v",
		gone["families"], gone["keys"], len(keys), gone["links"], !got)
	if gone["links"]+gone["keys"]+gone["families"] > 0 {
		t.Errorf("swept what was alive: %v", gone)
	}
}

// addFamilies stores families that live until then.
func addFamilies(t *testing.T, s *Server, n int, until time.Time) {
	t.Helper()
	u := idp.User{ID: idp.NewID(), Email: "ada@example.com", CreatedAt: until}
	err := s.DB.CreateUser(t.Context(), u)
	if err == nil {
		err = s.DB.PutClient(t.Context(), idp.Client{ID: "app"})
	}
	for range n {
		if err != nil {
			t.Fatal(err)
		}
		id := idp.NewID()
		_, _, err = s.DB.CreateFamily(t.Context(), idp.Family{
			ID: id, ClientID: "app", UserID: u.ID, SessionID: "sid", HandleHash: id, CurrentHash: "first", ExpiresAt: until,
			Assurance: idp.Assurance{AuthenticationID: "a", PasskeyID: "k", ACR: "phr"},
		}, nil)
	}
}

func countFamilies(t *testing.T, address string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM families").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestASmallClockDifferenceIsAWarning(t *testing.T) {
	var log diary
	s := newServer(t, log.logger(), production(t, shifted(t, "4 seconds"))...)
	if got := status(s, "/readyz"); got != http.StatusOK {
		t.Errorf("/readyz: %d", got)
	}
	s.clocks.compare(t.Context())
	if n := log.lines("clock differs"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestAWrongClockStopsRunningJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var skew, runs atomic.Int64
		var running atomic.Bool
		c := newClocks(slog.New(slog.DiscardHandler), clock{"there", func(context.Context) (time.Time, error) {
			return time.Now().Add(time.Duration(skew.Load())), nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		go c.run(ctx)
		go c.whileRight(ctx, func(ctx context.Context) {
			runs.Add(1)
			running.Store(true)
			<-ctx.Done()
			running.Store(false)
		})
		for _, step := range []struct {
			skew    time.Duration
			running bool
			runs    int64
		}{{0, true, 1}, {9 * time.Second, true, 1}, {10 * time.Second, false, 1}, {-month, false, 1}, {-9 * time.Second, true, 2}, {-11 * time.Second, false, 2}, {0, true, 3}} {
			skew.Store(int64(step.skew))
			time.Sleep(skewEvery)
			synctest.Wait()
			if wrong, _ := c.state(); running.Load() != step.running || runs.Load() != step.runs || wrong == step.running {
				t.Errorf("%v: running %v, %d runs, wrong %v", step.skew, running.Load(), runs.Load(), wrong)
			}
		}
		cancel()
	})
}

// A replica with a wrong clock is not ready, so it looks again soon.
func TestAClockThatIsRightAgainIsNoticedInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var skew atomic.Int64
		c := newClocks(slog.New(slog.DiscardHandler), clock{"there", func(context.Context) (time.Time, error) {
			return time.Now().Add(time.Duration(skew.Load())), nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		go c.run(ctx)
		time.Sleep(10 * time.Second)
		skew.Store(int64(month))
		c.compare(ctx) // as a job does
		skew.Store(0)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if wrong, _ := c.state(); wrong {
			t.Error("after 6 s it is still wrong")
		}
		cancel()
	})
}

func TestASlowResponseIsNotAWrongClock(t *testing.T) {
	begin := time.Now()
	for _, c := range []struct{ begin, end, theirs, want time.Duration }{
		{0, 30 * time.Second, 29 * time.Second, 0},
		{0, time.Second, 4 * time.Second, -3 * time.Second},
		{0, time.Second, -3 * time.Second, 3 * time.Second},
	} {
		if got := ahead(begin.Add(c.begin), begin.Add(c.end), begin.Add(c.theirs)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestAHeldSweepIsLoggedOnce(t *testing.T) {
	var log diary
	s := newServer(t, log.logger(), "STEPWARD_DATA_DIR="+t.TempDir())
	var events []idp.Event
	for range 1001 {
		events = append(events, idp.NewEvent("", "", time.Now().Add(-390*24*time.Hour)))
	}
	if err := s.DB.RecordEvents(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(month), now.Add(month + time.Minute), now.Add(month + 2*time.Minute)} {
		if err := s.sweep(t.Context(), at); err != nil {
			s.log.Error("job", "error", err)
		}
	}
	if n := log.lines("sweep held until"); n != 1 {
		t.Errorf("%d lines", n)
	}
	var left []idp.Event
	left, err := s.DB.Events(t.Context(), "", 2000)
	if err != nil || len(left) < 1001 {
		t.Errorf("%d events are left, %v", len(left), err)
	}
}

func TestAnOutageIsLoggedOnce(t *testing.T) {
	var log diary
	redis := ephemeraltest.StartRedis(t)
	s := newServer(t, log.logger(), "STEPWARD_DATABASE_URL="+storetest.PostgresURL(t), "STEPWARD_REDIS_URL="+redis.URL,
		"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	redis.Stop()
	for range 20 {
		if got := status(s, "/login?i=x"); got != http.StatusServiceUnavailable {
			t.Fatal(got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	s.RunJobs(ctx)
	cancel()
	away, errs, warnings := log.lines("store is away"), log.lines("level=ERROR"), log.lines("level=WARN")
	t.Logf("counted: %d error lines for 20 requests and the jobs in an outage", errs)
	if away != 1 || errs != 1 || warnings != 0 {
		t.Errorf("%d lines, %d errors, %d warnings:\n%s", away, errs, warnings, log.text.String())
	}
}

func TestEventsAreKeptAsConfigured(t *testing.T) {
	s := newServer(t, slog.New(slog.DiscardHandler), "STEPWARD_DATA_DIR="+t.TempDir(), "STEPWARD_EVENT_RETENTION=48h")
	now := time.Now()
	for _, age := range []time.Duration{47 * time.Hour, 49 * time.Hour} {
		e := idp.NewEvent("", "", now.Add(-age))
		e.RequestID = age.String()
		if err := s.DB.RecordEvents(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	events, err := s.DB.Events(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for _, e := range events {
		kept[e.RequestID] = true
	}
	if !kept["47h0m0s"] || kept["49h0m0s"] {
		t.Errorf("kept: %v", events)
	}
}
