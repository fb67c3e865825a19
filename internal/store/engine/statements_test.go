package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// These tests are inside the package: which statements are kept is not to be seen from outside.

func openTable(t *testing.T) *SQLite {
	t.Helper()
	e, err := OpenSQLite(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if _, err := e.Raw().ExecContext(t.Context(), `CREATE TABLE things (name TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *SQLite) put(ctx context.Context, name string) error {
	var b Batch
	b.Do(`INSERT INTO things (name) VALUES ($1)`, name)
	return e.Run(ctx, &b)
}

func (e *SQLite) count(ctx context.Context, where string, args ...any) (n int64, err error) {
	rows, err := e.Query(ctx, `SELECT count(*) FROM things WHERE `+where, args...)
	if err != nil {
		return 0, err
	}
	return pgx.CollectOneRow(rows, pgx.RowTo[int64])
}

func TestStatementsAreCompiledOnce(t *testing.T) {
	e := openTable(t)
	for range 3 {
		if err := e.put(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.count(t.Context(), "name = $1", "one"); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.writing.kept) != 1 || len(e.reading.kept) != 1 {
		t.Errorf("%d and %d statements are kept, want 1 and 1", len(e.writing.kept), len(e.reading.kept))
	}
	if n, err := e.count(t.Context(), "name = $1", "one"); n != 3 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestKeptStatementsHaveALimitAndWorkBeyondIt(t *testing.T) {
	e := openTable(t)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range maxStatements {
				if n, err := e.count(t.Context(), fmt.Sprintf("%d = %d", i, worker)); n != 0 || err != nil {
					t.Error(n, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(e.reading.kept); n > maxStatements+3 { // a worker may have looked before another one added
		t.Errorf("%d statements are kept", n)
	}
}

func TestAKeptStatementFollowsTheSchema(t *testing.T) {
	e := openTable(t)
	if _, err := e.count(t.Context(), "name <> ''"); err != nil {
		t.Fatal(err)
	}
	if err := e.put(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		`ALTER TABLE things ADD COLUMN size INTEGER NOT NULL DEFAULT 7`, `CREATE INDEX things_name ON things (name)`,
	} {
		if _, err := e.Raw().ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if err := e.put(t.Context(), "after"); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := e.count(t.Context(), "name <> ''"); n != 3 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	if _, err := e.Raw().ExecContext(t.Context(), `DROP TABLE things`); err != nil {
		t.Fatal(err)
	}
	if _, err := e.count(t.Context(), "name <> ''"); !errors.Is(e.Translate(t.Context(), err), ErrOlderSchema) {
		t.Errorf("without the table: %v", err)
	}
	if err := e.put(t.Context(), "late"); !errors.Is(err, ErrOlderSchema) {
		t.Errorf("without the table: %v", err)
	}
}

func TestOnlyTheWaitForTheTurnEndsWithTheContext(t *testing.T) {
	e := openTable(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := e.Transact(t.Context(), func(Conn) error {
		waits := make(chan error)
		go func() { waits <- e.put(ctx, "given up") }()
		cancel()
		return <-waits
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	var b Batch
	b.Do(`INSERT INTO things (name) VALUES ($1)`, "first")
	b.Read(func(pgx.Rows) error { cancel(); return nil }, `SELECT 1`)
	b.Do(`INSERT INTO things (name) VALUES ($1)`, "second")
	if err := e.Run(ctx, &b); err != nil {
		t.Errorf("a caller who leaves in the middle: %v", err)
	}
	if n, err := e.count(t.Context(), "name <> ''"); n != 2 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}
