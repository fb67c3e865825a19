package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// A wire is a proxy between the store and Postgres. It counts turns (how often the client spoke after the server had),
// can be cut, and can swallow all traffic, as a dead host does.
type wire struct {
	log      bytes.Buffer // of the store
	dir      string       // of its socket
	server   string
	listener net.Listener

	mu          sync.Mutex
	turns       int64
	serverSpoke bool
	silent      bool
	conns       []net.Conn
}

func newWire(t *testing.T, server string) *wire {
	w := &wire{dir: t.TempDir(), server: server}
	w.mend(t)
	t.Cleanup(w.cut)
	return w
}

func (w *wire) mend(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(w.dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	w.listener = listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", filepath.Join(w.server, ".s.PGSQL.5432"))
			if err != nil {
				_ = client.Close()
				return
			}
			w.mu.Lock()
			w.conns = append(w.conns, client, server)
			w.mu.Unlock()
			go w.copy(server, client, false)
			go w.copy(client, server, true)
		}
	}()
}

func (w *wire) copy(to, from net.Conn, fromServer bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		if n > 0 && !fromServer && w.serverSpoke {
			w.turns++
		}
		if n > 0 {
			w.serverSpoke = fromServer
		}
		silent := w.silent
		w.mu.Unlock()
		if silent && err == nil {
			continue
		}
		if _, e := to.Write(buffer[:n]); err != nil || e != nil {
			_ = to.Close()
			return
		}
	}
}

func (w *wire) cut() {
	_ = w.listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// hush swallows all traffic from now on, or lets it through again. A connection that was hushed stays useless: a part
// of it is lost.
func (w *wire) hush(silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = silent
}

func (w *wire) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turns
}

// wired opens a migrated Postgres store behind a wire, with a pool of one connection.
func wired(t *testing.T) (*store.DB, *wire) { return wiredWith(t, 1, 0) }

func wiredWith(t *testing.T, connections int, timeout time.Duration) (*store.DB, *wire) {
	u, err := url.Parse(storetest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	w := newWire(t, query.Get("host"))
	query.Set("host", w.dir)
	query.Set("pool_max_conns", fmt.Sprint(connections))
	u.RawQuery = query.Encode()
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	db, err := store.Open(t.Context(), store.Config{URL: u.String(), StatementTimeout: timeout, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, w
}

func TestARoundTripIsOneOnTheWire(t *testing.T) {
	db, w := wired(t)
	now := time.Now()
	u := idp.NewUser("a@example.org", "A", now)
	k := idp.Passkey{ID: "k", UserID: u.ID, CredentialID: []byte("c"), CreatedAt: now}
	if err := db.EnrolUser(t.Context(), u, k); err != nil {
		t.Fatal(err)
	}
	var hash string
	if err := db.PutClient(t.Context(), idp.Client{ID: "app"}); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"find the passkey": func() error {
			_, _, err := db.PasskeyByCredentialID(t.Context(), k.CredentialID)
			return err
		},
		"record the authentication": func() error {
			_, err := db.RecordAuthentication(t.Context(), k, idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: now}, "app",
				idp.NewEvent(idp.EventSignedIn, u.ID, now))
			return err
		},
		"create a family": func() error {
			f := idp.Family{ID: idp.NewID(), ClientID: "app", UserID: u.ID, HandleHash: idp.NewID(), CurrentHash: "0", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
			hash = f.HandleHash
			token := &store.OpaqueToken{Hash: idp.NewID(), FamilyID: f.ID, ExpiresAt: f.ExpiresAt}
			_, _, err := db.CreateFamily(t.Context(), f, token, idp.NewEvent(idp.EventTokensIssued, u.ID, now))
			return err
		},
		"find nothing": func() error {
			_, _, _, err := db.FamilyByOpaque(t.Context(), "unknown")
			if errors.Is(err, idp.ErrNotFound) {
				return nil
			}
			return err
		},
	}
	for name, call := range calls {
		if err := call(); err != nil { // prepares the statements
			t.Fatal(name, err)
		}
		turns, trips := w.count(), db.RoundTrips()
		if err := call(); err != nil {
			t.Fatal(name, err)
		}
		if turns, trips = w.count()-turns, db.RoundTrips()-trips; turns != 1 || trips != 1 {
			t.Errorf("%s: %d on the wire, %d counted", name, turns, trips)
		}
	}
	rotate := func(presented, next string) {
		if _, _, err := db.RotateFamily(t.Context(), store.FamilyKey{HandleHash: hash}, presented, next, "app", now, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := calls["create a family"](); err != nil {
		t.Fatal(err)
	}
	rotate("0", "1")
	turns := w.count()
	rotate("1", "2")
	if turns = w.count() - turns; turns != 1 {
		t.Errorf("a rotation took %d round trips", turns)
	}
}

func TestALostConnectionIsUnavailableUntilItIsBack(t *testing.T) {
	db, w := wired(t)
	ask := func() error {
		_, err := db.Users(t.Context(), "", 1)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	w.cut()
	for range 3 {
		if err := ask(); !errors.Is(err, idp.ErrUnavailable) {
			t.Fatal(err)
		}
		if err := db.RecordEvents(t.Context(), idp.NewEvent(idp.EventSignedIn, "", time.Now())); !errors.Is(err, idp.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	w.mend(t)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); strings.Count(w.log.String(), "\n") < 2 && time.Since(begin) < 30*time.Second; {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	away, back, _ := strings.Cut(w.log.String(), "\n")
	if !strings.Contains(away, "store is away") || !strings.Contains(back, "store is back") || strings.Count(back, "\n") != 1 {
		t.Errorf("the log:\n%s", w.log.String())
	}
}

func TestASilentServerCostsNoMoreThanTheStatementTimeout(t *testing.T) {
	db, w := wiredWith(t, 4, 200*time.Millisecond)
	defer w.cut() // or closing waits for the dead connections
	ask := func() error {
		_, err := db.Users(t.Context(), "", 1)
		return err
	}
	together := func() { // so that all connections of the pool are open
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = ask() })
		}
		wg.Wait()
	}
	together()
	w.hush(true)
	calls := map[string]func() error{
		"read":  ask,
		"write": func() error { return db.RecordEvents(t.Context(), idp.NewEvent(idp.EventSignedIn, "", time.Now())) },
		"clock": func() error { _, err := db.Now(t.Context()); return err },
		"ping":  func() error { return db.Ping(t.Context()) },
	}
	var longest time.Duration
	for name, call := range calls {
		begin := time.Now()
		if err := call(); !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		took := time.Since(begin)
		if took > 10*time.Second { // the silence never ends
			t.Errorf("%s took %v", name, took)
		}
		longest = max(longest, took)
	}
	w.hush(false)
	dead := 0
	for range 4 {
		if err := ask(); err != nil {
			dead++
			t.Error("a dead connection is still in use: ", err)
		}
	}
	t.Logf("counted: %d calls took up to %v, with a statement timeout of 0.2 s; %d of 4 connections dead afterwards",
		len(calls), longest.Round(100*time.Millisecond), dead)
}

func TestAStatementThatWaitsForALockIsGivenUp(t *testing.T) {
	address := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), store.Config{URL: address, StatementTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	if _, err := other.Exec(t.Context(), "BEGIN; LOCK TABLE journal"); err != nil {
		t.Fatal(err)
	}
	err = db.RecordEvents(t.Context(), idp.NewEvent(idp.EventSignedIn, "", time.Now()))
	if !errors.Is(err, idp.ErrUnavailable) || !strings.Contains(err.Error(), "57014") { // Postgres says so, in its time
		t.Error(err)
	}
}

func TestAnUnreachableServerIsUnavailableAndItsPasswordStaysSecret(t *testing.T) {
	for _, address := range []string{"postgres://u:hunter2@127.0.0.1:1/x", "postgres://u:hunter2@127.0.0.1:1/x?sslmode=nonsense", "postgres://u:hunter2@[/x", "nonsense hunter2"} {
		_, err := store.Open(t.Context(), store.Config{URL: address})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
		if strings.HasSuffix(address, "1/x") && !errors.Is(err, idp.ErrUnavailable) {
			t.Error(err)
		}
	}
}
