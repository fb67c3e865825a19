package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// A pooler with other clients hands its connections to anybody in turn.
func TestAPoolerIsNoticedWhateverItsOtherClientsDo(t *testing.T) {
	t.Parallel()
	at := storetest.StartPgBouncer(t, "transaction", 3).URL(t, storetest.PostgresURL(t))
	config, err := pgx.ParseConfig(at + "&default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	stop, neighbours := make(chan struct{}), sync.WaitGroup{}
	for range 3 {
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		neighbours.Go(func() {
			defer conn.Close(context.WithoutCancel(t.Context()))
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := conn.Exec(t.Context(), "SELECT 1"); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 20 {
		db, err := store.Open(t.Context(), store.Config{URL: at})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Migrate(t.Context()), db.Check(t.Context()), db.Check(t.Context()), db.Close()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	neighbours.Wait()
}

func TestBehindPgBouncerTokensAreKept(t *testing.T) {
	t.Parallel()
	runTokens(t, storetest.StartPgBouncer(t, "transaction", 8).Open)
}

func TestReplicasBehindPgBouncerMigrateOnce(t *testing.T) {
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			migrateAtOnce(t, storetest.StartPgBouncer(t, mode, 24).URL(t, storetest.PostgresURL(t)))
		})
	}
}

// migrateAtOnce lets four replicas migrate a database together.
func migrateAtOnce(t *testing.T, url string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), store.Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
