package store

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/rows"
)

// EnrolUser adds a new user together with the first passkey, both or neither, so that no account is left without a
// passkey. idp.ErrConflict if the e-mail address is taken or the credential is known.
func (db *DB) EnrolUser(ctx context.Context, u idp.User, k idp.Passkey, ev ...idp.Event) error {
	var b batch
	b.insertUser(u)
	b.insertPasskey(k)
	b.events(ev)
	return db.run(ctx, "enrol user", &b)
}

// UpdateProfile stores what users may change about themselves, and nothing else: if an admin disables the user or
// changes their role in the meantime, that stays. idp.ErrNotFound, also for a disabled user.
func (db *DB) UpdateProfile(
	ctx context.Context, userID, name string, p idp.Profile, now time.Time, ev ...idp.Event,
) error {
	var b batch
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", userID)
	b.Do(`UPDATE users SET name = $2, profile = $3, updated_at = $4 WHERE id = $1`, userID, name, text(p), ms(now))
	b.events(ev)
	return db.run(ctx, "update profile", &b)
}

// VerifyEmail marks an address as confirmed by its user; idp.ErrNotFound unless it is still theirs.
func (db *DB) VerifyEmail(ctx context.Context, userID, email string, now time.Time, ev ...idp.Event) error {
	var b batch
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND email = $2 AND disabled_at = 0", userID, email)
	b.Do(`UPDATE users SET email_verified = $3, updated_at = $4 WHERE id = $1 AND email = $2`, userID, email, true,
		ms(now))
	b.events(ev)
	return db.run(ctx, "confirm address", &b)
}

func (b *batch) insertUser(u idp.User) {
	b.freeAddress(u.ID, u.Email, u.CreatedAt)
	b.Do(`INSERT INTO users (id, handle, email, email_verified, name, role, profile, created_at, updated_at, disabled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		u.ID, u.Handle, u.Email, u.EmailVerified, u.Name, string(u.Role), text(u.Profile), ms(u.CreatedAt), ms(u.UpdatedAt),
		ms(u.DisabledAt))
}

func (b *batch) insertPasskey(k idp.Passkey) {
	n := len(b.Statements)
	b.Do(rows.InsertPasskey)
	b.forms = append(b.forms, func(f rows.Form) { b.Statements[n].Args = f.Passkey(k) })
	if len(k.Attestation) > 0 && k.AttestationFormat != "none" {
		b.Do(`INSERT INTO attestations (passkey_id, statement) VALUES ($1, $2)`, k.ID, string(k.Attestation))
	}
}
