package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// AnyUses is the number of uses of an initial access token that only its expiry limits.
const AnyUses = -1

// PutRegistrationToken stores an initial access token (RFC 7591 §3) by its hash.
func (db *DB) PutRegistrationToken(
	ctx context.Context, hash string, uses int, now, expires time.Time, ev ...idp.Event,
) error {
	var b batch
	b.Do(`INSERT INTO registration_tokens (hash, uses_left, created_at, expires_at) VALUES ($1, $2, $3, $4)`, hash, uses,
		ms(now), ms(expires))
	b.events(ev)
	return db.run(ctx, "store registration token", &b)
}

// RevokeRegistrationTokens removes all initial access tokens; having none is no error.
func (db *DB) RevokeRegistrationTokens(ctx context.Context) error {
	var b batch
	b.Do(`DELETE FROM registration_tokens`)
	return db.run(ctx, "revoke registration tokens", &b)
}

// RegisterClient stores a client that registers itself, and counts one use of the initial access token: both or
// neither. With an empty tokenHash no token is needed. idp.ErrNotFound if the token has expired or is used up;
// idp.ErrConflict if the client ID is taken.
func (db *DB) RegisterClient(
	ctx context.Context, c idp.Client, tokenHash string, now time.Time, ev ...idp.Event,
) error {
	var b batch
	if tokenHash != "" {
		const live = `hash = $1 AND expires_at > $2 AND uses_left <> 0`
		// The idle update waits for others that count down the same row, and the demand checks what they left.
		b.Do(`UPDATE registration_tokens SET hash = hash WHERE `+live, tokenHash, ms(now))
		b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM registration_tokens WHERE `+live+`)`, tokenHash, ms(now))
		b.Do(`UPDATE registration_tokens SET uses_left = uses_left - 1 WHERE uses_left > 0 AND hash = $1`, tokenHash)
	}
	b.Do(insertClient, clientValues(c)...)
	b.events(ev)
	defer db.clients.Forget(c.ID)
	return db.run(ctx, "register client", &b)
}

// HasRegistrationToken reports whether an initial access token is live.
func (db *DB) HasRegistrationToken(ctx context.Context, hash string, now time.Time) (bool, error) {
	found, err := list(ctx, db, "look for registration token", pgx.RowTo[string],
		`SELECT hash FROM registration_tokens WHERE hash = $1 AND expires_at > $2 AND uses_left <> 0`, hash, ms(now))
	return len(found) > 0, err
}

// ChangeRegistration replaces a client while its registration token has this hash; idp.ErrNotFound if the client was
// changed or removed since. If the client now looks different to users, their grants are removed, so that they are
// asked again.
func (db *DB) ChangeRegistration(ctx context.Context, was, c idp.Client, hash string, ev ...idp.Event) error {
	var b batch
	const its = `id = $1 AND registration_hash <> '' AND registration_hash = $2`
	b.Hold(idp.ErrNotFound, "clients", its, c.ID, hash)
	b.Do(`UPDATE clients SET metadata = $3, secrets = $4, updated_at = $5, registration_hash = $6 WHERE `+its,
		c.ID, hash, text(c), text(c.Secrets), ms(c.UpdatedAt), c.RegistrationHash)
	b.askAgain(was, c)
	b.events(ev)
	defer db.clients.Forget(c.ID)
	return db.run(ctx, "change registration", &b)
}

// PutDescribed stores a client whose document was fetched again. It removes grants as ChangeRegistration does.
func (db *DB) PutDescribed(ctx context.Context, was, c idp.Client, ev ...idp.Event) error {
	var b batch
	b.put(c)
	b.askAgain(was, c)
	b.events(ev)
	defer db.clients.Forget(c.ID)
	return db.run(ctx, "store described client", &b)
}

// askAgain removes the grants of a client that no longer looks like the one that users saw.
func (b *batch) askAgain(was, is idp.Client) {
	if !is.LooksLike(was) {
		b.Do(`DELETE FROM grants WHERE client_id = $1`, is.ID)
	}
}

// UseClient records that a dynamic client is in use.
func (db *DB) UseClient(ctx context.Context, id string, now time.Time) error {
	var b batch
	b.Do(`UPDATE clients SET used_at = $2 WHERE id = $1 AND used_at > 0 AND used_at < $2`, id, ms(now))
	defer db.clients.Forget(id)
	return db.run(ctx, "note use of client", &b)
}

// SweepClients removes dynamic clients that were not used since a time, with all grants and families, as RemoveClient
// does: a few hundred at most, the rest with the next call. It returns how many it removed. now is the database's clock
// ([DB.Now]); like Sweep, it returns a [*SweepHeld] if that clock seems to have jumped.
func (db *DB) SweepClients(ctx context.Context, since, now time.Time) (deleted int64, err error) {
	if err := db.plausible(ctx, "sweep of clients", now, []swept{{
		table: "clients", column: "used_at", extra: " AND used_at > 0", before: older(now.Sub(since)), few: fewRows,
	}}); err != nil {
		return 0, err
	}
	unused, err := list(ctx, db, "list unused clients", pgx.RowTo[string],
		`SELECT id FROM clients WHERE used_at > 0 AND used_at <= $1 ORDER BY used_at LIMIT 500`, ms(since))
	if err != nil {
		return 0, err
	}
	for _, id := range unused {
		ev := idp.NewEvent(idp.EventClientRemoved, "", now)
		ev.ClientID, ev.Detail = id, map[string]string{"reason": "unused"}
		var b batch
		b.Hold(errUsed, "clients", "id = $1 AND used_at <= $2", id, ms(since))
		// Families that are not found by a grant are left to expire: without the client, nobody can use them.
		b.Do(`DELETE FROM families WHERE client_id = $1
			AND user_id IN (SELECT g.user_id FROM grants g WHERE g.client_id = $1)`, id)
		b.removeClient(id)
		b.events([]idp.Event{ev})
		switch err := db.run(ctx, "remove unused client", &b); {
		case errors.Is(err, errUsed): // used just now
		case err != nil:
			return deleted, err
		default:
			deleted++
		}
		db.clients.Forget(id)
	}
	return deleted, db.noteSweep(ctx, "sweep of clients", now)
}

var errUsed = errors.New("in use again")
