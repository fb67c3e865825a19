package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/engine"
)

const linkColumns = `hash, kind, user_id, created_at, expires_at`

func scanLink(row pgx.CollectableRow) (l idp.Link, err error) {
	err = row.Scan(&l.Hash, &l.Kind, &l.UserID, (*instant)(&l.CreatedAt), (*instant)(&l.ExpiresAt))
	return l, err
}

// PutLink stores a one-time link.
func (db *DB) PutLink(ctx context.Context, l idp.Link, ev ...idp.Event) error {
	var b batch
	b.insertLink(l)
	b.events(ev)
	return db.run(ctx, "store link", &b)
}

func (b *batch) insertLink(l idp.Link) {
	b.Do(`INSERT INTO links (`+linkColumns+`) VALUES ($1, $2, $3, $4, $5)`, l.Hash, l.Kind, l.UserID, ms(l.CreatedAt),
		ms(l.ExpiresAt))
}

// PeekLink returns a live link of this kind without taking it; idp.ErrNotFound.
func (db *DB) PeekLink(ctx context.Context, hash, kind string, now time.Time) (idp.Link, error) {
	return one(ctx, db, "look at link", scanLink,
		`SELECT `+linkColumns+` FROM links WHERE hash = $1 AND kind = $2 AND expires_at > $3`, hash, kind, ms(now))
}

// TakeLink returns a live link of this kind and removes it. One of several callers gets it, the others idp.ErrNotFound.
func (db *DB) TakeLink(ctx context.Context, hash, kind string, now time.Time) (idp.Link, error) {
	var b batch
	var l idp.Link
	var found bool
	b.Read(engine.Into(&l, &found, scanLink),
		`DELETE FROM links WHERE hash = $1 AND kind = $2 AND expires_at > $3 RETURNING `+linkColumns, hash, kind, ms(now))
	err := db.run(ctx, "take link", &b)
	if err == nil && !found {
		err = stepErr("take link", idp.ErrNotFound)
	}
	return l, err
}
