package store

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// DisableUser disables an account and revokes its families. The clients that want to hear of the end of its sessions
// are put into the outbox. The sessions themselves are in the ephemeral store: end them after this, so that none begins
// in between. An account that its user wants to be deleted waits from now on: they can no longer change their mind.
// idp.ErrNotFound, also if the account is disabled already; ErrLastOwner if nobody else owns the installation.
func (db *DB) DisableUser(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Exclusive("owners")
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", `id = $1 AND (disabled_at = 0 OR EXISTS (SELECT 1 FROM deletions d
		WHERE d.user_id = users.id AND d.asked_at = users.disabled_at))`, userID)
	b.keepOwner(userID)
	b.Do(`UPDATE users SET disabled_at = $2, updated_at = $2 WHERE id = $1`, userID, ms(now))
	b.Do(`UPDATE families SET revoked_at = $2 WHERE user_id = $1 AND revoked_at = 0`, userID, ms(now))
	b.logout(`user_id = $1`, userID, now)
	b.events(ev)
	return db.runLogout(ctx, "disable user", &b)
}

// EnableUser enables a disabled account again, also one that its user wants to be deleted: then it is not. Revoked
// families stay revoked. idp.ErrNotFound, also if the account is
// not disabled.
func (db *DB) EnableUser(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at > 0", userID)
	b.Do(`UPDATE users SET disabled_at = 0, updated_at = $2 WHERE id = $1`, userID, ms(now))
	b.Do(`DELETE FROM deletions WHERE user_id = $1`, userID)
	b.events(ev)
	return db.run(ctx, "enable user", &b)
}

// DisableClient disables a client: it is refused everywhere within 5 seconds, and its families are revoked at once. Its
// grants stay. idp.ErrNotFound, also if it is disabled already.
func (db *DB) DisableClient(ctx context.Context, id string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Exclusive("client:" + id)
	b.Hold(idp.ErrNotFound, "clients", "id = $1 AND disabled_at = 0", id)
	b.Do(`UPDATE clients SET disabled_at = $2, updated_at = $2 WHERE id = $1`, id, ms(now))
	b.Do(`UPDATE families SET revoked_at = $2 WHERE client_id = $1 AND revoked_at = 0`, id,
		ms(now)) // reads all families: there is no index for it
	b.events(ev)
	defer db.clients.Forget(id)
	return db.run(ctx, "disable client", &b)
}

// EnableClient enables a disabled client again. idp.ErrNotFound, also if it is not disabled.
func (db *DB) EnableClient(ctx context.Context, id string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Hold(idp.ErrNotFound, "clients", "id = $1 AND disabled_at > 0", id)
	b.Do(`UPDATE clients SET disabled_at = 0, updated_at = $2 WHERE id = $1`, id, ms(now))
	b.events(ev)
	defer db.clients.Forget(id)
	return db.run(ctx, "enable client", &b)
}
