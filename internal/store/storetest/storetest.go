// Package storetest opens stores for tests and holds the suite that every engine passes.
package storetest

import (
	"testing"

	"github.com/stepward/stepward/internal/store"
)

// Open returns a fresh, migrated SQLite store in a folder of its own. It works inside a synctest bubble.
func Open(t testing.TB) *store.DB {
	t.Helper()
	return open(t, store.Config{Dir: t.TempDir()})
}

// OpenPostgres returns a fresh, migrated Postgres store. It does not work in synctest bubbles: waiting for a socket
// does not block durably. Without Postgres it skips the test, as PostgresURL does.
func OpenPostgres(t testing.TB) *store.DB {
	t.Helper()
	return open(t, store.Config{URL: database(t, template)})
}

// Each runs f on both engines.
func Each(t *testing.T, f func(*testing.T, *store.DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, OpenPostgres(t)) })
}

func open(t testing.TB, c store.Config) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}
