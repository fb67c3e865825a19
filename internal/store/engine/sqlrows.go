package engine

import (
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sqlRows makes *sql.Rows a pgx.Rows, as far as the store uses one: its statements scan by position. The embedded
// interface is nil; it provides the methods that are never called.
type sqlRows struct {
	pgx.Rows
	rows *sql.Rows
	err  error
}

func (r *sqlRows) Next() bool {
	if r.rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Scan closes the rows on an error, as pgx does, but keeps Err for the engine's own errors: a failed read does not undo
// a batch.
func (r *sqlRows) Scan(dest ...any) error {
	err := r.rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *sqlRows) Close() {
	_ = r.rows.Close()
	if r.err == nil {
		r.err = r.rows.Err()
	}
}

func (r *sqlRows) Err() error                                   { return r.err }
func (r *sqlRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r *sqlRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
