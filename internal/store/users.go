package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/rows"
)

func scanUser(row pgx.CollectableRow) (u idp.User, err error) {
	err = row.Scan(rows.UserDest(&u)...)
	return u, err
}

// CreateUser adds a user. idp.ErrConflict if the e-mail address is taken.
func (db *DB) CreateUser(ctx context.Context, u idp.User, ev ...idp.Event) error {
	var b batch
	b.insertUser(u)
	b.events(ev)
	return db.run(ctx, "create user", &b)
}

// UserByID returns a user, disabled or not; idp.ErrNotFound.
func (db *DB) UserByID(ctx context.Context, id string) (idp.User, error) {
	return one(ctx, db, "load user", scanUser, `SELECT `+rows.UserColumns+` FROM users u WHERE u.id = $1`, id)
}

// UserByEmail returns the user with this normalised address, primary or not, disabled or not; idp.ErrNotFound.
func (db *DB) UserByEmail(ctx context.Context, email string) (idp.User, error) {
	return one(ctx, db, "load user by e-mail", scanUser,
		`SELECT `+rows.UserColumns+` FROM users u WHERE `+hasAddress, email)
}

// hasAddress is the condition on users u for the one with an address.
const hasAddress = `(u.email = $1 OR u.id = (SELECT a.user_id FROM addresses a WHERE a.email = $1))`

// HasHandle reports whether a user, disabled or not, has this user handle (WebAuthn L3 §5.4.3).
func (db *DB) HasHandle(ctx context.Context, handle []byte) (bool, error) {
	return one(ctx, db, "look for user handle", pgx.RowTo[bool],
		`SELECT EXISTS (SELECT 1 FROM users u WHERE u.handle = $1)`, handle)
}

// UpdateUser stores the name, e-mail, profile, role and whether the user is disabled. The handle never changes. If the
// address changes, the links that were sent to the old one are removed, and a recovery that waits is stopped.
// idp.ErrConflict if the e-mail address is taken,
// idp.ErrNotFound.
func (db *DB) UpdateUser(ctx context.Context, u idp.User, ev ...idp.Event) error {
	var b batch
	b.Hold(idp.ErrNotFound, "users", "id = $1", u.ID)
	b.updateUser(u)
	b.events(ev)
	return db.run(ctx, "update user", &b)
}

func (b *batch) updateUser(u idp.User) {
	b.freeAddress(u.ID, u.Email, u.UpdatedAt)
	b.Do(`DELETE FROM addresses WHERE email = $2 AND user_id = $1`, u.ID, u.Email)
	b.Do(`INSERT INTO former_addresses (id, user_id, email, left_at)
		SELECT CAST($3 AS TEXT), u.id, u.email, CAST($4 AS BIGINT) FROM users u
			WHERE u.id = $1 AND u.email <> $2 AND u.email_verified
		ON CONFLICT (user_id, email) DO UPDATE SET left_at = excluded.left_at`, u.ID, u.Email, idp.NewID(), ms(u.UpdatedAt))
	b.Do(`DELETE FROM links WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND u.email = $2)`,
		u.ID, u.Email)
	b.Do(`UPDATE users SET email = $2, email_verified = $3, name = $4, role = $5, profile = $6, updated_at = $7,
		disabled_at = $8, recovery_ready_at = CASE WHEN email = $2 THEN recovery_ready_at ELSE 0 END,
		recovery_stop = CASE WHEN email = $2 THEN recovery_stop ELSE '' END WHERE id = $1`,
		u.ID, u.Email, u.EmailVerified, u.Name, string(u.Role), text(u.Profile), ms(u.UpdatedAt), ms(u.DisabledAt))
}

// Users returns users in the order of their creation, after the one with that ID; "" begins at the first.
func (db *DB) Users(ctx context.Context, after string, limit int) ([]idp.User, error) {
	return list(ctx, db, "list users", scanUser,
		`SELECT `+rows.UserColumns+` FROM users u WHERE u.id > $1 ORDER BY u.id LIMIT $2`, after, limit)
}
