package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// Mail is one message in the outbox. It is removed once it is delivered or given up, because it may carry a code.
type Mail struct {
	ID, To, Subject, Text, HTML string
	CreatedAt                   time.Time
	NextAt                      time.Time // no attempt before this
	Attempts                    int       // including the current claim
}

const mailColumns = `id, recipient, subject, plain, html, created_at, next_at, attempts`

func scanMail(row store.Row) (m Mail, err error) {
	err = row.Scan(&m.ID, &m.To, &m.Subject, &m.Text, &m.HTML, store.Instant(&m.CreatedAt), store.Instant(&m.NextAt),
		&m.Attempts)
	return m, err
}

// EnqueueMail puts a message into the outbox.
func EnqueueMail(ctx context.Context, db *store.DB, m Mail) error {
	var b store.Batch
	b.Do(`INSERT INTO mail (`+mailColumns+`, last_error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')`,
		m.ID, m.To, m.Subject, m.Text, m.HTML, store.Millis(m.CreatedAt), store.Millis(m.NextAt), m.Attempts)
	return db.RunBatch(ctx, "enqueue mail", &b)
}

// ClaimMail returns a message that is due and counts the attempt. No other caller gets it during the lease; after that
// it is due again unless FinishMail was called. idp.ErrNotFound if nothing is due.
func ClaimMail(ctx context.Context, db *store.DB, now time.Time, lease time.Duration) (Mail, error) {
	// Several candidates, because on Postgres other callers may be claiming the first one right now.
	due, err := store.List(ctx, db, "list due mail", scanText,
		`SELECT id FROM mail WHERE next_at <= $1 ORDER BY next_at LIMIT 16`, store.Millis(now))
	if err != nil {
		return Mail{}, err
	}
	for _, id := range due {
		var b store.Batch
		var m Mail
		var won bool
		b.Read(engine.Into(&m, &won, scanMail),
			`UPDATE mail SET next_at = $3, attempts = attempts + 1 WHERE id = $1 AND next_at <= $2 RETURNING `+mailColumns,
			id, store.Millis(now), store.Millis(now.Add(lease)))
		if err := db.RunBatch(ctx, "claim mail", &b); err != nil || won {
			return m, err
		}
	}
	return Mail{}, fmt.Errorf("claim mail: %w", idp.ErrNotFound)
}

// FinishMail ends a claim. If failure is empty, the message was delivered and is removed. Otherwise it is due again at
// next; if next is zero, it is given up and removed.
func FinishMail(ctx context.Context, db *store.DB, id, failure string, next time.Time) error {
	var b store.Batch
	if failure == "" || next.IsZero() {
		b.Do(`DELETE FROM mail WHERE id = $1`, id)
	} else {
		b.Do(`UPDATE mail SET next_at = $2, last_error = $3 WHERE id = $1`, id, store.Millis(next), failure)
	}
	return db.RunBatch(ctx, "finish mail", &b)
}
