package ephemeral

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stepward/stepward/internal/datafile"
	"github.com/stepward/stepward/internal/outage"
)

// Every statement checks expiry itself, so an expired row is invisible even before it is swept.
const (
	sqliteSchema = `
CREATE TABLE IF NOT EXISTS entries (
	key TEXT PRIMARY KEY, value BLOB NOT NULL, expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires);
CREATE TABLE IF NOT EXISTS members (
	key TEXT, member TEXT, expires INTEGER NOT NULL, PRIMARY KEY (key, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_expires ON members (expires);`

	putSQL = `INSERT INTO entries (key, value, expires) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires`
	getSQL   = `SELECT value FROM entries WHERE key = $1 AND expires > $2`
	takeSQL  = `DELETE FROM entries WHERE key = $1 AND expires > $2 RETURNING value`
	claimSQL = `INSERT INTO entries (key, value, expires) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires WHERE entries.expires <= $4`
	swapSQL   = `UPDATE entries SET value = $2, expires = $3 WHERE key = $1 AND expires > $4 AND value = $5`
	deleteSQL = `DELETE FROM entries WHERE key = $1 AND expires > $2`
	addSQL    = `INSERT INTO members (key, member, expires) VALUES ($1, $2, $3)
		ON CONFLICT (key, member) DO UPDATE SET expires = excluded.expires`
	membersSQL = `SELECT member FROM members WHERE key = $1 AND expires > $2 ORDER BY expires, member`
	removeSQL  = `DELETE FROM members WHERE key = $1 AND member = $2`

	sweepEntriesSQL = `DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE expires <= $1 LIMIT $2)`
	sweepMembersSQL = `DELETE FROM members WHERE (key, member) IN
		(SELECT key, member FROM members WHERE expires <= $1 LIMIT $2)`
)

const (
	sweepEvery = 5 * time.Minute
	sweepBite  = 500 // rows per statement, so that nobody waits long for the connection
)

// SQLite is the Store of the embedded profile: one file, one process. Sessions survive a restart; counters do not.
//
// It writes with synchronous=NORMAL. A crash of the process loses nothing; a power cut may undo the last moments, like
// a Redis that syncs every second. FULL would cost a disk flush for every challenge. OFF saves little more and may
// damage the file, so that the provider does not start.
type SQLite struct {
	db       *sql.DB
	conn     *sql.Conn     // the only one
	turn     chan struct{} // held while using conn or counters; Close never releases it
	closed   chan struct{}
	swept    chan struct{} // closed when the sweeper returns
	counters counters
	prepared map[string]*sql.Stmt
	trips    atomic.Int64
	log      *slog.Logger
	watch    *outage.Watch
	form
}

// Log implements Store.
func (s *SQLite) Log() *slog.Logger { return s.log }

var _ Store = (*SQLite)(nil)

// OpenSQLite opens or creates the file, readable only by its owner, and starts the sweeper, which Close stops. log is
// for background work; nil: slog.Default.
func OpenSQLite(ctx context.Context, path string, log *slog.Logger) (*SQLite, error) {
	s, err := openSQLite(ctx, path)
	if e, ok := errors.AsType[*sqlite.Error](err); ok &&
		(e.Code()&0xff == sqlite3.SQLITE_NOTADB || e.Code()&0xff == sqlite3.SQLITE_CORRUPT) {
		return nil, fmt.Errorf(
			"open %s: %w; remove it to start again: everyone must sign in again, and nothing else is lost", path, err,
		)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s.log = cmp.Or(log, slog.Default())
	s.watch = outage.New(s.log, "ephemeral.db")
	go s.sweep()
	return s, nil
}

func openSQLite(ctx context.Context, path string) (_ *SQLite, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := datafile.Open(path) // SQLite gives -wal and -shm the same mode
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	query := url.Values{"_pragma": {"busy_timeout(1000)", "journal_mode(wal)", "synchronous(normal)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, err
	}
	s := &SQLite{
		db: db, turn: make(chan struct{}, 1), closed: make(chan struct{}), swept: make(chan struct{}),
		counters: counters{}, prepared: map[string]*sql.Stmt{},
	}
	defer func() {
		if err != nil {
			_ = s.disconnect()
		}
	}()
	if s.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	if _, err = s.conn.ExecContext(ctx, sqliteSchema); err != nil {
		return nil, err
	}
	for _, text := range []string{
		"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", putSQL, getSQL, takeSQL, claimSQL, swapSQL, deleteSQL,
		addSQL, membersSQL, removeSQL, sweepEntriesSQL, sweepMembersSQL,
	} {
		if s.prepared[text], err = s.conn.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// take waits for the turn. This is the only point where a cancelled caller gives up: a statement takes microseconds,
// and watching ctx would cost more.
func (s *SQLite) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.closed:
		return sql.ErrConnDone
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *SQLite) give() { <-s.turn }

// Do implements Store.
func (s *SQLite) Do(ctx context.Context, ops ...*Op) error {
	if err := check(ops); err != nil || len(ops) == 0 {
		return err
	}
	s.trips.Add(1)
	if err := s.take(ctx); err != nil {
		return unavailable(err)
	}
	defer s.give()
	begin := time.Now()
	if err := s.transact(ops); err != nil { // a full disk, for example
		err = unavailable(err)
		s.watch.Failed(begin, err)
		return err
	}
	s.watch.Answered(begin)
	return nil
}

// transact runs ops in one transaction if more than one uses the file. A single statement is a transaction by itself.
func (s *SQLite) transact(ops []*Op) (err error) {
	onDisk := 0
	for _, op := range ops {
		if op.Verb != Count {
			onDisk++
		}
	}
	if onDisk > 1 {
		if _, err := s.exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				_, err = s.exec("COMMIT")
			}
			if err != nil {
				_, _ = s.exec("ROLLBACK") // fails if SQLite has already rolled back
			}
		}()
	}
	now := time.Now()
	for _, op := range ops {
		if err := s.run(op, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *SQLite) run(op *Op, at time.Time) (err error) {
	now, expires := at.UnixMilli(), at.Add(op.TTL).UnixMilli()
	switch op.Verb {
	case Put:
		_, err = s.exec(putSQL, op.Key, blob(op.Value), expires)
	case Get:
		op.Found, op.Result, err = s.value(getSQL, op.Key, now)
	case Take:
		op.Found, op.Result, err = s.value(takeSQL, op.Key, now)
	case Claim:
		op.Found, err = s.exec(claimSQL, op.Key, blob(op.Value), expires, now)
	case Swap:
		op.Found, err = s.exec(swapSQL, op.Key, blob(op.Value), expires, now, blob(op.Old))
	case Delete:
		op.Found, err = s.exec(deleteSQL, op.Key, now)
	case Count:
		op.N = s.counters.add(op.Key, op.TTL, at)
	case Add:
		if _, err = s.exec(addSQL, op.Key, op.Member, expires); err == nil {
			op.Members, err = s.members(op.Key, now)
		}
	case Members:
		op.Members, err = s.members(op.Key, now)
	case Remove:
		_, err = s.exec(removeSQL, op.Key, op.Member)
	}
	return err
}

// blob prevents nil from becoming NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// exec runs a statement and reports whether it changed a row.
func (s *SQLite) exec(text string, args ...any) (bool, error) {
	result, err := s.prepared[text].Exec(args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// value runs a statement that returns at most one value. It reads to the end, because only then is a DELETE committed.
func (s *SQLite) value(text string, args ...any) (found bool, value []byte, err error) {
	rows, err := s.prepared[text].Query(args...)
	if err != nil {
		return false, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		found = true
		if err := rows.Scan(&value); err != nil {
			return false, nil, err
		}
	}
	return found, value, rows.Err()
}

func (s *SQLite) members(key string, now int64) (members []string, err error) {
	rows, err := s.prepared[membersSQL].Query(key, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var member string
		if err := rows.Scan(&member); err != nil {
			return nil, err
		}
		members = append(members, member)
	}
	return members, rows.Err()
}

// Now implements Store. The only clock is this process's.
func (s *SQLite) Now(context.Context) (time.Time, error) { return time.Now().UTC(), nil }

// Used implements Store. Pages that are free in the file do not count.
func (s *SQLite) Used(ctx context.Context) (used, most int64, err error) {
	if err := s.take(ctx); err != nil {
		return 0, 0, unavailable(err)
	}
	defer s.give()
	err = s.conn.QueryRowContext(ctx,
		`SELECT (c.page_count - f.freelist_count) * s.page_size
		FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s`,
	).Scan(&used)
	if err != nil {
		return 0, 0, unavailable(err)
	}
	return used, 0, nil
}

// RoundTrips implements Store.
func (s *SQLite) RoundTrips() int64 { return s.trips.Load() }

// Ping implements Store.
func (s *SQLite) Ping(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return unavailable(err)
	}
	defer s.give()
	if _, _, err := s.value(getSQL, "", 0); err != nil {
		return unavailable(err)
	}
	return nil
}

// Close implements Store.
func (s *SQLite) Close() error {
	if err := s.take(context.Background()); err != nil {
		return nil // already closed
	}
	close(s.closed)
	<-s.swept
	return s.disconnect()
}

func (s *SQLite) disconnect() error {
	var errs []error
	for _, stmt := range s.prepared {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}
