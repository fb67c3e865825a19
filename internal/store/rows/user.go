package rows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// UserColumns are the columns of a user u, in the table users and the view members.
const UserColumns = `u.id, u.handle, u.email, u.email_verified, u.name, u.role, u.profile, u.created_at, u.updated_at,
	u.disabled_at, u.recovered_at, u.recovery_ready_at`

// UserDest returns the destinations of UserColumns.
func UserDest(u *idp.User) []any {
	return []any{
		&u.ID, &u.Handle, &u.Email, &u.EmailVerified, &u.Name, (*string)(&u.Role), &Document{&u.Profile},
		(*Instant)(&u.CreatedAt), (*Instant)(&u.UpdatedAt), (*Instant)(&u.DisabledAt), (*Instant)(&u.RecoveredAt),
		(*Instant)(&u.RecoveryReadyAt),
	}
}

// MembershipColumn is all that the directory says of user u, a row of the view members, in one text: a line each for a
// group that they are in, for a value of their own, and for a value that they inherit. A line may be empty or come
// twice. Its parts are separated by tabs; neither names nor JSON contain one.
const MembershipColumn = `u.membership`

// Membership scans MembershipColumn.
type Membership struct{ To *directory.Membership }

// Scan implements sql.Scanner.
func (m *Membership) Scan(v any) error {
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

// FreeAddress is the condition that nobody but user $1 has address $2 besides a primary one, or can get it back:
// changes later than $3 can be undone.
const FreeAddress = `NOT EXISTS (SELECT 1 FROM addresses a WHERE a.email = $2 AND a.user_id <> $1)
	AND NOT EXISTS (SELECT 1 FROM address_changes c WHERE c.email = $2 AND c.user_id <> $1 AND c.undone_at = 0
		AND c.changed_at > $3)`

// Proven returns the condition that a row of users, named users, has a confirmed address; email is its parameter.
func Proven(users, email string) string {
	return `(` + users + `.email = ` + email + ` AND ` + users + `.email_verified OR EXISTS (SELECT 1 FROM addresses a
		WHERE a.user_id = ` + users + `.id AND a.email = ` + email + `))`
}
