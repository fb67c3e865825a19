package roster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// A NewUser is a user to add, with the groups they are in and, if they are invited, the link.
type NewUser struct {
	User     idp.User
	GroupIDs []string
	Link     *idp.Link
	Also     func(*store.Batch) // what another room stores with it; nil: nothing
	Events   []idp.Event
}

// AddUsers adds users: all or none. idp.ErrConflict if an e-mail address is taken, idp.ErrNotFound without a group.
func (r *Roster) AddUsers(ctx context.Context, users ...NewUser) error {
	var b store.Batch
	for _, n := range users {
		if len(n.GroupIDs) > directory.MaxMemberships {
			return fmt.Errorf("add user: %w", ErrTooMany)
		}
		b.InsertUser(n.User)
		for _, id := range n.GroupIDs {
			b.Do(`INSERT INTO group_members (user_id, group_id, added_at) VALUES ($1, (SELECT id FROM user_groups WHERE id =
				$2), $3)`,
				n.User.ID, id, store.Millis(n.User.CreatedAt))
		}
		if n.Link != nil {
			b.InsertLink(*n.Link)
		}
		if n.Also != nil {
			n.Also(&b)
		}
		b.Events(n.Events)
	}
	return r.db.RunBatch(ctx, "add users", &b)
}

// ChangeUser is [store.DB.UpdateUser] for a user whom the caller has seen as they were, and puts them into exactly
// these groups; nil leaves the groups. undo is the hash of the link with which the former address undoes a change of
// the address; empty: it cannot. idp.ErrConflict if they have changed since, also if another user has the e-mail
// address; store.ErrLastOwner if nobody else owns the installation.
func (r *Roster) ChangeUser(
	ctx context.Context, was, u idp.User, groupIDs *[]string, undo string, ev ...idp.Event,
) error {
	return r.SyncUser(ctx, UserChange{Was: was, Now: u, GroupIDs: groupIDs, Undo: undo}, ev...)
}

// setGroups puts a user into exactly these groups.
func setGroups(b *store.Batch, userID string, groupIDs []string, now time.Time) {
	args, places := []any{userID}, []string{"''"}
	for _, id := range groupIDs {
		args = append(args, id)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	b.Do(`DELETE FROM group_members WHERE user_id = $1 AND group_id NOT IN (`+strings.Join(places, ", ")+`)`, args...)
	for _, id := range groupIDs {
		addMember(b, id, userID, now)
	}
}

// Taken returns which of these e-mail addresses belong to users.
func (r *Roster) Taken(ctx context.Context, emails []string) (map[string]bool, error) {
	if len(emails) == 0 {
		return map[string]bool{}, nil
	}
	args, places := []any(nil), []string(nil)
	for _, email := range emails {
		args = append(args, email)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	found, err := store.List(ctx, r.db, "look for users", func(row store.Row) (email string, err error) {
		err = row.Scan(&email)
		return email, err
	}, fmt.Sprintf(`SELECT u.email FROM users u WHERE u.email IN (%[1]s)
		UNION SELECT a.email FROM addresses a WHERE a.email IN (%[1]s)`, strings.Join(places, ", ")), args...)
	taken := map[string]bool{}
	for _, email := range found {
		taken[email] = true
	}
	return taken, err
}

// CountOwners returns how many enabled owners there are.
func (r *Roster) CountOwners(ctx context.Context) (int, error) {
	return store.One(ctx, r.db, "count owners", func(row store.Row) (n int, err error) {
		return n, row.Scan(&n)
	}, `SELECT count(*) FROM users WHERE role <> '' AND role = 'owner' AND disabled_at = 0`)
}
