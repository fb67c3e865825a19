package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/store/storetest"
)

// A stage is a provider to which anything may happen: two replicas, each a process that is started again whenever it
// ends, with wires of its own to a Postgres and a Redis.
type stage struct {
	t               *testing.T
	issuer          string
	binary          string
	replicas        []*balanced
	database        *pgx.Conn // not over a wire
	redis           *ephemeraltest.RedisServer
	postgresAddress string
}

// balanced is a replica of a stage.
type balanced struct {
	address, stats  string
	settings        []string
	postgres, redis *wire
	mu              sync.Mutex
	process         *exec.Cmd
}

// skewed makes the clock of a database follow the table skew. Its function comes before that of pg_catalog.
const skewed = `CREATE TABLE skew (by INTERVAL NOT NULL); INSERT INTO skew VALUES ('0'); ` +
	`CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql ` +
	`AS $$ SELECT pg_catalog.clock_timestamp() + (SELECT by FROM public.skew) $$; `

// newStage sets a stage on a fresh database.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := emptyStage(t, storetest.PostgresURL(t), persistentRedis(t))
	u := must(url.Parse(s.postgresAddress))
	s.sql(skewed + `ALTER DATABASE ` + strings.TrimPrefix(u.Path, "/") + ` SET search_path = public, pg_catalog`)
	for _, r := range s.replicas {
		r.postgres = newWire(t, u.Query().Get("host")+"/.s.PGSQL.5432")
		r.settings = append(r.settings, "STEPWARD_DATABASE_URL=postgres://postgres@"+r.postgres.listener.Addr().String()+u.Path+"?sslmode=disable")
	}
	return s
}

// newStageAt sets a stage on this database and this Redis, without wires to the database.
func newStageAt(t *testing.T, database string, redis *ephemeraltest.RedisServer) *stage {
	t.Helper()
	s := emptyStage(t, database, redis)
	for _, r := range s.replicas {
		r.settings = append(r.settings, "STEPWARD_DATABASE_URL="+database)
	}
	return s
}

// emptyStage has replicas without a database.
func emptyStage(t *testing.T, database string, redis *ephemeraltest.RedisServer) *stage {
	t.Helper()
	s := &stage{t: t, postgresAddress: database, redis: redis, binary: must(os.Executable())}
	s.database = must(pgx.Connect(t.Context(), database))
	t.Cleanup(func() { _ = s.database.Close(context.Background()) })
	b := &balancer{}
	for range 2 {
		r := &balanced{address: freeAddress(t), stats: freeAddress(t), redis: newWire(t, s.socket())}
		s.replicas, b.replicas = append(s.replicas, r), append(b.replicas, r.address)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Transport: b, ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: "http", Host: "replica"})
		p.Out.Host = p.In.Host
		p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
		p.SetXForwarded()
	}})
	t.Cleanup(front.Close)
	s.issuer = strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	for _, r := range s.replicas {
		r.settings = []string{
			"STEPWARD_REDIS_URL=redis://" + r.redis.listener.Addr().String(), "STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
			"STEPWARD_POSTGRES_STATEMENT_TIMEOUT=1s", "STEPWARD_LISTEN=" + r.address, "STEPWARD_ISSUER=" + s.issuer,
		}
	}
	return s
}

// visitors starts the first replica and signs people up, then starts the second: each replica keeps the e-mails that it
// sends.
func (s *stage) visitors(n int, book *ledger, seed uint64) (all []*visitor) {
	s.t.Helper()
	s.start(s.replicas[0])
	app := oauth2.Config{
		ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: s.issuer + "/oauth2/authorize", TokenURL: s.issuer + "/oauth2/token"},
	}
	for i := range n {
		v := newVisitor(s.t, book, app, seed+uint64(i))
		if err := try(func() {
			v.home.signUp(v.home.open(app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), fmt.Sprintf("ada%d@example.com", i))
		}); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, v)
	}
	s.start(s.replicas[1])
	return all
}

// persistentRedis starts a Redis that keeps its entries over a restart and can be crashed by a command.
func persistentRedis(t *testing.T) *ephemeraltest.RedisServer {
	t.Helper()
	return ephemeraltest.StartRedis(t, "--appendonly", "yes", "--enable-debug-command", "yes")
}

func (s *stage) socket() string { return strings.TrimPrefix(s.redis.URL, "unix://") }

// start runs a replica until the test ends, and starts it again whenever it ends, as a supervisor does.
func (s *stage) start(r *balanced) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			r.mu.Lock()
			r.process = replicaOf(s.binary, r.stats, r.settings...)
			err := r.process.Start()
			r.mu.Unlock()
			if err == nil {
				_ = r.process.Wait()
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		for open := true; open; {
			r.signal(syscall.SIGKILL)
			select {
			case <-ended:
				open = false
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	s.ready(r)
}

func (b *balanced) signal(sig syscall.Signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process != nil && b.process.Process != nil {
		_ = b.process.Process.Signal(sig) // it may have ended by itself
	}
}

// ready waits until a replica says that both stores are as they should be.
func (s *stage) ready(r *balanced) {
	s.t.Helper()
	client := &http.Client{Timeout: 2 * time.Second, Transport: freshConnections}
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get("http://" + r.address + "/readyz?stores=required")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("a replica is not ready: %v %v", resp, err)
		}
	}
}

func (s *stage) sql(text string) {
	s.t.Helper()
	if _, err := s.database.Exec(context.Background(), text); err != nil {
		s.t.Errorf("%s: %v", text, err)
	}
}

// count returns the number that a query selects.
func (s *stage) count(query string, args ...any) (n int) {
	s.t.Helper()
	if err := s.database.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Errorf("%s: %v", query, err)
	}
	return n
}

// A fault begins, and ends when the function that begin returns is called.
type fault struct {
	name  string
	begin func() (end func())
}

// crashes are the faults of the replicas themselves.
func (s *stage) crashes(rng *rand.Rand) []fault {
	r := s.replicas[rng.IntN(len(s.replicas))]
	return []fault{
		{"kill -9", func() func() { r.signal(syscall.SIGKILL); return func() {} }},
		{"SIGSTOP", func() func() { r.signal(syscall.SIGSTOP); return func() { r.signal(syscall.SIGCONT) } }},
	}
}

// outages are the faults of the stores and of the ways to them.
func (s *stage) outages(rng *rand.Rand) []fault {
	some := s.replicas
	if n := rng.IntN(len(s.replicas) + 1); n < len(s.replicas) {
		some = s.replicas[n : n+1] // the network is split
	}
	wires := func(of func(*balanced) *wire, set func(w *wire, bad bool)) func() func() {
		return func() func() {
			for _, r := range some {
				set(of(r), true)
			}
			return func() {
				for _, r := range some {
					set(of(r), false)
				}
			}
		}
	}
	cut := func(w *wire, bad bool) {
		if bad {
			w.cut()
		} else {
			w.mend()
		}
	}
	postgres, redis := func(r *balanced) *wire { return r.postgres }, func(r *balanced) *wire { return r.redis }
	return []fault{
		{"Postgres: cut", wires(postgres, cut)},
		{"Postgres: stalled", wires(postgres, (*wire).hold)},
		{"Postgres: answers lost", wires(postgres, (*wire).hush)},
		{"Postgres: read-only", s.readOnly},
		{"Postgres: connections ended", func() func() { s.hangUp(); return func() {} }},
		{"Postgres: clock 40 days ahead", func() func() {
			s.sql(`UPDATE skew SET by = '40 days'`)
			return func() { s.sql(`UPDATE skew SET by = '0'`) }
		}},
		{"Redis: cut", wires(redis, cut)},
		{"Redis: stalled", wires(redis, (*wire).hold)},
		{"Redis: answers lost", wires(redis, (*wire).hush)},
		{"Redis: full", s.redisSetting("maxmemory", "1", "0")},
		{"Redis: no writes", s.redisSetting("min-replicas-to-write", "1", "0")},
		{"Redis: SIGSTOP", s.stopRedis},
		{"Redis: crash, entries kept", func() func() { s.do("debug", "crash-and-recover", "100"); return func() {} }},
		{"Redis: replaced by an empty one", s.replaceRedis},
	}
}

// hangUp ends all connections to the database but this test's.
func (s *stage) hangUp() {
	s.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

func (s *stage) readOnly() func() {
	name := strings.TrimPrefix(must(url.Parse(s.postgresAddress)).Path, "/")
	s.sql(`ALTER DATABASE ` + name + ` SET default_transaction_read_only = on`)
	s.hangUp()
	return func() {
		s.sql(`ALTER DATABASE ` + name + ` RESET default_transaction_read_only`)
		s.hangUp()
	}
}

// withRedis calls f with a client of the present Redis, not over a wire.
func (s *stage) withRedis(f func(context.Context, *redis.Client)) {
	options := must(redis.ParseURL(s.redis.URL))
	options.MaxRetries = 5
	client := redis.NewClient(options)
	defer client.Close()
	f(context.Background(), client)
}

func (s *stage) do(args ...any) {
	s.withRedis(func(ctx context.Context, c *redis.Client) { c.Do(ctx, args...) }) // a crash has no answer
}

func (s *stage) redisSetting(name, bad, good string) func() func() {
	return func() func() {
		s.do("config", "set", name, bad)
		return func() { s.do("config", "set", name, good) }
	}
}

func (s *stage) stopRedis() func() {
	pid := 0
	s.withRedis(func(ctx context.Context, c *redis.Client) {
		pid, _ = strconv.Atoi(c.InfoMap(ctx, "server").Item("Server", "process_id"))
	})
	if pid <= 1 {
		s.t.Error("the process of Redis is unknown")
		return func() {}
	}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
}

// replaceRedis stops Redis as a power cut does, and makes the wires lead to an empty one.
func (s *stage) replaceRedis() func() {
	s.redis.Stop()
	s.redis = persistentRedis(s.t)
	for _, r := range s.replicas {
		r.redis.lead(s.socket())
	}
	return func() {}
}
