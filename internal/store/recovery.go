package store

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// notRecovered is the condition that a user was not recovered lately; append the latest time that is long enough ago.
const notRecovered = `recovered_at <= `

func longAgo(now time.Time) int64 { return max(ms(now.Add(-idp.RecoveryClosed)), 0) }

// Recover gives an account to the passkey that was made in a recovery, which began at opened: it suspends the other
// passkeys, revokes the families, removes the links, and tells the clients that the sessions have ended. The sessions
// themselves are in the ephemeral store: end them after this. idp.ErrNotFound if the user is disabled, or was recovered
// since; idp.ErrConflict if the credential is known.
func (db *DB) Recover(ctx context.Context, k idp.Passkey, opened, now time.Time, ev ...idp.Event) error {
	var b batch
	b.recover(k, opened, now, ev)
	return db.runLogout(ctx, "recover user", &b)
}

// RecoverHeld is Recover for a recovery by e-mail alone: idp.ErrNotFound as well if it was stopped meanwhile, or its
// time is over.
func (db *DB) RecoverHeld(ctx context.Context, k idp.Passkey, opened, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Exclusive("user:" + k.UserID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM users WHERE id = $1 AND role = ''
		AND recovery_ready_at > $2 AND recovery_ready_at <= $3)`,
		k.UserID, ms(opened.Add(-directory.RecoveryOpen)), ms(now))
	b.recover(k, opened, now, ev)
	return db.runLogout(ctx, "recover user", &b)
}

func (b *batch) recover(k idp.Passkey, opened, now time.Time, ev []idp.Event) {
	b.Exclusive("user:" + k.UserID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0 AND recovered_at < $2", k.UserID, ms(opened))
	b.Do(`UPDATE passkeys SET suspended_at = $2 WHERE user_id = $1 AND `+notSuspended, k.UserID, ms(now))
	b.insertPasskey(k)
	b.Do(`UPDATE passkeys SET strong_from = $2 WHERE id = $1`, k.ID, ms(now.Add(idp.RecoveryClosed)))
	b.Do(`UPDATE users SET recovered_at = $2, updated_at = $2, recovery_failures = 0, recovery_ready_at = 0,
		recovery_stop = '' WHERE id = $1`, k.UserID, ms(now))
	b.Do(`UPDATE families SET revoked_at = $2 WHERE user_id = $1 AND revoked_at = 0`, k.UserID, ms(now))
	b.Do(`DELETE FROM links WHERE user_id = $1`, k.UserID)
	b.logout(`user_id = $1`, k.UserID, now)
	b.events(ev)
}

// AddPasskeyTo is AddPasskey for a user as the caller loaded them: idp.ErrNotFound if the account was recovered since.
// So a request that a thief began before a recovery, and holds open, adds nothing after it.
func (db *DB) AddPasskeyTo(ctx context.Context, u idp.User, k idp.Passkey, ev ...idp.Event) error {
	var b batch
	b.Exclusive("user:" + u.ID)
	b.Demand(idp.ErrNotFound, "EXISTS (SELECT 1 FROM users WHERE id = $1 AND disabled_at = 0 AND recovered_at = $2)",
		u.ID, ms(u.RecoveredAt))
	b.addPasskey(k)
	b.events(ev)
	return db.run(ctx, "add passkey", &b)
}

// KeepPasskey ends the suspension of a passkey. idp.ErrNotFound if it is not suspended or is another user's,
// idp.ErrClosed while the recovery is recent.
func (db *DB) KeepPasskey(ctx context.Context, userID, id string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "passkeys", "id = $1 AND user_id = $2 AND suspended_at > 0", id, userID)
	b.Demand(idp.ErrClosed, "EXISTS (SELECT 1 FROM users WHERE id = $1 AND "+notRecovered+"$2)", userID, longAgo(now))
	b.mayHaveMore(userID)
	b.Do(`UPDATE passkeys SET suspended_at = 0 WHERE id = $1`, id)
	b.events(ev)
	return db.run(ctx, "keep passkey", &b)
}
