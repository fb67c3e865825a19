// Package storetest opens stores for tests, and starts the database servers that they need.
package storetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stepward/stepward/internal/store"
)

// Open returns a fresh, migrated SQLite store in a folder of its own. It works inside a synctest bubble.
func Open(t testing.TB) *store.DB {
	t.Helper()
	dir := t.TempDir()
	migrated, err := migratedFile()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, fileName), migrated, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return open(t, store.Config{Dir: dir})
}

const fileName = "stepward.db"

// migratedFile returns the file of a migrated store. Most of the time of a quick test would be spent on migrations.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "stepward-migrated-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background() // it outlives the test that needs it first
	db, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(db.Migrate(ctx), db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, fileName))
})

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
