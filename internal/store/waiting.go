package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// MaxWaiting is the highest number that Waiting counts to: a longer queue costs no more than this to look at.
const MaxWaiting = 10_000

// A Queue is what waits in an outbox.
type Queue struct {
	Name   string // mail or logout
	Count  int64  // at most MaxWaiting
	Oldest time.Time
}

// Waiting returns the outboxes, in one round trip. Oldest is zero for an empty one. created_at > 0 has the count made on
// an index.
func (db *DB) Waiting(ctx context.Context) ([]Queue, error) {
	scan := func(row pgx.CollectableRow) (q Queue, err error) {
		return q, row.Scan(&q.Name, &q.Count, (*instant)(&q.Oldest))
	}
	return list(ctx, db, "count outboxes", scan, `
		SELECT 'mail', (SELECT COUNT(*) FROM (SELECT 1 FROM mail WHERE created_at > 0 LIMIT $1) AS counted),
			COALESCE((SELECT MIN(created_at) FROM mail), 0)
		UNION ALL SELECT 'logout', (SELECT COUNT(*) FROM (SELECT 1 FROM logout_outbox WHERE created_at > 0 LIMIT $1) AS counted),
			COALESCE((SELECT MIN(created_at) FROM logout_outbox), 0)`, MaxWaiting)
}

// Pools returns the state of the connection pools.
func (db *DB) Pools() []engine.Pool { return db.conn.Pools() }
