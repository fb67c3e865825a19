// Package addresses keeps the e-mail addresses of users besides their primary one, and the changes of primary addresses
// that can still be undone, in the tables of package store. The primary address is in users.
package addresses

import (
	"context"
	"errors"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// ErrTooMany means that the user has directory.MaxAddresses.
var ErrTooMany = errors.New("too many addresses")

// Addresses are those of a store. It is safe for concurrent use.
type Addresses struct{ db *store.DB }

// New returns the addresses of a store.
func New(db *store.DB) *Addresses { return &Addresses{db} }

// An Address is a confirmed address of a user, besides the primary one.
type Address struct {
	ID, UserID, Email string
	AddedAt           time.Time
}

const columns = `id, user_id, email, added_at`

func scan(row store.Row) (a Address, err error) {
	err = row.Scan(&a.ID, &a.UserID, &a.Email, store.Instant(&a.AddedAt))
	return a, err
}

// Of returns the user's addresses besides the primary one, oldest first.
func (s *Addresses) Of(ctx context.Context, userID string) ([]Address, error) {
	return store.List(ctx, s.db, "list addresses", scan,
		`SELECT `+columns+` FROM addresses WHERE user_id = $1 ORDER BY added_at, id`, userID)
}

// Get returns an address of the user; idp.ErrNotFound.
func (s *Addresses) Get(ctx context.Context, userID, id string) (Address, error) {
	return store.One(ctx, s.db, "load address", scan,
		`SELECT `+columns+` FROM addresses WHERE id = $1 AND user_id = $2`, id, userID)
}

// Told returns the addresses, besides the primary one, that are told of what happens to the account: the confirmed
// ones, and those that the user left within directory.FormerAddressTold.
func (s *Addresses) Told(ctx context.Context, userID string, now time.Time) ([]string, error) {
	return store.List(ctx, s.db, "list addresses to tell", func(row store.Row) (email string, err error) {
		err = row.Scan(&email)
		return email, err
	}, `SELECT email FROM addresses WHERE user_id = $1
		UNION SELECT f.email FROM former_addresses f WHERE f.user_id = $1 AND f.left_at > $2
			AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND u.email = f.email)
		ORDER BY email`, userID, past(now, directory.FormerAddressTold))
}

// past is the time before now, as it is stored.
func past(now time.Time, d time.Duration) int64 { return max(store.Millis(now.Add(-d)), 0) }

// own begins a change by the user: idp.ErrNotFound if they are disabled, idp.ErrClosed if the account was recovered, or
// a change of its primary address was undone, a short time ago.
func own(b *store.Batch, userID string, now time.Time) {
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", userID)
	b.Demand(idp.ErrClosed, `EXISTS (SELECT 1 FROM users WHERE id = $1 AND recovered_at <= $2)
		AND NOT EXISTS (SELECT 1 FROM address_changes WHERE user_id = $1 AND undone_at > $2)`, userID,
		past(now, idp.RecoveryClosed))
}

// ClosedUntil returns from when the user can change addresses again after a recovery, and after a change of the primary
// one was undone; a zero time if neither happened. It may be past.
func (s *Addresses) ClosedUntil(ctx context.Context, userID string) (recovered, undone time.Time, err error) {
	type times struct{ recovered, undone time.Time }
	last, err := store.One(ctx, s.db, "find undone change", func(row store.Row) (t times, err error) {
		err = row.Scan(store.Instant(&t.recovered), store.Instant(&t.undone))
		return t, err
	}, `SELECT u.recovered_at, COALESCE((SELECT max(c.undone_at) FROM address_changes c WHERE c.user_id = u.id), 0)
		FROM users u WHERE u.id = $1`, userID)
	for _, at := range []*time.Time{&last.recovered, &last.undone} {
		if !at.IsZero() {
			*at = at.Add(idp.RecoveryClosed)
		}
	}
	return last.recovered, last.undone, err
}

// Add adds an address that the user has just confirmed. idp.ErrNotFound if they are disabled, idp.ErrClosed after a
// recovery or an undone change, ErrTooMany, idp.ErrConflict if the address belongs to a user already.
func (s *Addresses) Add(ctx context.Context, a Address, ev ...idp.Event) error {
	var b store.Batch
	own(&b, a.UserID, a.AddedAt)
	b.Demand(ErrTooMany, `(SELECT count(*) FROM addresses WHERE user_id = $1) < $2`, a.UserID,
		directory.MaxAddresses-1)
	b.FreeAddress(a.UserID, a.Email, a.AddedAt)
	b.Demand(idp.ErrConflict, `NOT EXISTS (SELECT 1 FROM users WHERE email = $1)`, a.Email)
	b.Do(`INSERT INTO addresses (`+columns+`) VALUES ($1, $2, $3, $4)`, a.ID, a.UserID, a.Email,
		store.Millis(a.AddedAt))
	b.Events(ev)
	return s.db.RunBatch(ctx, "add address", &b)
}

// Remove removes an address that is not the primary one. It is told of recoveries for a while. idp.ErrNotFound, also if
// the user is disabled; idp.ErrClosed after a recovery or an undone change.
func (s *Addresses) Remove(ctx context.Context, userID, id string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	own(&b, userID, now)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM addresses WHERE id = $1 AND user_id = $2)`, id, userID)
	b.Do(`INSERT INTO former_addresses (id, user_id, email, left_at)
		SELECT CAST($3 AS TEXT), a.user_id, a.email, CAST($4 AS BIGINT) FROM addresses a WHERE a.id = $1 AND a.user_id = $2
		ON CONFLICT (user_id, email) DO UPDATE SET left_at = excluded.left_at`, id, userID, idp.NewID(), store.Millis(now))
	b.Do(`DELETE FROM addresses WHERE id = $1`, id)
	b.Events(ev)
	return s.db.RunBatch(ctx, "remove address", &b)
}

// MakePrimary makes an address the primary one. The former one stays with the user, and can undo the change with the
// link whose hash is given; if it was never confirmed, it is dropped, and nothing can be undone. Links into the account
// that were mailed to the former one end, and so does a recovery by e-mail that waits. idp.ErrNotFound, also if the
// user is disabled; idp.ErrClosed after a recovery or an undone change.
func (s *Addresses) MakePrimary(ctx context.Context, userID, id, link string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	own(&b, userID, now)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM addresses WHERE id = $1 AND user_id = $2)`, id, userID)
	// If the primary one came with another change lately, undoing that change must remove it.
	b.Do(`INSERT INTO addresses (`+columns+`) SELECT CAST($2 AS TEXT), u.id, u.email,
		COALESCE((SELECT max(c.changed_at) FROM address_changes c WHERE c.user_id = u.id), u.created_at)
		FROM users u WHERE u.id = $1 AND u.email_verified`, userID, idp.NewID())
	b.UndoableAddress(userID, link, now)
	b.Do(`UPDATE users SET email = (SELECT a.email FROM addresses a WHERE a.id = $2), email_verified = $3, updated_at = $4,
		recovery_ready_at = 0, recovery_stop = '' WHERE id = $1`, userID, id, true, store.Millis(now))
	b.Do(`DELETE FROM addresses WHERE id = $1`, id)
	b.Do(`DELETE FROM links WHERE user_id = $1`, userID)
	b.Events(ev)
	return s.db.RunBatch(ctx, "make address primary", &b)
}

// undoable is the condition that a change can be undone; $1 is the hash of the link, $2 the earliest time.
const undoable = `link = $1 AND undone_at = 0 AND changed_at > $2`

// Undoable returns the user whose change of the primary address the link with this hash undoes, and the address that it
// brings back; idp.ErrNotFound.
func (s *Addresses) Undoable(ctx context.Context, link string, now time.Time) (u idp.User, former string, err error) {
	change, err := store.One(ctx, s.db, "find change of address", func(row store.Row) (a Address, err error) {
		err = row.Scan(&a.UserID, &a.Email)
		return a, err
	}, `SELECT user_id, email FROM address_changes WHERE `+undoable, link, past(now, directory.AddressUndo))
	if err != nil {
		return u, "", err
	}
	u, err = s.db.UserByID(ctx, change.UserID)
	return u, change.Email, err
}

// Undo brings back the primary address from before a change. It removes the address that the change brought, and all
// that were added within directory.AddressUndo before it and since: whoever changed the primary address added them.
// Later changes can no longer be undone, all families are revoked, the clients are told that the sessions have ended,
// and no recovery by e-mail alone begins for a while. End the sessions after this; they are in the ephemeral store. One
// of several callers succeeds, the others get idp.ErrNotFound. idp.ErrConflict if the address belongs to another user.
func (s *Addresses) Undo(ctx context.Context, userID, former, link string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	at, since := store.Millis(now), past(now, directory.AddressUndo)
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "address_changes", undoable+` AND user_id = $3 AND email = $4`, link, since, userID, former)
	b.FreeAddress(userID, former, now)
	b.Demand(idp.ErrConflict, `NOT EXISTS (SELECT 1 FROM users WHERE email = $1 AND id <> $2)`, former, userID)
	b.Do(`INSERT INTO former_addresses (id, user_id, email, left_at)
		SELECT CAST($3 AS TEXT), u.id, u.email, CAST($4 AS BIGINT) FROM users u
			WHERE u.id = $1 AND u.email <> $2 AND u.email_verified
		ON CONFLICT (user_id, email) DO UPDATE SET left_at = excluded.left_at`, userID, former, idp.NewID(), at)
	b.Do(`DELETE FROM addresses WHERE user_id = $1 AND (email = $2 OR added_at > (SELECT c.changed_at - $4 FROM
		address_changes c WHERE c.link = $3))`, userID, former, link, directory.AddressUndo.Milliseconds())
	b.Do(`UPDATE users SET email = $2, email_verified = $3, updated_at = $4, recovery_ready_at = 0, recovery_stop = '',
		recovery_stopped_at = $4 WHERE id = $1`, userID, former, true, at)
	b.Do(`DELETE FROM address_changes WHERE user_id = $1 AND link <> $2 AND changed_at >=
		(SELECT c.changed_at FROM address_changes c WHERE c.link = $2)`, userID, link)
	b.Do(`UPDATE address_changes SET undone_at = $2 WHERE link = $1`, link, at)
	b.Do(`DELETE FROM links WHERE user_id = $1`, userID)
	b.Do(`UPDATE families SET revoked_at = $2 WHERE user_id = $1 AND revoked_at = 0`, userID, at)
	b.Logout(userID, now)
	b.Events(ev)
	return s.db.RunLogoutBatch(ctx, "undo change of address", &b)
}

// Free reports whether the user could add an address now: it belongs to nobody.
func (s *Addresses) Free(ctx context.Context, userID, email string, now time.Time) (bool, error) {
	return store.One(ctx, s.db, "look for address", func(row store.Row) (free bool, err error) {
		err = row.Scan(&free)
		return free, err
	}, `SELECT NOT EXISTS (SELECT 1 FROM users WHERE email = $2) AND `+rows.FreeAddress, userID, email,
		past(now, directory.AddressUndo))
}
