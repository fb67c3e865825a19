// Package store keeps what must last: users, passkeys, clients, grants, families of tokens, signing keys, links, events and the
// mail outbox. The SQL is written once, in the subset that Postgres and SQLite share; postgres.go and sqlite.go hold all that differs.
//
// One method is one transaction, and the events of a change are written inside it. A rule that must hold under
// concurrency is a constraint, a conditional statement, or a demand of a [batch]. Errors are those of package idp and of this
// package; what a driver says is kept as text for the log and goes no further.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/outage"
)

// Config says where the data lives.
type Config struct {
	URL string // postgres://…, version 15 or later; empty: embedded
	Dir string // embedded: the data folder; stepward.db is made in it
	// Shared works beside the server that holds the data folder instead of taking it: for the operator's commands.
	Shared bool
	// EventRetention is how long events and authentications are kept; zero: 400 days, a year and the time to notice.
	EventRetention time.Duration
	// StatementTimeout is how long a statement may take on Postgres; zero: as long as it needs, for the operator's
	// commands.
	StatementTimeout time.Duration
	// Log hears when the store goes away and when it is back; nil: slog.Default.
	Log *slog.Logger
}

// Errors of this package, beside those of idp.
var (
	// ErrNewerSchema says that a newer version of the program has changed the database: this one must not touch it.
	ErrNewerSchema = errors.New("the database belongs to a newer version of stepward")
	// ErrOlderSchema says that Migrate has to run first.
	ErrOlderSchema = errors.New("the database is not migrated")
	// ErrInUse says that another process holds the data folder.
	ErrInUse = errors.New("the data folder is in use by another process")
	// ErrTooManyPasskeys says that the user has MaxPasskeys already.
	ErrTooManyPasskeys = errors.New("too many passkeys")
)

// errBusy is an idp.ErrUnavailable of a store that answers: it gave up this statement.
var errBusy = fmt.Errorf("%w: busy", idp.ErrUnavailable)

const defaultRetention = 400 * 24 * time.Hour

// DB is the durable store. It is safe for concurrent use.
type DB struct {
	conn       conn
	roundTrips atomic.Int64
	retention  time.Duration
	clients    *clientCache
	watch      *outage.Watch
	logouts    chan struct{} // holds one token while something new may be in the logout outbox
}

// conn is what both engines offer, in pgx idiom. Its methods translate what their drivers say.
type conn interface {
	backend() string
	// limit bounds how long one call of the methods below may take.
	limit(ctx context.Context) (context.Context, context.CancelFunc)
	// query runs one statement that changes nothing. Errors also come from the rows: pass them to translate.
	query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	// run executes a batch in one transaction; on Postgres that is one round trip.
	run(ctx context.Context, b *batch) error
	// translate turns a driver's error into one of ours; nil stays nil.
	translate(ctx context.Context, err error) error
	// migrate brings the schema up to date while no other process does.
	migrate(ctx context.Context) error
	ping(ctx context.Context) error
	// now is the database's clock.
	now(ctx context.Context) (time.Time, error)
	check(ctx context.Context) *idp.StoreFault
	close() error
}

// Open opens the store and checks that it can be reached. It does not migrate: see [DB.Migrate].
func Open(ctx context.Context, c Config) (*DB, error) {
	db := &DB{retention: c.EventRetention, clients: newClientCache(), logouts: make(chan struct{}, 1)}
	if db.retention == 0 {
		db.retention = defaultRetention
	}
	var err error
	if c.URL != "" {
		db.conn, err = openPostgres(ctx, c.URL, c.StatementTimeout)
	} else {
		db.conn, err = openSQLite(ctx, c.Dir, c.Shared)
	}
	if err != nil {
		return nil, err
	}
	db.watch = outage.New(cmp.Or(c.Log, slog.Default()), db.Backend())
	return db, nil
}

// Backend returns "postgres" or "sqlite".
func (db *DB) Backend() string { return db.conn.backend() }

// Ping reports whether the store can be reached: nil or idp.ErrUnavailable.
func (db *DB) Ping(ctx context.Context) error {
	return db.ask(ctx, "ping store", db.conn.ping)
}

// RoundTrips returns how often the store has been asked so far, for the tests that hold the budget. What a connection costs
// once (connecting, preparing a statement on first use) is not in it.
func (db *DB) RoundTrips() int64 { return db.roundTrips.Load() }

// Close waits for what is running and closes the store; once is enough.
func (db *DB) Close() error { return stepErr("close store", db.conn.close()) }

// list collects the rows of a statement that changes nothing.
func list[T any](ctx context.Context, db *DB, step string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	var values []T
	err := db.ask(ctx, step, func(ctx context.Context) error {
		rows, err := db.conn.query(ctx, sql, args...)
		if err == nil {
			values, err = pgx.CollectRows(rows, scan)
		}
		return db.conn.translate(ctx, err)
	})
	return values, err
}

// one is list for at most one row; idp.ErrNotFound if there is none.
func one[T any](ctx context.Context, db *DB, step string, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	var value T
	err := db.ask(ctx, step, func(ctx context.Context) error {
		rows, err := db.conn.query(ctx, sql, args...)
		if err == nil {
			value, err = pgx.CollectOneRow(rows, scan)
		}
		return db.conn.translate(ctx, err)
	})
	return value, err
}

// run executes a batch.
func (db *DB) run(ctx context.Context, step string, b *batch) error {
	return db.ask(ctx, step, func(ctx context.Context) error { return db.conn.run(ctx, b) })
}

// ask makes one round trip, bounds it, and notes whether the store answered. Its errors are translated.
func (db *DB) ask(ctx context.Context, step string, question func(context.Context) error) error {
	db.roundTrips.Add(1)
	limited, cancel := db.conn.limit(ctx)
	defer cancel()
	begin := time.Now()
	err := question(limited)
	switch {
	case !errors.Is(err, idp.ErrUnavailable) && !errors.Is(err, context.Canceled):
		db.watch.Answered(begin)
	case ctx.Err() == nil && !errors.Is(err, errBusy): // else the caller left, which says nothing about the store
		db.watch.Failed(begin, err)
	}
	return stepErr(step, err)
}

func stepErr(step string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", step, err)
}
