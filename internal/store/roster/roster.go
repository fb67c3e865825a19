// Package roster keeps groups, who is in them, and the claims that an admin defined, in the tables beside those of
// package store. Reading what a user's membership is belongs to package store: tokens need it with the user.
package roster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// Errors of this package, beside those of idp.
var (
	ErrCycle   = errors.New("a group would be in itself")
	ErrTooDeep = fmt.Errorf("more than %d groups in a chain", directory.MaxNesting)
	ErrTooMany = errors.New("too many")
	// ErrInUse: a claim has values, so its type cannot change.
	ErrInUse = errors.New("in use")
)

// Roster is the groups and claims of a store. It is safe for concurrent use.
type Roster struct{ db *store.DB }

// New returns the roster of a store.
func New(db *store.DB) *Roster { return &Roster{db} }

const groupColumns = `g.id, g.name, g.description, g.created_at, g.updated_at`

func scanGroup(row store.Row) (g directory.Group, err error) {
	err = row.Scan(&g.ID, &g.Name, &g.Description, store.Instant(&g.CreatedAt), store.Instant(&g.UpdatedAt))
	return g, err
}

// CreateGroup adds a group; idp.ErrConflict if there is one with this name.
func (r *Roster) CreateGroup(ctx context.Context, g directory.Group, ev ...idp.Event) error {
	var b store.Batch
	createGroup(&b, g)
	b.Events(ev)
	return r.db.RunBatch(ctx, "create group", &b)
}

func createGroup(b *store.Batch, g directory.Group) {
	b.Do(`INSERT INTO user_groups (id, name, name_key, description, created_at, updated_at) VALUES ($1, $2, $3, $4, $5,
		$6)`,
		g.ID, g.Name, g.Key(), g.Description, store.Millis(g.CreatedAt), store.Millis(g.UpdatedAt))
	b.Do(`INSERT INTO group_paths (group_id, within_id) VALUES ($1, $1)`, g.ID)
}

// ChangeGroup stores the name and description of a group that the caller has seen as it was: idp.ErrConflict if it has
// changed since, or another group has the name; idp.ErrNotFound.
func (r *Roster) ChangeGroup(ctx context.Context, was, g directory.Group, ev ...idp.Event) error {
	var b store.Batch
	changeGroup(&b, was, g)
	b.Events(ev)
	return r.db.RunBatch(ctx, "change group", &b)
}

func changeGroup(b *store.Batch, was, g directory.Group) {
	b.Hold(idp.ErrNotFound, "user_groups", "id = $1", g.ID)
	b.Demand(idp.ErrConflict, `EXISTS (SELECT 1 FROM user_groups WHERE id = $1 AND updated_at = $2)`, g.ID,
		store.Millis(was.UpdatedAt))
	b.Do(`UPDATE user_groups SET name = $2, name_key = $3, description = $4, updated_at = $5 WHERE id = $1`,
		g.ID, g.Name, g.Key(), g.Description, store.Millis(g.UpdatedAt))
}

// RemoveGroup removes a group. Its members stay users, and the groups in it stay groups; idp.ErrNotFound.
func (r *Roster) RemoveGroup(ctx context.Context, id string, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("groups")
	b.Hold(idp.ErrNotFound, "user_groups", "id = $1", id)
	b.Do(`DELETE FROM group_nesting WHERE child_id = $1`, id)
	rebuild(&b, id)
	b.Do(`DELETE FROM user_groups WHERE id = $1`, id)
	b.Events(ev)
	return r.db.RunBatch(ctx, "remove group", &b)
}

// below are the groups in $1, itself included.
const below = `WITH RECURSIVE below (id) AS (
	SELECT g.id FROM user_groups g WHERE g.id = $1 UNION SELECT e.child_id FROM group_nesting e JOIN below ON e.parent_id
	= below.id)`

// rebuild brings group_paths up to date after a group was put into another one, or taken out of it.
func rebuild(b *store.Batch, id string) {
	b.Do(`DELETE FROM group_paths WHERE group_id <> within_id AND group_id IN (`+below+` SELECT id FROM below)`, id)
	b.Do(`INSERT INTO group_paths (group_id, within_id) `+below+`, paths (id, within) AS (
		SELECT id, id FROM below UNION SELECT paths.id, e.parent_id FROM paths JOIN group_nesting e ON e.child_id =
		paths.within)
		SELECT id, within FROM paths WHERE id <> within`, id)
}

// Nest puts a group into another one; that it is there already is no error. idp.ErrNotFound without one of them,
// ErrCycle, ErrTooDeep, ErrTooMany.
func (r *Roster) Nest(ctx context.Context, childID, parentID string, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("groups")
	b.Demand(idp.ErrNotFound, `(SELECT count(*) FROM user_groups WHERE id IN ($1, $2)) = CASE WHEN $1 = $2 THEN 1 ELSE 2
		END`, childID, parentID)
	b.Demand(ErrCycle, `NOT EXISTS (SELECT 1 FROM group_paths WHERE group_id = $1 AND within_id = $2)`, parentID, childID)
	b.Demand(ErrTooDeep, `(WITH RECURSIVE up (id, n) AS (
			SELECT g.id, 1 FROM user_groups g WHERE g.id = $1 UNION SELECT e.parent_id, up.n + 1 FROM group_nesting e JOIN up
			ON e.child_id = up.id),
		down (id, n) AS (
			SELECT g.id, 1 FROM user_groups g WHERE g.id = $2 UNION SELECT e.child_id, down.n + 1 FROM group_nesting e JOIN
			down ON e.parent_id = down.id)
		SELECT (SELECT max(n) FROM up) + (SELECT max(n) FROM down)) <= $3`, parentID, childID, directory.MaxNesting)
	b.Demand(ErrTooMany, `(SELECT count(*) FROM group_nesting WHERE child_id = $1) < $2`, childID, directory.MaxParents)
	b.Do(`INSERT INTO group_nesting (child_id, parent_id) VALUES ($1, $2) ON CONFLICT (child_id, parent_id) DO NOTHING`,
		childID, parentID)
	rebuild(&b, childID)
	b.Events(ev)
	return r.db.RunBatch(ctx, "nest group", &b)
}

// Unnest takes a group out of another one; idp.ErrNotFound if it is not in it directly.
func (r *Roster) Unnest(ctx context.Context, childID, parentID string, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("groups")
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM group_nesting WHERE child_id = $1 AND parent_id = $2)`, childID,
		parentID)
	b.Do(`DELETE FROM group_nesting WHERE child_id = $1 AND parent_id = $2`, childID, parentID)
	rebuild(&b, childID)
	b.Events(ev)
	return r.db.RunBatch(ctx, "unnest group", &b)
}

// AddMembers puts users into a group; those who are in it already stay. idp.ErrNotFound without the group or one of the
// users, ErrTooMany if a user is in directory.MaxMemberships groups. Then nothing changes.
func (r *Roster) AddMembers(
	ctx context.Context, groupID string, userIDs []string, now time.Time, ev ...idp.Event,
) error {
	var b store.Batch
	b.Hold(idp.ErrNotFound, "user_groups", "id = $1", groupID)
	for _, id := range userIDs {
		addMember(&b, groupID, id, now)
	}
	touch(&b, groupID, now)
	b.Events(ev)
	return r.db.RunBatch(ctx, "add members", &b)
}

func addMember(b *store.Batch, groupID, userID string, now time.Time) {
	b.Demand(ErrTooMany, `(SELECT count(*) FROM group_members WHERE user_id = $1 AND group_id <> $2) < $3`, userID,
		groupID, directory.MaxMemberships)
	b.Do(`INSERT INTO group_members (user_id, group_id, added_at)
		VALUES ((SELECT id FROM users WHERE id = $1), (SELECT id FROM user_groups WHERE id = $2), $3) ON CONFLICT (user_id,
		group_id) DO NOTHING`,
		userID, groupID, store.Millis(now))
}

// RemoveMembers takes users out of a group; those who are not in it are no error. idp.ErrNotFound without the group.
func (r *Roster) RemoveMembers(
	ctx context.Context, groupID string, userIDs []string, now time.Time, ev ...idp.Event,
) error {
	var b store.Batch
	b.Hold(idp.ErrNotFound, "user_groups", "id = $1", groupID)
	for _, id := range userIDs {
		b.Do(`DELETE FROM group_members WHERE group_id = $1 AND user_id = $2`, groupID, id)
	}
	touch(&b, groupID, now)
	b.Events(ev)
	return r.db.RunBatch(ctx, "remove members", &b)
}

// SetGroups puts a user into exactly these groups; idp.ErrNotFound without the user or one of the groups, ErrTooMany.
func (r *Roster) SetGroups(
	ctx context.Context, userID string, groupIDs []string, now time.Time, ev ...idp.Event,
) error {
	if len(groupIDs) > directory.MaxMemberships {
		return fmt.Errorf("set groups: %w", ErrTooMany)
	}
	var b store.Batch
	b.Hold(idp.ErrNotFound, "users", "id = $1", userID)
	setGroups(&b, userID, groupIDs, now)
	b.Events(ev)
	return r.db.RunBatch(ctx, "set groups", &b)
}

// touch marks a group as changed: who reads its version sees another one.
func touch(b *store.Batch, groupID string, now time.Time) {
	b.Do(`UPDATE user_groups SET updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at + 1 END WHERE id = $1`,
		groupID, store.Millis(now))
}

// Group returns a group; idp.ErrNotFound.
func (r *Roster) Group(ctx context.Context, id string) (directory.Group, error) {
	return store.One(ctx, r.db, "load group", scanGroup, `SELECT `+groupColumns+` FROM user_groups g WHERE g.id = $1`, id)
}

// GroupByName returns the group with this name, in any spelling; idp.ErrNotFound.
func (r *Roster) GroupByName(ctx context.Context, name string) (directory.Group, error) {
	return store.One(ctx, r.db, "load group by name", scanGroup,
		`SELECT `+groupColumns+` FROM user_groups g WHERE g.name_key = $1`, directory.GroupKey(name))
}

// Groups returns groups by name, after the one with that name; "" begins at the first.
func (r *Roster) Groups(ctx context.Context, after string, limit int) ([]directory.Group, error) {
	return store.List(ctx, r.db, "list groups", scanGroup,
		`SELECT `+groupColumns+` FROM user_groups g WHERE g.name_key > $1 ORDER BY g.name_key LIMIT $2`,
		directory.GroupKey(after), limit)
}

// GroupsOf returns the groups that a user was put into directly, by name.
func (r *Roster) GroupsOf(ctx context.Context, userID string) ([]directory.Group, error) {
	return store.List(ctx, r.db, "list groups of user", scanGroup, `SELECT `+groupColumns+`
		FROM group_members m JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY g.name_key`, userID)
}

// ParentsOf returns the groups that a group was put into directly, and ChildrenOf those that were put into it, by name.
func (r *Roster) ParentsOf(ctx context.Context, id string) ([]directory.Group, error) {
	return store.List(ctx, r.db, "list parents of group", scanGroup, `SELECT `+groupColumns+`
		FROM group_nesting n JOIN user_groups g ON g.id = n.parent_id WHERE n.child_id = $1 ORDER BY g.name_key`, id)
}

// ChildrenOf is described at ParentsOf.
func (r *Roster) ChildrenOf(ctx context.Context, id string) ([]directory.Group, error) {
	return store.List(ctx, r.db, "list children of group", scanGroup, `SELECT `+groupColumns+`
		FROM group_nesting n JOIN user_groups g ON g.id = n.child_id WHERE n.parent_id = $1 ORDER BY g.name_key`, id)
}

// Members returns the users who were put into a group directly, by ID, after that one; "" begins at the first.
func (r *Roster) Members(ctx context.Context, groupID, after string, limit int) ([]idp.User, error) {
	return store.List(ctx, r.db, "list members", store.ScanUser, `SELECT `+store.UserColumns+`
		FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = $1 AND m.user_id > $2 ORDER BY m.user_id
		LIMIT $3`,
		groupID, after, limit)
}

// CountMembers returns how many users were put into a group directly, counting no further than most.
func (r *Roster) CountMembers(ctx context.Context, groupID string, most int) (int, error) {
	return store.One(ctx, r.db, "count members", func(row store.Row) (n int, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT count(*) FROM (SELECT 1 FROM group_members WHERE group_id = $1 LIMIT $2) counted`, groupID, most)
}
