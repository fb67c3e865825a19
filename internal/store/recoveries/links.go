package recoveries

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// LinkKind is the kind of recovery links.
const LinkKind = "recover"

// A Link is a one-time recovery link.
type Link struct {
	idp.Link
	// PIN is the hash of token and PIN together; empty: the link needs none.
	PIN    string
	Tries  int    // of the PIN
	MadeBy string // the admin; empty: the operator at the command line
	// Second means that the link works only once another admin has approved it.
	Second     bool
	ApprovedBy string
}

const linkColumns = `hash, kind, user_id, created_at, expires_at, pin, tries, made_by, needs_second, approved_by`

func scanLink(row store.Row) (l Link, err error) {
	var second int64
	err = row.Scan(&l.Hash, &l.Kind, &l.UserID, store.Instant(&l.CreatedAt), store.Instant(&l.ExpiresAt), &l.PIN, &l.Tries,
		&l.MadeBy, &second, &l.ApprovedBy)
	l.Second = second != 0
	return l, err
}

// ReplaceLink stores a link and removes the user's other recovery links; idp.ErrNotFound, also for a disabled user.
func (r *Recoveries) ReplaceLink(ctx context.Context, l Link, ev ...idp.Event) error {
	second := int64(0)
	if l.Second {
		second = 1
	}
	var b store.Batch
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", l.UserID)
	b.Do(`DELETE FROM links WHERE user_id = $1 AND kind = $2`, l.UserID, LinkKind)
	b.Do(`INSERT INTO links (`+linkColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9)`, l.Hash, LinkKind, l.UserID,
		store.Millis(l.CreatedAt), store.Millis(l.ExpiresAt), l.PIN, l.MadeBy, second, l.ApprovedBy)
	b.Events(ev)
	return r.db.RunBatch(ctx, "replace link", &b)
}

// Link returns the live link with this hash without taking it; idp.ErrNotFound.
func (r *Recoveries) Link(ctx context.Context, hash string, now time.Time) (Link, error) {
	return store.One(ctx, r.db, "look at recovery link", scanLink,
		`SELECT `+linkColumns+` FROM links WHERE hash = $1 AND kind = $2 AND expires_at > $3`, hash, LinkKind,
		store.Millis(now))
}

// TakeLink uses up a link and returns its user. One of several callers succeeds, the others get idp.ErrNotFound. So do
// all if the link has expired, waits for a second admin, or the user is disabled.
func (r *Recoveries) TakeLink(ctx context.Context, l Link, now time.Time, ev ...idp.Event) (idp.User, error) {
	var b store.Batch
	b.Exclusive("user:" + l.UserID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", l.UserID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM links WHERE hash = $1 AND kind = $2 AND user_id = $3
		AND expires_at > $4 AND (needs_second = 0 OR approved_by <> ''))`, l.Hash, LinkKind, l.UserID, store.Millis(now))
	b.Do(`DELETE FROM links WHERE hash = $1`, l.Hash)
	b.Events(ev)
	if err := r.db.RunBatch(ctx, "take link", &b); err != nil {
		return idp.User{}, err
	}
	return r.db.UserByID(ctx, l.UserID)
}

// LinkOf returns the live link of a user; idp.ErrNotFound.
func (r *Recoveries) LinkOf(ctx context.Context, userID string, now time.Time) (Link, error) {
	return store.One(ctx, r.db, "find recovery link", scanLink,
		`SELECT `+linkColumns+` FROM links WHERE user_id = $1 AND kind = $2 AND expires_at > $3`, userID, LinkKind,
		store.Millis(now))
}

// WaitingLinks returns live links that wait for a second admin, oldest first.
func (r *Recoveries) WaitingLinks(ctx context.Context, now time.Time, limit int) ([]Link, error) {
	return store.List(ctx, r.db, "list recovery links to approve", scanLink,
		`SELECT `+linkColumns+` FROM links WHERE kind = $1 AND needs_second = 1 AND approved_by = '' AND expires_at > $2
		ORDER BY created_at, hash LIMIT $3`, LinkKind, store.Millis(now), limit)
}

// ApproveLink records the second admin's approval of a link; idp.ErrNotFound if the link is gone, needs none, has it,
// or was made by this admin.
func (r *Recoveries) ApproveLink(ctx context.Context, l Link, by string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("user:" + l.UserID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM links WHERE hash = $1 AND needs_second = 1 AND approved_by = ''
		AND made_by <> $2 AND user_id <> $2 AND expires_at > $3)`, l.Hash, by, store.Millis(now))
	b.Do(`UPDATE links SET approved_by = $2 WHERE hash = $1`, l.Hash, by)
	b.Events(ev)
	return r.db.RunBatch(ctx, "approve link", &b)
}

// TryPIN counts a try of a link's PIN, before it is compared: idp.ErrNotFound if there were too many, or the link is
// gone.
func (r *Recoveries) TryPIN(ctx context.Context, hash string, now time.Time) error {
	var b store.Batch
	b.Do(`UPDATE links SET tries = tries WHERE hash = $1`, hash) // waits for other tries
	b.Demand(idp.ErrNotFound, "EXISTS (SELECT 1 FROM links WHERE hash = $1 AND tries < $2 AND expires_at > $3)", hash,
		directory.MaxPINTries, store.Millis(now))
	b.Do(`UPDATE links SET tries = tries + 1 WHERE hash = $1`, hash)
	return r.db.RunBatch(ctx, "count try of a PIN", &b)
}
