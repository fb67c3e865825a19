package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// A ping succeeds in each of these states.
func TestAPostgresThatTakesNoWritesIsReportedWithTheReason(t *testing.T) {
	var named, pinged int
	defer func() {
		t.Logf("counted: %d faults of Postgres named, of 2; a ping sees %d of them", named, 2-pinged)
	}()
	for want, change := range map[string]string{
		"read_only": "ALTER DATABASE %s SET default_transaction_read_only = on",
		"refused":   "ALTER DATABASE %s SET search_path = elsewhere",
	} {
		t.Run(want, func(t *testing.T) {
			address := storetest.PostgresURL(t)
			db, err := store.Open(t.Context(), store.Config{URL: address})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("a good database: %v", err)
			}
			_ = db.Close()
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), fmt.Sprintf(change, strings.TrimPrefix(u.Path, "/"))); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close(t.Context())
			if db, err = store.Open(t.Context(), store.Config{URL: address}); err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			} else {
				pinged++
			}
			err = db.Check(t.Context())
			if fault, ok := errors.AsType[*idp.StoreFault](err); !ok || fault.Word != want || !errors.Is(err, idp.ErrUnavailable) {
				t.Errorf("check: %v", err)
				return
			}
			named++
		})
	}
}

// At its limit Postgres refuses new connections. Those that are open go on.
func TestAPostgresAtItsConnectionLimitIsReportedWithTheReason(t *testing.T) {
	t.Parallel()
	server := storetest.NewLone(t, "max_connections = 4\nsuperuser_reserved_connections = 0", nil)
	db, err := store.Open(t.Context(), store.Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var open []*pgx.Conn
	fill := func() {
		for {
			conn, err := pgx.Connect(t.Context(), server.URL())
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
			open = append(open, conn)
		}
	}
	if fill(); len(open) == 0 {
		t.Fatal("no connection is free")
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("over the connection that is open: %v", err)
	}
	late, err := store.Open(t.Context(), store.Config{URL: server.URL()})
	if err == nil {
		_ = late.Close()
	}
	if !errors.Is(err, idp.ErrUnavailable) || !strings.Contains(err.Error(), "too many clients") {
		t.Errorf("one more replica: %v", err)
	}
	var fault *idp.StoreFault
	for deadline := time.Now().Add(30 * time.Second); fault == nil || fault.Word != "full"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after losing its connections: %v", fault)
		}
		// a connection ends a moment after it is told to, and the pool may have opened another one
		if _, err := open[0].Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stepward'`); err != nil {
			t.Fatal(err)
		}
		fill()
		fault, _ = errors.AsType[*idp.StoreFault](db.Check(t.Context()))
	}
	if !errors.Is(fault, idp.ErrUnavailable) {
		t.Errorf("after losing its connections: %v", fault)
	}
}

func TestALostPostgresIsDownAndComesBack(t *testing.T) {
	db, w := wired(t)
	w.cut()
	if fault, ok := errors.AsType[*idp.StoreFault](db.Check(t.Context())); !ok || fault.Word != "down" {
		t.Errorf("cut: %v", fault)
	}
	w.mend(t)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestTheEmbeddedDatabaseIsChecked(t *testing.T) {
	db := storetest.Open(t)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("a good file: %v", err)
	}
	_ = db.Close()
	if fault, ok := errors.AsType[*idp.StoreFault](db.Check(t.Context())); !ok || fault.Word != "down" {
		t.Errorf("a closed file: %v", fault)
	}
}
