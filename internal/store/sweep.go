package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// sweepBite is how many rows one statement of a sweep deletes at most: it never holds locks for long, nor the one
	// writer of SQLite.
	sweepBite = 500
	// sweepBites bounds what one call does to a table; a backlog is left for the next.
	sweepBites = 200
	// endedRetention is how long the end of a session is remembered: longer than a code or a device code lives.
	endedRetention = time.Hour
	// mailRetention is when a message that was never delivered is given up: its codes have long expired.
	mailRetention = 72 * time.Hour
)

// sweeps are the rows that go.
var sweeps = []struct {
	table, key, column, extra string
	before                    func(db *DB, now time.Time) time.Time
}{
	{table: "opaque_tokens", key: "hash", column: "expires_at", before: expired},
	{table: "families", key: "id", column: "expires_at", before: expired},
	{table: "closed_windows", key: "authentication_id", column: "closed_at", before: func(_ *DB, now time.Time) time.Time { return now.Add(-windowRetention) }},
	{table: "ended", key: "id", column: "at", before: func(_ *DB, now time.Time) time.Time { return now.Add(-endedRetention) }},
	{table: "links", key: "hash", column: "expires_at", before: expired},
	{table: "registration_tokens", key: "hash", column: "expires_at", before: expired},
	{table: "leases", key: "name", column: "expires_at", before: expired},
	{table: "signing_keys", key: "id", column: "expires_at", extra: " AND expires_at > 0 AND state = 'retired'", before: expired},
	{table: "mail", key: "id", column: "created_at", before: func(_ *DB, now time.Time) time.Time { return now.Add(-mailRetention) }},
	{table: "events", key: "id", column: "at", before: retained},
	{table: "authentications", key: "id", column: "at", before: retained},
}

func expired(_ *DB, now time.Time) time.Time   { return now }
func retained(db *DB, now time.Time) time.Time { return now.Add(-db.retention) }

// Sweep deletes what has expired or is older than it is kept, in bites of bounded size, and returns how many rows went. What
// it left because of its own bound goes with the next call.
func (db *DB) Sweep(ctx context.Context, now time.Time) (deleted int64, err error) {
	for _, s := range sweeps {
		// The bite is part of the text: of a parameter, Postgres would guess that it is a tenth of the table, and plan for that.
		sql := fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s <= $1%[4]s ORDER BY %[3]s LIMIT %[5]d) RETURNING 1`,
			s.table, s.key, s.column, s.extra, sweepBite)
		for range sweepBites {
			var b batch
			var bite int64
			b.read(func(rows pgx.Rows) error {
				for rows.Next() {
					bite++
				}
				return nil
			}, sql, ms(s.before(db, now)))
			if err := db.run(ctx, "sweep "+s.table, &b); err != nil {
				return deleted, err
			}
			deleted += bite
			if bite < sweepBite {
				break
			}
		}
	}
	return deleted, nil
}
