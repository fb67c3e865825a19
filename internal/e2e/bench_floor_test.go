package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/e2e/floor"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/store/storetest"
)

// runFloor is the process of the bare server.
func runFloor() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := floor.New(ctx, os.Getenv("STEPWARD_ISSUER"), os.Getenv("STEPWARD_DATABASE_URL"), os.Getenv("STEPWARD_REDIS_URL"))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := serveStats(func(*stats) {}, func(*stats) {}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", os.Getenv("STEPWARD_LISTEN"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { <-ctx.Done(); _ = server.Close() }()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// registerFloor gives the bare server its users, which have passkeys but never signed up.
func (x *bench) registerFloor() {
	issuer, err := url.Parse(x.issuer)
	if err != nil {
		x.b.Fatal(err)
	}
	for i := range benchUsers + 1 {
		p := x.key
		if i > 0 {
			p = newPerson(x.b, x.issuer, appCallback)
			x.others = append(x.others, p)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			x.b.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			x.b.Fatal(err)
		}
		k := floor.Passkey{ID: []byte(rand.Text()), Key: point, User: rand.Text()}
		p.key.Passkeys = append(p.key.Passkeys, &passkeytest.Passkey{
			ID: k.ID, RPID: issuer.Hostname(), UserHandle: []byte(k.User), Algorithm: passkeytest.ES256, Key: key,
		})
		body, err := json.Marshal(k)
		if err != nil {
			x.b.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, x.issuer+"/passkeys", strings.NewReader(string(body)))
		if err != nil {
			x.b.Fatal(err)
		}
		x.send(r)
	}
	x.key.through(x.key.open(x.authURL("")))
}

// storeFolders returns the folders in which the processes of these stores run. Other programs' stores on this machine
// must not count.
func storeFolders(tb testing.TB, database, redis string) []string {
	d, err := url.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	return []string{
		filepath.Join(d.Query().Get("host"), "data"), filepath.Dir(strings.TrimPrefix(redis, "unix://")),
	}
}

// storeCPU is the processor time so far of all processes that run in these folders (proc(5)): one for each connection to
// Postgres, and one of Redis. Connections are kept, so none of it gets lost.
func storeCPU(folders []string) (total time.Duration) {
	working, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range working {
		folder, err := os.Readlink(link)
		if err != nil {
			continue
		}
		for _, f := range folders {
			if f != folder {
				continue
			}
			threads, _ := filepath.Glob(filepath.Join(filepath.Dir(link), "task/*/schedstat"))
			for _, thread := range threads {
				content, _ := os.ReadFile(thread)
				ns, _, _ := strings.Cut(string(content), " ")
				n, _ := strconv.ParseInt(ns, 10, 64)
				total += time.Duration(n)
			}
		}
	}
	return total
}

// keptIn measures what n operations leave in a Postgres database, without dead rows: the function it returns tells, when
// they are done, how many bytes and index entries each has added.
func keptIn(tb testing.TB, database string, n int) func() (bytes, entries float64) {
	measure := func() (size, entries float64) {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, database)
		if err != nil {
			tb.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, `VACUUM (FULL, ANALYZE)`); err != nil {
			tb.Fatal(err)
		}
		err = conn.QueryRow(ctx, `SELECT sum(pg_relation_size(oid)), sum(reltuples) FILTER (WHERE relkind = 'i')
			FROM pg_class WHERE relkind IN ('r', 'i', 't') AND relnamespace = 'public'::regnamespace`).Scan(&size, &entries)
		if err != nil {
			tb.Fatal(err)
		}
		return size, entries
	}
	sizeBefore, entriesBefore := measure()
	return func() (bytes, entries float64) {
		size, after := measure()
		return (size - sizeBefore) / float64(n), (after - entriesBefore) / float64(n)
	}
}

// passkeyIn returns the bytes of a passkey in its table, without indexes.
func passkeyIn(tb testing.TB, database string) (bytes float64) {
	tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	const padding, pointer = 8, 4
	err = conn.QueryRow(ctx, `SELECT avg((pg_column_size(k.*) + $1 - 1) / $1 * $1 + $2)::float8 FROM passkeys k`, padding, pointer).Scan(&bytes)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes
}

func TestTheBareServerAnswersEveryRow(t *testing.T) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	issuer := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	bare, err := floor.New(t.Context(), issuer, storetest.PostgresURL(t), ephemeraltest.RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	handler = bare.Handler()
	x := newBench(t, issuer, "", nil)
	x.registerFloor()
	for _, o := range operations {
		if o.ours {
			continue
		}
		op := o.op(x, 2)
		op(0)
		op(1)
	}
	access := x.token().AccessToken
	if body := x.post(issuer+"/oauth2/introspect", url.Values{"token": {access}}, ""); !strings.Contains(string(body), `"active":true`) {
		t.Errorf("a new token is %s", body)
	}
	x.refuse(url.Values{"token": {access + "A"}})
}

// refuse introspects a token that the bare server must not accept: the signature is part of what it measures.
func (x *bench) refuse(form url.Values) {
	resp, err := http.PostForm(x.issuer+"/oauth2/introspect", form)
	if err != nil {
		x.b.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		x.b.Errorf("a broken token gets %s", resp.Status)
	}
}
