package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/rows"
)

// ErrLastOwner says that nobody would be left who owns the installation and can sign in.
var ErrLastOwner = errors.New("last owner")

// memberColumns are the columns of the view members: a user with the membership. memberDest is where they go.
const memberColumns = rows.UserColumns + `, ` + rows.MembershipColumn

func memberDest(u *idp.User) []any {
	return append(rows.UserDest(u), &rows.Membership{To: &u.Membership})
}

// MembershipOf returns the groups of a user, and the values of claims that they have or inherit; idp.ErrNotFound.
func (db *DB) MembershipOf(ctx context.Context, userID string) (directory.Membership, error) {
	return one(ctx, db, "load groups of user", func(row pgx.CollectableRow) (m directory.Membership, err error) {
		err = row.Scan(&rows.Membership{To: &m})
		return m, err
	}, `SELECT `+rows.MembershipColumn+` FROM members u WHERE u.id = $1`, userID)
}

// admits demands that a user is in one of these groups; none admits everyone.
func (b *batch) admits(userID string, groups []string) {
	if len(groups) == 0 {
		return
	}
	args, places := []any{userID}, []string(nil)
	for _, name := range groups {
		args = append(args, name)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM group_members m JOIN group_paths p ON p.group_id = m.group_id
		JOIN user_groups g ON g.id = p.within_id WHERE m.user_id = $1 AND g.name IN (`+strings.Join(places, ", ")+`))`,
		args...)
}

// ownersHere is the condition on users u who own the installation and can sign in.
const ownersHere = `u.role <> '' AND u.role = 'owner' AND u.disabled_at = 0
	AND EXISTS (SELECT 1 FROM passkeys WHERE user_id = u.id AND ` + notSuspended + `)`

// keepOwner demands that there is another owner, if this user is one.
func (b *batch) keepOwner(userID string) {
	b.Demand(ErrLastOwner, `NOT EXISTS (SELECT 1 FROM users u WHERE u.id = $1 AND `+ownersHere+`)
		OR EXISTS (SELECT 1 FROM users u WHERE u.id <> $1 AND `+ownersHere+`)`, userID)
}

// HasOwner reports whether an owner can open the console: an enabled one with at least one passkey.
func (db *DB) HasOwner(ctx context.Context) (bool, error) {
	// role <> '' is said for SQLite, which must find the condition of the index in the query.
	return one(ctx, db, "look for an owner", pgx.RowTo[bool], `SELECT EXISTS (SELECT 1 FROM users u WHERE `+ownersHere+`)`)
}

// expect demands that a user is still as the caller has seen them: otherwise idp.ErrConflict. ErrLastOwner if the
// change to u leaves nobody who owns the installation.
func (b *batch) expect(was, u idp.User) {
	b.Exclusive("owners")
	b.Hold(idp.ErrNotFound, "users", "id = $1", u.ID)
	b.Demand(idp.ErrConflict, `EXISTS (SELECT 1 FROM users WHERE id = $1 AND updated_at = $2 AND role = $3 AND
		disabled_at = $4)`,
		u.ID, ms(was.UpdatedAt), string(was.Role), ms(was.DisabledAt))
	if u.Role != directory.RoleOwner || u.Disabled() {
		b.keepOwner(u.ID)
	}
}
