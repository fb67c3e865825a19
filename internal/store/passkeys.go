package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/rows"
)

// MaxPasskeys is how many passkeys a user may have: an unbounded list would not fit a ceremony's options.
const MaxPasskeys = 20

func scanPasskey(row pgx.CollectableRow) (k idp.Passkey, err error) {
	err = row.Scan(rows.PasskeyDest(&k)...)
	return k, err
}

// AddPasskey adds a passkey to its user. idp.ErrConflict if any user has this credential (WebAuthn L3 §7.1 step 26),
// ErrTooManyPasskeys, idp.ErrNotFound if there is no such user.
func (db *DB) AddPasskey(ctx context.Context, k idp.Passkey, ev ...idp.Event) error {
	var b batch
	b.addPasskey(k)
	b.events(ev)
	return db.run(ctx, "add passkey", &b)
}

func (b *batch) addPasskey(k idp.Passkey) {
	b.Hold(idp.ErrNotFound, "users", "id = $1", k.UserID) // counting a user's passkeys needs a lock on the user
	b.mayHaveMore(k.UserID)
	b.insertPasskey(k)
	b.Do(`UPDATE passkeys SET strong_from = (SELECT recovered_at + $3 FROM users WHERE id = $2)
		WHERE id = $1 AND EXISTS (SELECT 1 FROM users WHERE id = $2 AND recovered_at > 0)`, k.ID, k.UserID,
		idp.RecoveryClosed.Milliseconds())
}

// notSuspended is the condition that a passkey is not suspended.
const notSuspended = "COALESCE(suspended_at, 0) = 0"

// mayHaveMore demands that a user may have one more passkey.
func (b *batch) mayHaveMore(userID string) {
	b.Demand(ErrTooManyPasskeys, "(SELECT count(*) FROM passkeys WHERE user_id = $1 AND "+notSuspended+") < $2", userID,
		MaxPasskeys)
}

// PasskeyByCredentialID returns a passkey and its user, disabled or not, in one round trip; idp.ErrNotFound.
func (db *DB) PasskeyByCredentialID(ctx context.Context, credentialID []byte) (idp.Passkey, idp.User, error) {
	type pair struct {
		passkey idp.Passkey
		user    idp.User
	}
	p, err := one(ctx, db, "load passkey", func(row pgx.CollectableRow) (p pair, err error) {
		err = row.Scan(append(rows.PasskeyDest(&p.passkey), rows.UserDest(&p.user)...)...)
		return p, err
	}, `SELECT `+rows.PasskeyColumns+`, `+rows.UserColumns+` FROM passkeys k JOIN users u ON u.id = k.user_id
		WHERE k.credential_id = $1`, credentialID)
	return p.passkey, p.user, err
}

// PasskeysOf returns the passkeys of a user, oldest first.
func (db *DB) PasskeysOf(ctx context.Context, userID string) ([]idp.Passkey, error) {
	return list(ctx, db, "list passkeys", scanPasskey,
		`SELECT `+rows.PasskeyColumns+` FROM passkeys k WHERE k.user_id = $1 ORDER BY k.created_at, k.id`, userID)
}

// PasskeysByEmail returns the passkeys that are not suspended of the enabled user with this normalised address, oldest
// first, and the passkeys of another user: the owner of the first credential ID at or after pivot, which is random but
// always the same for an address. Decoys for an unknown address take their shape from the second list. One round trip;
// either list may be empty.
func (db *DB) PasskeysByEmail(
	ctx context.Context, email string, pivot []byte,
) (theirs, model []idp.Passkey, err error) {
	type row struct {
		own     int64
		passkey idp.Passkey
	}
	found, err := list(ctx, db, "list passkeys by e-mail", func(from pgx.CollectableRow) (r row, err error) {
		err = from.Scan(append([]any{&r.own}, rows.PasskeyDest(&r.passkey)...)...)
		return r, err
	}, `SELECT 1 AS own, `+rows.PasskeyColumns+` FROM users u JOIN passkeys k ON k.user_id = u.id WHERE `+hasAddress+`
		AND u.disabled_at = 0 AND COALESCE(k.suspended_at, 0) = 0
		UNION ALL SELECT 0 AS own, `+rows.PasskeyColumns+` FROM passkeys k WHERE k.user_id = COALESCE(
			(SELECT p.user_id FROM passkeys p WHERE p.credential_id >= $2 ORDER BY p.credential_id LIMIT 1),
			(SELECT p.user_id FROM passkeys p WHERE p.credential_id < $2 ORDER BY p.credential_id LIMIT 1))
		ORDER BY created_at, id`, email, pivot)
	for _, r := range found {
		if r.own == 1 {
			theirs = append(theirs, r.passkey)
		} else {
			model = append(model, r.passkey)
		}
	}
	return theirs, model, err
}

// Attestation returns the attestation of a passkey. It has its own table, because only a check against new metadata
// reads it. It is nil if the registration proved nothing (format none).
func (db *DB) Attestation(ctx context.Context, passkeyID string) (json.RawMessage, error) {
	found, err := list(ctx, db, "load attestation", pgx.RowTo[string],
		`SELECT statement FROM attestations WHERE passkey_id = $1
		UNION ALL SELECT attestation FROM passkeys WHERE id = $1 AND attestation <> ''
			AND attestation_format <> 'none'`, passkeyID)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return json.RawMessage(found[0]), nil
}

// RenamePasskey names one of the user's passkeys; idp.ErrNotFound.
func (db *DB) RenamePasskey(ctx context.Context, userID, id, name string, ev ...idp.Event) error {
	var b batch
	b.Hold(idp.ErrNotFound, "passkeys", "id = $1 AND user_id = $2", id, userID)
	b.Do(`UPDATE passkeys SET name = $2 WHERE id = $1`, id, name)
	b.events(ev)
	return db.run(ctx, "rename passkey", &b)
}

// RemovePasskey removes one of the user's passkeys: idp.ErrNotFound, idp.ErrLastPasskey, or idp.ErrClosed after a
// recovery. However many removals run at once, one passkey that opens the account stays. If end is set, the families of
// its authentications are revoked too, offline or not, and none can still be created.
func (db *DB) RemovePasskey(ctx context.Context, userID, id string, end bool, ev ...idp.Event) error {
	var b batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1", userID)
	b.Demand(idp.ErrNotFound, "EXISTS (SELECT 1 FROM passkeys WHERE id = $1 AND user_id = $2)", id, userID)
	b.Demand(idp.ErrClosed, "EXISTS (SELECT 1 FROM users WHERE id = $1 AND "+notRecovered+"$2)", userID,
		longAgo(time.Now()))
	b.Demand(idp.ErrLastPasskey, "EXISTS (SELECT 1 FROM passkeys WHERE user_id = $1 AND id <> $2 AND "+notSuspended+")",
		userID, id)
	b.Do(`DELETE FROM passkeys WHERE id = $1 AND user_id = $2`, id, userID)
	if end {
		b.end(id, time.Now())
		b.Do(`UPDATE families SET revoked_at = $3 WHERE user_id = $1 AND revoked_at = 0
			AND (passkey_id = $4 OR passkey_id = '' AND EXISTS (SELECT 1 FROM authentications a
				WHERE a.id = families.authentication_id AND a.passkey_id = $2))`,
			userID, id, nowMS(), rows.ShortID(id))
	}
	b.events(ev)
	return db.run(ctx, "remove passkey", &b)
}

// RecordAuthentication stores a finished assertion and its changes to the passkey: flags, signature counter, user
// verification, key protection, last use. The counter never goes down, even if two assertions arrive in the wrong
// order. One batch; idp.ErrNotFound if the passkey was removed or suspended in the meantime, and idp.ErrConflict if the
// counter of a device-bound passkey did not grow: of several assertions with one count, one is stored. After an error
// nothing is.
// It returns the user's grant to the client, read in the same round trip; nil if there is none, or no client.
func (db *DB) RecordAuthentication(
	ctx context.Context, k idp.Passkey, a idp.Authentication, clientID string, ev ...idp.Event,
) (*idp.Grant, error) {
	var b batch
	return db.recordAuthentication(ctx, &b, k, a, clientID, ev)
}

// RecordAuthenticationAndStop is RecordAuthentication for a user whose recovery by e-mail alone waits: it stops that
// recovery.
func (db *DB) RecordAuthenticationAndStop(
	ctx context.Context, k idp.Passkey, a idp.Authentication, clientID string, ev ...idp.Event,
) (*idp.Grant, error) {
	var b batch
	b.Do(`UPDATE users SET recovery_ready_at = 0, recovery_stop = '' WHERE id = $1`, a.UserID)
	return db.recordAuthentication(ctx, &b, k, a, clientID, ev)
}

func (db *DB) recordAuthentication(
	ctx context.Context, b *batch, k idp.Passkey, a idp.Authentication, clientID string, ev []idp.Event,
) (*idp.Grant, error) {
	if !k.Synced() && k.SignCount > 0 {
		b.Do(`UPDATE passkeys SET id = id WHERE id = $1`, k.ID) // waits for other assertions of this passkey
		b.Demand(idp.ErrConflict, "NOT EXISTS (SELECT 1 FROM passkeys WHERE id = $1 AND user_id = $2 AND sign_count >= $3)",
			k.ID, a.UserID, int64(k.SignCount))
	}
	// Attestation of format none proves nothing, but older programs stored it: more than half of the row.
	form := db.form()
	b.Do(`UPDATE passkeys SET flags = $3, sign_count = CASE WHEN COALESCE(sign_count, 0) < $4 THEN $4 ELSE sign_count END,
			uv_initialized = $5, last_used_at = $6, last_agent = $7, key_protection = $8,
			attestation = CASE WHEN attestation_format = 'none' THEN '' ELSE attestation END WHERE id = $1 AND user_id = $2`,
		k.ID, a.UserID, form.Flags(k), int64(k.SignCount), form.UVInitialized(k), ms(k.LastUsedAt), form.LastAgent(k),
		form.KeyProtection(k))
	// Now the row is locked.
	b.Demand(idp.ErrNotFound, "EXISTS (SELECT 1 FROM passkeys WHERE id = $1 AND user_id = $2 AND "+notSuspended+")",
		k.ID, a.UserID)
	if db.compact.Load() {
		b.authentication(a, k.ID, ev)
	} else {
		b.Do(`INSERT INTO authentications (id, user_id, passkey_id, at, purpose, interaction, action_classes,
				user_verified, backup_eligible, backed_up, hardware_bound)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			a.ID, a.UserID, k.ID, ms(a.At), string(a.Purpose), a.Interaction, text(a.ActionClasses),
			a.UserVerified, a.BackupEligible, a.BackedUp, a.HardwareBound)
		b.events(ev)
	}
	var found []grantRow
	b.Read(engine.Collect(&found, scanGrantRow), grantQuery+` AND g.client_id = $2 ORDER BY s.scope`, a.UserID, clientID)
	if err := db.run(ctx, "record authentication", b); err != nil || len(found) == 0 {
		return nil, err
	}
	return &collectGrants(found)[0], nil
}

// RegressPasskey records that the signature counter of a passkey went backwards (WebAuthn L3 §7.2 step 22). It does not
// change the counter. idp.ErrNotFound.
func (db *DB) RegressPasskey(ctx context.Context, passkeyID string, at time.Time, ev ...idp.Event) error {
	var b batch
	b.Hold(idp.ErrNotFound, "passkeys", "id = $1", passkeyID)
	b.Do(`UPDATE passkeys SET counter_regressed_at = $2 WHERE id = $1`, passkeyID, ms(at))
	b.events(ev)
	return db.run(ctx, "note regressed counter", &b)
}
