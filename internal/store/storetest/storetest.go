// Package storetest opens stores for tests and holds the suite that every engine passes.
package storetest

import (
	"testing"

	"github.com/stepward/stepward/internal/store"
)

// Open returns a fresh, migrated SQLite store.
func Open(t testing.TB) *store.DB { t.Fatal("being written"); return nil }

// OpenPostgres returns a fresh, migrated Postgres store.
func OpenPostgres(t testing.TB) *store.DB { t.Fatal("being written"); return nil }

// PostgresURL returns a fresh, empty database of a throw-away server.
func PostgresURL(t testing.TB) string { t.Fatal("being written"); return "" }

// Each runs f on both engines.
func Each(t *testing.T, f func(*testing.T, *store.DB)) { t.Fatal("being written") }
