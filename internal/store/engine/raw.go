package engine

import (
	"context"
	"database/sql"
	"io"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Raw returns the connection that writes, for whole tables and for the file itself (package transfer).
func (e *SQLite) Raw() *sql.DB { return e.writer }

// Raw runs f with one connection, for whole tables (package transfer).
func (p *Postgres) Raw(ctx context.Context, f func(*pgx.Conn) error) error {
	return p.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return f(c.Conn()) })
}

// LockFolder takes the lock of a data folder, which OpenSQLite takes for a server; ErrInUse if another process has it.
func LockFolder(dir string) (io.Closer, error) {
	lock, err := lockFile(filepath.Join(dir, "stepward.lock"))
	if err != nil { // avoid a non-nil Closer that contains a nil *os.File
		return nil, err
	}
	return lock, nil
}
