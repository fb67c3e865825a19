package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
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

func scanMail(row pgx.CollectableRow) (m Mail, err error) {
	err = row.Scan(&m.ID, &m.To, &m.Subject, &m.Text, &m.HTML, (*instant)(&m.CreatedAt), (*instant)(&m.NextAt),
		&m.Attempts)
	return m, err
}

// EnqueueMail puts a message into the outbox.
func (db *DB) EnqueueMail(ctx context.Context, m Mail) error {
	var b batch
	b.Do(`INSERT INTO mail (`+mailColumns+`, last_error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')`,
		m.ID, m.To, m.Subject, m.Text, m.HTML, ms(m.CreatedAt), ms(m.NextAt), m.Attempts)
	return db.run(ctx, "enqueue mail", &b)
}

// ClaimMail returns a message that is due and counts the attempt. No other caller gets it during the lease; after that
// it is due again unless FinishMail was called. idp.ErrNotFound if nothing is due.
func (db *DB) ClaimMail(ctx context.Context, now time.Time, lease time.Duration) (Mail, error) {
	// Several candidates, because on Postgres other callers may be claiming the first one right now.
	due, err := list(ctx, db, "list due mail", pgx.RowTo[string],
		`SELECT id FROM mail WHERE next_at <= $1 ORDER BY next_at LIMIT 16`, ms(now))
	if err != nil {
		return Mail{}, err
	}
	for _, id := range due {
		var b batch
		var m Mail
		var won bool
		b.Read(engine.Into(&m, &won, scanMail),
			`UPDATE mail SET next_at = $3, attempts = attempts + 1 WHERE id = $1 AND next_at <= $2 RETURNING `+mailColumns,
			id, ms(now), ms(now.Add(lease)))
		if err := db.run(ctx, "claim mail", &b); err != nil || won {
			return m, err
		}
	}
	return Mail{}, stepErr("claim mail", idp.ErrNotFound)
}

// FinishMail ends a claim. If failure is empty, the message was delivered and is removed. Otherwise it is due again at
// next; if next is zero, it is given up and removed.
func (db *DB) FinishMail(ctx context.Context, id, failure string, next time.Time) error {
	var b batch
	if failure == "" || next.IsZero() {
		b.Do(`DELETE FROM mail WHERE id = $1`, id)
	} else {
		b.Do(`UPDATE mail SET next_at = $2, last_error = $3 WHERE id = $1`, id, ms(next), failure)
	}
	return db.run(ctx, "finish mail", &b)
}
