// Package registrations keeps clients that register themselves (RFC 7591, RFC 7592) or describe themselves, and the
// initial access tokens for it. Package store has the tables.
package registrations

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// AnyUses is the number of uses of an initial access token that only its expiry limits.
const AnyUses = -1

// PutToken stores an initial access token (RFC 7591 §3) by its hash.
func PutToken(
	ctx context.Context, db *store.DB, hash string, uses int, now, expires time.Time, ev ...idp.Event,
) error {
	var b store.Batch
	b.Do(`INSERT INTO registration_tokens (hash, uses_left, created_at, expires_at) VALUES ($1, $2, $3, $4)`, hash, uses,
		store.Millis(now), store.Millis(expires))
	b.Events(ev)
	return db.RunBatch(ctx, "store registration token", &b)
}

// RevokeTokens removes all initial access tokens; having none is no error.
func RevokeTokens(ctx context.Context, db *store.DB) error {
	var b store.Batch
	b.Do(`DELETE FROM registration_tokens`)
	return db.RunBatch(ctx, "revoke registration tokens", &b)
}

// Register stores a client that registers itself, and counts one use of the initial access token: both or neither.
// With an empty tokenHash no token is needed. idp.ErrNotFound if the token has expired or is used up; idp.ErrConflict
// if the client ID is taken.
func Register(
	ctx context.Context, db *store.DB, c idp.Client, tokenHash string, now time.Time, ev ...idp.Event,
) error {
	var b store.Batch
	if tokenHash != "" {
		const live = `hash = $1 AND expires_at > $2 AND uses_left <> 0`
		// The idle update waits for others that count down the same row, and the demand checks what they left.
		b.Do(`UPDATE registration_tokens SET hash = hash WHERE `+live, tokenHash, store.Millis(now))
		b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM registration_tokens WHERE `+live+`)`, tokenHash, store.Millis(now))
		b.Do(`UPDATE registration_tokens SET uses_left = uses_left - 1 WHERE uses_left > 0 AND hash = $1`, tokenHash)
	}
	b.InsertClient(c)
	b.Events(ev)
	defer db.ForgetClient(c.ID)
	return db.RunBatch(ctx, "register client", &b)
}

// HasToken reports whether an initial access token is live.
func HasToken(ctx context.Context, db *store.DB, hash string, now time.Time) (bool, error) {
	scan := func(row store.Row) (live bool, err error) { return live, row.Scan(&live) }
	return store.One(ctx, db, "look for registration token", scan, `SELECT EXISTS (SELECT 1 FROM registration_tokens
		WHERE hash = $1 AND expires_at > $2 AND uses_left <> 0)`, hash, store.Millis(now))
}

// Change replaces a client while its registration token has this hash; idp.ErrNotFound if the client was changed or
// removed since. If the client now looks different to users, their grants are removed, so that they are asked again.
func Change(ctx context.Context, db *store.DB, was, c idp.Client, hash string, ev ...idp.Event) error {
	var b store.Batch
	const its = `id = $1 AND registration_hash <> '' AND registration_hash = $2`
	b.Hold(idp.ErrNotFound, "clients", its, c.ID, hash)
	b.Do(`UPDATE clients SET metadata = $3, secrets = $4, updated_at = $5, registration_hash = $6 WHERE `+its,
		c.ID, hash, store.Text(c), store.Text(c.Secrets), store.Millis(c.UpdatedAt), c.RegistrationHash)
	askAgain(&b, was, c)
	b.Events(ev)
	defer db.ForgetClient(c.ID)
	return db.RunBatch(ctx, "change registration", &b)
}

// PutDescribed stores a client whose document was fetched again. It removes grants as Change does.
func PutDescribed(ctx context.Context, db *store.DB, was, c idp.Client, ev ...idp.Event) error {
	var b store.Batch
	b.PutClient(c)
	askAgain(&b, was, c)
	b.Events(ev)
	defer db.ForgetClient(c.ID)
	return db.RunBatch(ctx, "store described client", &b)
}

// askAgain removes the grants of a client that no longer looks like the one that users saw.
func askAgain(b *store.Batch, was, is idp.Client) {
	if !is.LooksLike(was) {
		b.Do(`DELETE FROM grants WHERE client_id = $1`, is.ID)
	}
}

// Use records that a dynamic client is in use.
func Use(ctx context.Context, db *store.DB, id string, now time.Time) error {
	var b store.Batch
	b.Do(`UPDATE clients SET used_at = $2 WHERE id = $1 AND used_at > 0 AND used_at < $2`, id, store.Millis(now))
	defer db.ForgetClient(id)
	return db.RunBatch(ctx, "note use of client", &b)
}
