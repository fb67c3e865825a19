package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/rows"
)

const (
	// sweepBite is how many rows one statement of a sweep deletes at most, so that it never holds locks, or SQLite's one
	// writer, for long.
	sweepBite = 500
	// sweepBites bounds the statements of one call for a table; the next call takes the rest.
	sweepBites = 200
	// endedRetention is how long the end of a session is remembered: longer than a code or a device code lives.
	endedRetention = time.Hour
	// mailRetention is when an undelivered message is given up: its codes have long expired.
	mailRetention = 72 * time.Hour
)

// A swept describes the rows of a table that a sweep deletes.
type swept struct {
	table, key, column, extra string
	before                    func(db *DB, now time.Time) time.Time
	few                       int64 // this many may go at once, even from a small table
	byID                      bool  // column is a packed ID, which contains its time
}

// bound returns the highest value of the column at a time.
func (s swept) bound(t time.Time) any {
	if s.byID {
		return rows.LastIDBefore(t)
	}
	return ms(t)
}

var sweeps = []swept{
	{table: "opaque_tokens", key: "hash", column: "expires_at", before: expired, few: fewRows},
	{table: "families", key: "id", column: "expires_at", before: expired, few: fewRows},
	{
		table: "closed_windows", key: "authentication_id", column: "closed_at",
		before: older(windowRetention), few: fewRows,
	},
	{table: "ended", key: "id", column: "at", before: older(endedRetention), few: fewRows},
	{table: "links", key: "hash", column: "expires_at", before: expired, few: fewRows},
	{
		table: "former_addresses", key: "id", column: "left_at", before: older(directory.FormerAddressTold),
		few: fewRows,
	},
	{
		table: "address_changes", key: "id", column: "changed_at",
		before: older(directory.AddressUndo + idp.RecoveryClosed), few: fewRows,
	},
	{table: "registration_tokens", key: "hash", column: "expires_at", before: expired, few: fewRows},
	// Rows without a holder are the records of plausible.
	{table: "leases", key: "name", column: "expires_at", extra: " AND holder <> ''", before: expired, few: fewRows},
	{
		table: "signing_keys", key: "id", column: "expires_at", extra: " AND expires_at > 0 AND state = 'retired'",
		before: expired,
	},
	{table: "mail", key: "id", column: "created_at", before: older(mailRetention), few: fewRows},
	{table: "journal", key: "id", column: "id", before: retained, few: fewRows, byID: true},
	// Rows of the old form: see contract.go.
	{table: "events", key: "id", column: "at", before: retained, few: fewRows},
	{table: "authentications", key: "id", column: "at", before: retained, few: fewRows},
}

func expired(_ *DB, now time.Time) time.Time   { return now }
func retained(db *DB, now time.Time) time.Time { return now.Add(-db.retention) }

func older(than time.Duration) func(*DB, time.Time) time.Time {
	return func(_ *DB, now time.Time) time.Time { return now.Add(-than) }
}

// Sweep deletes rows that have expired or outlived their retention, in statements of bounded size, and returns how
// many. Rows beyond its bound are left for the next call. now is the database's clock ([DB.Now]). It deletes nothing
// and returns a [*SweepHeld] if that clock seems to have jumped.
func (db *DB) Sweep(ctx context.Context, now time.Time) (deleted int64, err error) {
	if err := db.plausible(ctx, "sweep", now, sweeps); err != nil {
		return 0, err
	}
	for _, s := range sweeps {
		// The limit is part of the text: for a parameter, Postgres would guess a tenth of the table, and plan for that.
		sql := fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s <= $1%[4]s ORDER BY %[3]s
			LIMIT %[5]d) RETURNING 1`,
			s.table, s.key, s.column, s.extra, sweepBite)
		for range sweepBites {
			var b batch
			var bite int64
			b.Read(func(found pgx.Rows) error {
				for found.Next() {
					bite++
				}
				return nil
			}, sql, s.bound(s.before(db, now)))
			if err := db.run(ctx, "sweep "+s.table, &b); err != nil {
				return deleted, err
			}
			deleted += bite
			if bite < sweepBite {
				break
			}
		}
	}
	if err := db.lookForOldEvents(ctx); err != nil {
		return deleted, err
	}
	return deleted, db.noteSweep(ctx, "sweep", now)
}
