// Package outbox keeps what waits to be delivered: e-mails, and messages to clients that a session has ended. Package
// store has the tables, and fills the outbox of logouts in the transaction that ends a session.
package outbox

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/store"
)

// Most is the highest number that Waiting counts to: looking at a long queue costs no more than this.
const Most = 10_000

// A Queue is what waits in an outbox.
type Queue struct {
	Name   string // mail, logout or provisioning
	Count  int64  // at most Most
	Oldest time.Time
}

// Waiting returns the outboxes, in one round trip. Oldest is zero for an empty one. created_at > 0 has the count made
// on an index. People whom an application has refused, or who wait for one that is paused, do not count.
func Waiting(ctx context.Context, db *store.DB) ([]Queue, error) {
	scan := func(row store.Row) (q Queue, err error) {
		return q, row.Scan(&q.Name, &q.Count, store.Instant(&q.Oldest))
	}
	return store.List(ctx, db, "count outboxes", scan, `
		SELECT 'mail',
			(SELECT COUNT(*) FROM (SELECT 1 FROM mail WHERE created_at > 0 LIMIT $1) AS counted),
			COALESCE((SELECT MIN(created_at) FROM mail), 0)
		UNION ALL
		SELECT 'logout',
			(SELECT COUNT(*) FROM (SELECT 1 FROM logout_outbox WHERE created_at > 0 LIMIT $1) AS counted),
			COALESCE((SELECT MIN(created_at) FROM logout_outbox), 0)
		UNION ALL
		SELECT 'provisioning',
			(SELECT COUNT(*) FROM (SELECT 1 FROM provision_outbox o JOIN provision_targets t ON t.client_id = o.client_id
				WHERE o.created_at > 0 AND o.attempts = 0 AND t.paused_at = 0 LIMIT $1) AS counted),
			COALESCE((SELECT MIN(o.created_at) FROM provision_outbox o JOIN provision_targets t ON t.client_id = o.client_id
				WHERE o.created_at > 0 AND o.attempts = 0 AND t.paused_at = 0), 0)`, Most)
}

func scanText(row store.Row) (text string, err error) { return text, row.Scan(&text) }
