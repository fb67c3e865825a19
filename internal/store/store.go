// Package store keeps the durable data: users, passkeys, clients, grants, families of tokens, signing keys, links,
// events and the mail outbox. The SQL is written once, in the subset that Postgres and SQLite share; package engine
// holds the differences.
//
// One method is one transaction, and the events of a change are written inside it. A rule that must hold under
// concurrency is a constraint, a conditional statement, or a demand of a [batch]. Errors are those of package idp and
// of this package; the text of a driver's error is kept for the log and goes no further.
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
	"github.com/stepward/stepward/internal/store/clientcache"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/rows"
)

// Config says where the data lives.
type Config struct {
	URL string // postgres://…, version 15 or later; empty: embedded
	Dir string // embedded: the data folder; stepward.db is made in it
	// Shared opens the data folder beside the server that has locked it, without taking the lock: for the operator's
	// commands.
	Shared bool
	// EventRetention is how long events and authentications are kept; zero: 400 days, a year and the time to notice.
	EventRetention time.Duration
	// StatementTimeout is how long a statement may take on Postgres; zero: as long as it needs, for the operator's
	// commands.
	StatementTimeout time.Duration
	// Log gets a record when the store goes away and when it is back; nil: slog.Default.
	Log *slog.Logger
	// Observe begins the observation of one question, for metrics and traces. step says in fixed words what it is for. The
	// func ends it, with a translated error. nil: nobody observes.
	Observe func(ctx context.Context, step string) (context.Context, func(error))
}

// Errors of this package; the others are in idp.
var (
	// ErrNewerSchema means that a newer version of the program has changed the database: this one must not touch it.
	ErrNewerSchema = errors.New("the database belongs to a newer version of stepward")
	// ErrOlderSchema means that Migrate has to run first.
	ErrOlderSchema = engine.ErrOlderSchema
	// ErrInUse means that another process holds the data folder.
	ErrInUse = engine.ErrInUse
	// ErrTooManyPasskeys means that the user already has MaxPasskeys.
	ErrTooManyPasskeys = errors.New("too many passkeys")
)

const defaultRetention = 400 * 24 * time.Hour

// DB is the durable store. It is safe for concurrent use.
type DB struct {
	conn       engine.Conn
	roundTrips atomic.Int64
	retention  time.Duration
	clients    *clientcache.Cache
	watch      *outage.Watch
	compact    atomic.Bool // events and families are written in the compact form: see contract.go
	brief      atomic.Bool // passkeys are written in the brief form: see contract.go
	oldEvents  atomic.Bool // there may be events of the old form
	observe    func(ctx context.Context, step string) (context.Context, func(error))
	logouts    chan struct{} // holds one token while something new may be in the logout outbox
}

// Open opens the store and checks that it can be reached. It does not migrate: see [DB.Migrate].
func Open(ctx context.Context, c Config) (*DB, error) {
	db := &DB{observe: c.Observe, retention: c.EventRetention, clients: clientcache.New(), logouts: make(chan struct{}, 1)}
	if db.retention == 0 {
		db.retention = defaultRetention
	}
	var err error
	if c.URL != "" {
		db.conn, err = engine.OpenPostgres(ctx, c.URL, c.StatementTimeout)
	} else {
		db.conn, err = engine.OpenSQLite(ctx, c.Dir, c.Shared)
	}
	if err != nil {
		return nil, err
	}
	db.oldEvents.Store(true) // until the schema was looked at
	db.watch = outage.New(cmp.Or(c.Log, slog.Default()), db.Backend())
	return db, nil
}

// Backend returns "postgres" or "sqlite".
func (db *DB) Backend() string { return db.conn.Backend() }

// Ping reports whether the store can be reached: nil or idp.ErrUnavailable.
func (db *DB) Ping(ctx context.Context) error {
	return db.ask(ctx, "ping store", db.conn.Ping)
}

// Check reports whether the store can be read and written, because one that can be reached may be a standby, read-only
// or full. It returns nil, or an *idp.StoreFault that says what is wrong.
func (db *DB) Check(ctx context.Context) error {
	if fault := db.conn.Check(ctx, "journal"); fault != nil {
		return fault
	}
	return nil
}

// Now returns the time of the database's clock. Sweeps and leases use it instead of the replica's own clock: one
// replica with a wrong clock would otherwise delete rows that are alive for all others. The embedded database has no
// clock but this process's.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := db.ask(ctx, "read the database's clock", func(ctx context.Context) (err error) {
		now, err = db.conn.Now(ctx)
		return err
	})
	return now, err
}

// Pools returns the state of the connection pools.
func (db *DB) Pools() []engine.Pool { return db.conn.Pools() }

// RoundTrips returns the number of round trips so far, for the tests of the budget. It leaves out the one-time costs of
// a connection (connecting, preparing a statement on first use).
func (db *DB) RoundTrips() int64 { return db.roundTrips.Load() }

// Close waits for running calls and closes the store.
func (db *DB) Close() error { return stepErr("close store", db.conn.Close()) }

// list collects the rows of a statement that changes nothing.
func list[T any](
	ctx context.Context, db *DB, step string, scan pgx.RowToFunc[T], sql string, args ...any,
) ([]T, error) {
	var values []T
	err := db.ask(ctx, step, func(ctx context.Context) error {
		rows, err := db.conn.Query(ctx, sql, args...)
		if err == nil {
			values, err = pgx.CollectRows(rows, scan)
		}
		return db.conn.Translate(ctx, err)
	})
	return values, err
}

// one is list for at most one row; idp.ErrNotFound if there is none.
func one[T any](ctx context.Context, db *DB, step string, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	var value T
	err := db.ask(ctx, step, func(ctx context.Context) error {
		rows, err := db.conn.Query(ctx, sql, args...)
		if err == nil {
			value, err = pgx.CollectOneRow(rows, scan)
		}
		return db.conn.Translate(ctx, err)
	})
	return value, err
}

// A batch is an engine.Batch with methods for the statements that several changes share. Most are beside their table.
type batch struct {
	engine.Batch
	ev    []idp.Event       // are written when the batch runs
	forms []func(rows.Form) // set the values of passkeys when the batch runs
}

// end records that a session or a family is over, so that nothing in progress can still add to it.
func (b *batch) end(id string, now time.Time) {
	b.Do(`INSERT INTO ended (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, ms(now))
}

// run executes a batch.
func (db *DB) run(ctx context.Context, step string, b *batch) error {
	b.writeEvents(db.compact.Load())
	for _, set := range b.forms {
		set(db.form())
	}
	return db.ask(ctx, step, func(ctx context.Context) error { return db.conn.Run(ctx, &b.Batch) })
}

// ask makes one round trip within the time limit, and notes whether the store answered. Its errors are translated.
func (db *DB) ask(ctx context.Context, step string, question func(context.Context) error) error {
	db.roundTrips.Add(1)
	limited, cancel := db.conn.Limit(ctx)
	defer cancel()
	begin := time.Now()
	done := func(error) {}
	if db.observe != nil {
		limited, done = db.observe(limited, step)
	}
	err := question(limited)
	done(err)
	switch {
	case !errors.Is(err, idp.ErrUnavailable) && !errors.Is(err, context.Canceled):
		db.watch.Answered(begin)
	case ctx.Err() == nil && !errors.Is(err, engine.ErrBusy):
		// Otherwise the caller left, which says nothing about the store, or the store is only busy.
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
