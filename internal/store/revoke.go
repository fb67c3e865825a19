package store

import (
	"context"
	"errors"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// revocable matches the live families f of one client, or of any with ""; $1 is now, $3 is the client.
const revocable = `f.revoked_at = 0 AND f.expires_at > $1 AND ($3 = '' OR f.client_id = $3)`

// revoke revokes the one live family that matches the condition, which begins with AND; $2 is key.
func (b *batch) revoke(condition, clientID, key string, now time.Time, ev []idp.Event) {
	b.Do(`UPDATE families AS f SET id = id WHERE `+revocable+condition, ms(now), key, clientID) // waits for others
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM families f WHERE `+revocable+condition+`)`, ms(now), key, clientID)
	b.Do(`UPDATE families AS f SET revoked_at = $1 WHERE `+revocable+condition, ms(now), key, clientID)
	b.events(ev)
}

// ReuseOfFamily handles a refresh token that RotateFamily refused: if it belongs to a live family, it was used twice
// (RFC 9700 §4.14.2). It revokes the family, records the event and returns the family's ID. idp.ErrNotFound if there is
// no such family, it had ended anyway, or its user is disabled: then the refusal says nothing about reuse.
func (db *DB) ReuseOfFamily(
	ctx context.Context, key FamilyKey, now time.Time, ev idp.Event,
) (familyID string, err error) {
	condition, argument := key.Condition()
	h, err := one(ctx, db, "load reused family", scanHeld, heldQuery+condition, ms(now), argument)
	if err != nil {
		return "", err
	}
	f := h.family
	ev.UserID, ev.ClientID, ev.SessionID = f.UserID, f.ClientID, f.SessionID
	var b batch
	b.revoke(` AND f.id = $2 AND EXISTS (SELECT 1 FROM users u WHERE u.id = f.user_id AND u.disabled_at = 0)`,
		"", f.ID, now, []idp.Event{ev})
	return f.ID, db.run(ctx, "revoke reused family", &b)
}

// RevokeFamily revokes a live family of this client, or of any client with ""; idp.ErrNotFound if there is none.
func (db *DB) RevokeFamily(ctx context.Context, familyID, clientID string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.revoke(` AND f.id = $2`, clientID, familyID, now, ev)
	return db.run(ctx, "revoke family", &b)
}

// RevokeOffline revokes the user's families with offline_access, except those of one session. Having none is no error.
func (db *DB) RevokeOffline(ctx context.Context, userID, exceptSID string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Exclusive("user:" + userID)
	b.Do(`UPDATE families SET revoked_at = $3 WHERE user_id = $1 AND session_id <> $2 AND offline AND revoked_at = 0`,
		userID, exceptSID, ms(now))
	b.events(ev)
	return db.run(ctx, "revoke offline access", &b)
}

// SpendFamily is RevokeFamily for a code that was presented again while it was being used: if the family is not stored
// yet, it never will be. found reports whether there was a live one; without it the event is not stored.
func (db *DB) SpendFamily(ctx context.Context, familyID string, now time.Time, ev idp.Event) (found bool, err error) {
	var b batch
	b.Exclusive("family:" + familyID)
	b.end(familyID, now)
	if err := db.run(ctx, "spend family", &b); err != nil {
		return false, err
	}
	err = db.RevokeFamily(ctx, familyID, "", now, ev)
	if errors.Is(err, idp.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// RevokeFamilyByHandle is RevokeFamily by a refresh token.
func (db *DB) RevokeFamilyByHandle(
	ctx context.Context, key FamilyKey, clientID string, now time.Time, ev ...idp.Event,
) error {
	var b batch
	condition, argument := key.Condition()
	b.revoke(condition, clientID, argument, now, ev)
	return db.run(ctx, "revoke family by refresh token", &b)
}

// RevokeOpaque is RevokeFamily by an opaque access token. It revokes the whole family, for any of its tokens (RFC 7009
// §2.1 allows it, and people who revoke a token mean the access).
func (db *DB) RevokeOpaque(ctx context.Context, hash, clientID string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.revoke(` AND f.id = (SELECT t.family_id FROM opaque_tokens t WHERE t.hash = $2)`, clientID, hash, now, ev)
	return db.run(ctx, "revoke family by opaque token", &b)
}
