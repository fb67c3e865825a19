package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// ErrLastOwner says that nobody would be left who owns the installation and can sign in.
var ErrLastOwner = errors.New("last owner")

// membershipColumn is all that the directory says of user u, in one text: a line each for a group that they are in, for
// a value of their own, and for a value that they inherit. A line may come twice. Its parts are separated by tabs;
// neither names nor JSON contain one.
const membershipColumn = `COALESCE((SELECT string_agg('g	' || g.name || '	' || g.id, '
') FROM group_members m JOIN group_paths p ON p.group_id = m.group_id JOIN user_groups g ON g.id = p.within_id
	WHERE m.user_id = u.id), '') || '
' || COALESCE((SELECT string_agg('v		' || c.name || '	' || c.type || '	' || c.scope || '	' || v.value, '
') FROM user_claims v JOIN claims c ON c.name = v.name WHERE v.user_id = u.id), '') || '
' || COALESCE((SELECT string_agg('v	' || g.name || '	' || c.name || '	' || c.type || '	' || c.scope || '	' || v.value, '
') FROM group_members m JOIN group_paths p ON p.group_id = m.group_id JOIN user_groups g ON g.id = p.within_id
	JOIN group_claims v ON v.group_id = g.id JOIN claims c ON c.name = v.name WHERE m.user_id = u.id), '')`

// memberColumns are userColumns with the membership; memberDest is where they go.
const memberColumns = userColumns + `, ` + membershipColumn

func memberDest(u *idp.User) []any { return append(userDest(u), &membership{&u.Membership}) }

// membership scans membershipColumn.
type membership struct{ To *directory.Membership }

// Scan implements sql.Scanner.
func (m *membership) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("membership stored as %T", v)
	}
	*m.To = directory.Membership{}
	for line := range strings.SplitSeq(s, "\n") {
		switch part := strings.Split(line, "\t"); {
		case line == "":
		case part[0] == "g" && len(part) == 3:
			m.To.Groups = append(m.To.Groups, directory.Group{Name: part[1], ID: part[2]})
		case part[0] == "v" && len(part) == 6:
			m.To.Values = append(m.To.Values, directory.Value{
				Group: part[1], Claim: part[2], Type: directory.ClaimType(part[3]), Scope: part[4], JSON: part[5],
			})
		default:
			return fmt.Errorf("membership line of %d parts", len(part))
		}
	}
	slices.SortFunc(m.To.Groups, func(a, b directory.Group) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.To.Values, func(a, b directory.Value) int {
		return strings.Compare(a.Claim+"\t"+a.Group, b.Claim+"\t"+b.Group)
	})
	m.To.Groups, m.To.Values = slices.Compact(m.To.Groups), slices.Compact(m.To.Values)
	return nil
}

// MembershipOf returns the groups of a user, and the values of claims that they have or inherit; idp.ErrNotFound.
func (db *DB) MembershipOf(ctx context.Context, userID string) (directory.Membership, error) {
	return one(ctx, db, "load groups of user", func(row pgx.CollectableRow) (m directory.Membership, err error) {
		err = row.Scan(&membership{&m})
		return m, err
	}, `SELECT `+membershipColumn+` FROM users u WHERE u.id = $1`, userID)
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
	AND EXISTS (SELECT 1 FROM passkeys k WHERE k.user_id = u.id AND k.suspended_at = 0)`

// lockOwners comes first in every batch that may take an owner away.
func (b *batch) lockOwners() { b.Exclusive("owners") }

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

// ChangeUser is UpdateUser for a user whom the caller has seen as they were: idp.ErrConflict if they have changed
// since, also if another user has the e-mail address. ErrLastOwner if nobody else owns the installation.
func (db *DB) ChangeUser(ctx context.Context, was, u idp.User, ev ...idp.Event) error {
	var b batch
	b.lockOwners()
	b.Hold(idp.ErrNotFound, "users", "id = $1", u.ID)
	b.Demand(idp.ErrConflict, `EXISTS (SELECT 1 FROM users WHERE id = $1 AND updated_at = $2 AND role = $3 AND
		disabled_at = $4)`,
		u.ID, ms(was.UpdatedAt), string(was.Role), ms(was.DisabledAt))
	if u.Role != directory.RoleOwner || u.Disabled() {
		b.keepOwner(u.ID)
	}
	b.updateUser(u)
	b.events(ev)
	return db.run(ctx, "change user", &b)
}
