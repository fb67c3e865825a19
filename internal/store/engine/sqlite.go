package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/stepward/stepward/internal/datafile"
	"github.com/stepward/stepward/internal/idp"
)

// SQLite is a Conn on a SQLite file: one connection that writes, a few that only read, and a lock on the folder,
// because a second process would neither see this one's cache nor wait for its turn.
type SQLite struct {
	writer, reader   *sql.DB
	writing, reading *statements
	lock             *os.File
	closed           atomic.Bool
}

// OpenSQLite opens stepward.db in dir, and creates both if needed. Unless shared is set, it locks dir, and returns
// ErrInUse if another process holds the lock.
func OpenSQLite(ctx context.Context, dir string, shared bool) (_ *SQLite, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	e := &SQLite{}
	if !shared {
		if e.lock, err = lockFile(filepath.Join(dir, "stepward.lock")); err != nil {
			return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
		}
	}
	defer func() {
		if err != nil {
			_ = e.Close()
		}
	}()
	path := filepath.Join(dir, "stepward.db")
	file, err := datafile.Open(path) // SQLite would create it readable for others
	if err != nil {
		return nil, fmt.Errorf("make database file: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("make database file: %w", err)
	}

	// synchronous=FULL, because an answered request must survive a power cut: with NORMAL, the last commits of the WAL may
	// be undone, and a removed passkey, a used link or a rotated refresh token would come back. It costs one fsync a
	// commit.
	if e.writer, err = sql.Open("sqlite", source(path,
		"_txlock=immediate", "_pragma=busy_timeout(5000)", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)",
		"_pragma=foreign_keys(1)", "_pragma=journal_size_limit(67108864)")); err != nil {
		return nil, fmt.Errorf("open writer: %v", err)
	}
	e.writer.SetMaxOpenConns(1)
	if e.reader, err = sql.Open("sqlite", source(path,
		"mode=ro", "_pragma=busy_timeout(5000)", "_pragma=query_only(1)")); err != nil {
		return nil, fmt.Errorf("open reader: %v", err)
	}
	e.reader.SetMaxOpenConns(4)
	e.reader.SetMaxIdleConns(4)
	e.writing, e.reading = newStatements(e.writer), newStatements(e.reader)
	if err := e.Ping(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// source is the URI of a database file (sqlite.org/uri.html); the path may contain any characters.
func source(path string, options ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive letter
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(options, "&")}).String()
}

// Backend implements Conn.
func (e *SQLite) Backend() string { return "sqlite" }

// Limit sets no bound: busy_timeout bounds the only wait.
func (e *SQLite) Limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

// Query implements Conn.
func (e *SQLite) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	query := func(args ...any) (*sql.Rows, error) { return e.reader.QueryContext(ctx, text, args...) }
	if kept := e.reading.prepare(ctx, text); kept != nil {
		query = func(args ...any) (*sql.Rows, error) { return kept.QueryContext(ctx, args...) }
	}
	rows, err := query(normalise(args)...)
	if err != nil {
		return nil, err
	}
	return &sqlRows{rows: rows}, nil
}

// Run is one transaction, BEGIN IMMEDIATE: it takes the write lock before it reads, so nothing that it has read can
// change under it. Only the wait for its turn ends with ctx. A statement takes microseconds, and the driver would start
// a goroutine for each to watch ctx.
func (e *SQLite) Run(ctx context.Context, b *Batch) error {
	for _, s := range b.Statements {
		if !s.many {
			e.writing.prepare(ctx, s.SQL)
		}
	}
	turn, err := e.writer.Conn(ctx)
	if err != nil {
		return e.Translate(ctx, err)
	}
	defer turn.Close() //nolint:errcheck // it only goes back to its pool
	ctx = context.WithoutCancel(ctx)
	tx, err := turn.BeginTx(ctx, nil)
	if err != nil {
		return e.Translate(ctx, err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	readErr, err := e.execute(ctx, tx, b)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return e.Translate(ctx, err)
	}
	return e.Translate(ctx, readErr)
}

// execute runs the statements of a batch in a transaction. readErr is what went wrong with reading rows, not
// translated.
func (e *SQLite) execute(ctx context.Context, tx *sql.Tx, b *Batch) (readErr, err error) {
	for _, s := range b.Statements {
		if s.many {
			continue
		}
		args := normalise(s.Args)
		if s.rows == nil {
			err = e.exec(ctx, tx, s.SQL, args)
		} else {
			var rows *sql.Rows
			if rows, err = e.query(ctx, tx, s.SQL, args); err == nil {
				adapted := &sqlRows{rows: rows}
				if e := s.rows(adapted); readErr == nil {
					readErr = e
				}
				adapted.Close()
				err = adapted.Err()
			}
		}
		if err != nil {
			return readErr, s.failed(e.Translate(ctx, err))
		}
	}
	return readErr, nil
}

// exec runs one statement in a transaction.
func (e *SQLite) exec(ctx context.Context, tx *sql.Tx, text string, args []any) (err error) {
	if kept := e.writing.find(text); kept != nil {
		_, err = tx.StmtContext(ctx, kept).ExecContext(ctx, args...)
	} else {
		_, err = tx.ExecContext(ctx, text, args...)
	}
	return err
}

// query runs one statement in a transaction that returns rows.
func (e *SQLite) query(ctx context.Context, tx *sql.Tx, text string, args []any) (*sql.Rows, error) {
	if kept := e.writing.find(text); kept != nil {
		return tx.StmtContext(ctx, kept).QueryContext(ctx, args...)
	}
	return tx.QueryContext(ctx, text, args...)
}

// Translate implements Conn.
func (e *SQLite) Translate(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return idp.ErrNotFound
	}
	own, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return translateOther(ctx, err, e.closed.Load())
	}
	switch own.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return idp.ErrConflict
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY: // the parent row is gone
		return idp.ErrNotFound
	case lib.SQLITE_CONSTRAINT_NOTNULL:
		return errUnmet
	}
	switch own.Code() & 0xff {
	case lib.SQLITE_ERROR:
		if strings.Contains(own.Error(), "no such table") {
			return ErrOlderSchema
		}
	case lib.SQLITE_INTERRUPT:
		return translateOther(ctx, err, true)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return fmt.Errorf("%w: %v", ErrBusy, err)
	case lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return fmt.Errorf("%w: %v", idp.ErrUnavailable, err)
	}
	return fmt.Errorf("sqlite: %v", err)
}

// Migrate needs no lock of its own: the process holds the lock of the folder, and there is one writer.
func (e *SQLite) Migrate(ctx context.Context, files fs.FS) error {
	return e.Translate(ctx, migrateUp(ctx, e.writer, goose.DialectSQLite3, files))
}

// Ping implements Conn.
func (e *SQLite) Ping(ctx context.Context) error {
	if err := e.writer.PingContext(ctx); err != nil {
		return e.Translate(ctx, err)
	}
	return e.Translate(ctx, e.reader.PingContext(ctx))
}

// Now implements Conn. SQLite runs in this process, so this process's clock is its clock.
func (e *SQLite) Now(context.Context) (time.Time, error) { return time.Now().UTC(), nil }

// Close closes the readers first: the last connection to close folds the WAL into the file.
func (e *SQLite) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	var failed []error
	for _, db := range []*sql.DB{e.reader, e.writer} {
		if db != nil {
			failed = append(failed, db.Close())
		}
	}
	if e.lock != nil {
		failed = append(failed, e.lock.Close())
	}
	return errors.Join(failed...)
}
