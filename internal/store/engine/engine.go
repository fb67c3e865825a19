// Package engine connects the store to Postgres or SQLite. It holds all that differs between them: opening, errors,
// transactions, running migrations, and the check that the database takes writes. The SQL and the tables are the
// store's, except for two: [VersionTable], and the table demands of [Batch.Demand], which the migrations must create.
package engine

import (
	"context"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// Conn is the interface of both engines, in pgx idiom. It is safe for concurrent use. Its methods translate their
// drivers' errors into those of idp and of this package.
type Conn interface {
	// Backend returns "postgres" or "sqlite".
	Backend() string
	// Limit bounds how long one call of the methods below may take.
	Limit(ctx context.Context) (context.Context, context.CancelFunc)
	// Query runs one statement that changes nothing. Errors also come from the rows: pass them to Translate.
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	// Run executes a batch in one transaction; on Postgres that is one round trip.
	Run(ctx context.Context, b *Batch) error
	// Transact runs f in one transaction: what f does over tx happens when f returns nil, and nothing of it otherwise. On
	// SQLite nobody else writes meanwhile: over the outer Conn, f must not write. After a batch that failed, tx is of no
	// use, and f must return. It is not tried again, because f has seen what it read.
	Transact(ctx context.Context, f func(tx Conn) error) error
	// Translate turns a driver's error into one of ours; nil stays nil.
	Translate(ctx context.Context, err error) error
	// Migrate runs the migration files that the database does not have yet, while no other process migrates.
	Migrate(ctx context.Context, files fs.FS) error
	// Ping reports whether the database can be reached: nil or idp.ErrUnavailable.
	Ping(ctx context.Context) error
	// Now returns the time of the database's clock.
	Now(ctx context.Context) (time.Time, error)
	// Check reports why the database cannot be read or written, or why table cannot be; nil if they can.
	Check(ctx context.Context, table string) *idp.StoreFault
	// Pools returns the state of the connection pools.
	Pools() []Pool
	// Close waits for running calls and closes the database.
	Close() error
}
