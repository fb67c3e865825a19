// Package ephemeraltest contains the test suite for every ephemeral.Store, and temporary stores for other tests.
package ephemeraltest

import (
	"path/filepath"
	"testing"

	"github.com/stepward/stepward/internal/ephemeral"
)

// Open returns a fresh embedded store, closed with the test. It works inside a synctest bubble too.
func Open(t testing.TB) *ephemeral.SQLite {
	t.Helper()
	s, err := ephemeral.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "ephemeral.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
