// Package store keeps what must last: users, passkeys, clients, grants, families of tokens, signing keys, links, events and the
// mail outbox. The SQL is written once, in the subset that Postgres and SQLite share; postgres.go and sqlite.go hold all that differs.
//
// One method is one transaction, and the events of a change are written inside it. A rule that must hold under
// concurrency is a constraint, a conditional statement, or a demand of a [batch]. Errors are those of package idp and of this
// package; what a driver says is kept as text for the log and goes no further.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// Config says where the data lives.
type Config struct {
	URL string // postgres://…, version 15 or later; empty: embedded
	Dir string // embedded: the data folder; stepward.db is made in it
	// Shared works beside the server that holds the data folder instead of taking it: for the operator's commands.
	Shared bool
	// EventRetention is how long events and authentications are kept; zero: 400 days, a year and the time to notice.
	EventRetention time.Duration
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

const defaultRetention = 400 * 24 * time.Hour

// DB is the durable store. It is safe for concurrent use.
type DB struct {
	conn       conn
	roundTrips atomic.Int64
	retention  time.Duration
	clients    *clientCache
	logouts    chan struct{} // holds one token while something new may be in the logout outbox
}

// conn is what both engines offer, in pgx idiom. Its methods translate what their drivers say.
type conn interface {
	backend() string
	// query runs one statement that changes nothing. Errors also come from the rows: pass them to translate.
	query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	// run executes a batch in one transaction; on Postgres that is one round trip.
	run(ctx context.Context, b *batch) error
	// translate turns a driver's error into one of ours; nil stays nil.
	translate(ctx context.Context, err error) error
	// migrate brings the schema up to date while no other process does.
	migrate(ctx context.Context) error
	ping(ctx context.Context) error
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
		db.conn, err = openPostgres(ctx, c.URL)
	} else {
		db.conn, err = openSQLite(ctx, c.Dir, c.Shared)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return db, nil
}

// Backend returns "postgres" or "sqlite".
func (db *DB) Backend() string { return db.conn.backend() }

// Ping reports whether the store can be reached: nil or idp.ErrUnavailable.
func (db *DB) Ping(ctx context.Context) error {
	db.roundTrips.Add(1)
	return stepErr("ping store", db.conn.ping(ctx))
}

// RoundTrips returns how often the store has been asked so far, for the tests that hold the budget. What a connection costs
// once (connecting, preparing a statement on first use) is not in it.
func (db *DB) RoundTrips() int64 { return db.roundTrips.Load() }

// Close waits for what is running and closes the store; once is enough.
func (db *DB) Close() error { return stepErr("close store", db.conn.close()) }

// list collects the rows of a statement that changes nothing.
func list[T any](ctx context.Context, db *DB, step string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	db.roundTrips.Add(1)
	rows, err := db.conn.query(ctx, sql, args...)
	if err != nil {
		return nil, stepErr(step, db.conn.translate(ctx, err))
	}
	values, err := pgx.CollectRows(rows, scan)
	return values, stepErr(step, db.conn.translate(ctx, err))
}

// one is list for at most one row; idp.ErrNotFound if there is none.
func one[T any](ctx context.Context, db *DB, step string, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	db.roundTrips.Add(1)
	rows, err := db.conn.query(ctx, sql, args...)
	if err != nil {
		return *new(T), stepErr(step, db.conn.translate(ctx, err))
	}
	value, err := pgx.CollectOneRow(rows, scan)
	return value, stepErr(step, db.conn.translate(ctx, err))
}

// run executes a batch.
func (db *DB) run(ctx context.Context, step string, b *batch) error {
	db.roundTrips.Add(1)
	return stepErr(step, db.conn.run(ctx, b))
}

func stepErr(step string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", step, err)
}
