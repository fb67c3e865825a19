package store_test

import (
	"sync"
	"testing"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestBehindPgBouncerTokensAreKept(t *testing.T) {
	t.Parallel()
	storetest.RunTokens(t, storetest.StartPgBouncer(t, "transaction", 8).Open)
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
