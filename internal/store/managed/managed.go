// Package managed keeps which users and groups a directory manages over SCIM, and finds users and groups for it by
// index. Package store has the tables.
package managed

import (
	"context"
	"fmt"
	"strings"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// Records are those of a store. It is safe for concurrent use.
type Records struct{ db *store.DB }

// New returns the records of a store.
func New(db *store.DB) *Records { return &Records{db} }

// A User is a user with what their directory keeps here. Groups are those that they were put into directly; only
// [Records.WithGroups] reads them.
type User struct {
	idp.User
	directory.Managed
	Groups []directory.Group
}

// A Group is a group with what its directory keeps here.
type Group struct {
	directory.Group
	directory.Managed
}

// PutUser stores that a directory manages a user; idp.ErrConflict if another user has the user name.
func PutUser(b *store.Batch, userID string, m directory.Managed) {
	b.Do(`INSERT INTO managed_users (user_id, client_id, external_id, user_name, user_name_key, attributes, removed_at,
			disabled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (user_id) DO UPDATE SET client_id = excluded.client_id, external_id = excluded.external_id,
			user_name = excluded.user_name, user_name_key = excluded.user_name_key, attributes = excluded.attributes,
			removed_at = excluded.removed_at, disabled_at = excluded.disabled_at`,
		userID, m.ClientID, m.ExternalID, m.UserName, m.UserNameKey(), m.Attributes, store.Millis(m.RemovedAt),
		store.Millis(m.DisabledAt))
}

// PutGroup stores that a directory manages a group.
func PutGroup(b *store.Batch, groupID string, m directory.Managed) {
	b.Do(`INSERT INTO managed_groups (group_id, client_id, external_id) VALUES ($1, $2, $3)
		ON CONFLICT (group_id) DO UPDATE SET client_id = excluded.client_id, external_id = excluded.external_id`,
		groupID, m.ClientID, m.ExternalID)
}

const (
	userColumns = store.UserColumns + `, COALESCE(m.client_id, ''), COALESCE(m.external_id, ''),
		COALESCE(m.user_name, ''), COALESCE(m.attributes, ''), COALESCE(m.removed_at, 0),
		COALESCE(m.disabled_at, 0)`
	userTables   = `users u LEFT JOIN managed_users m ON m.user_id = u.id`
	groupColumns = `g.id, g.name, g.description, g.created_at, g.updated_at, COALESCE(m.client_id, ''),
		COALESCE(m.external_id, '')`
	groupTables = `user_groups g LEFT JOIN managed_groups m ON m.group_id = g.id`
	// there is the condition of users whom their directory has not deleted.
	there = `COALESCE(m.removed_at, 0) = 0`
)

func scanUser(row store.Row) (u User, err error) {
	err = row.Scan(append(rows.UserDest(&u.User), &u.ClientID, &u.ExternalID, &u.UserName, &u.Attributes,
		store.Instant(&u.RemovedAt), store.Instant(&u.Managed.DisabledAt))...)
	return u, err
}

func scanGroup(row store.Row) (g Group, err error) {
	err = row.Scan(&g.ID, &g.Name, &g.Description, store.Instant(&g.CreatedAt), store.Instant(&g.UpdatedAt), &g.ClientID,
		&g.ExternalID)
	return g, err
}

// User returns a user, also one whom their directory has deleted; idp.ErrNotFound.
func (r *Records) User(ctx context.Context, id string) (User, error) {
	return store.One(ctx, r.db, "load managed user", scanUser,
		`SELECT `+userColumns+` FROM `+userTables+` WHERE u.id = $1`, id)
}

// UserNamed returns the user to whom a directory gave this name; idp.ErrNotFound.
func (r *Records) UserNamed(ctx context.Context, name string) (User, error) {
	return store.One(ctx, r.db, "load user by name", scanUser, `SELECT `+userColumns+` FROM `+userTables+`
		WHERE m.user_name_key = $1`, directory.Managed{UserName: name}.UserNameKey())
}

// Group returns a group; idp.ErrNotFound.
func (r *Records) Group(ctx context.Context, id string) (Group, error) {
	return store.One(ctx, r.db, "load managed group", scanGroup,
		`SELECT `+groupColumns+` FROM `+groupTables+` WHERE g.id = $1`, id)
}

// A Page is a part of a list: the first Offset objects after the one with the ID After are skipped.
type Page struct {
	After         string
	Offset, Limit int
}

// Users returns users by ID, and Groups groups.
func (r *Records) Users(ctx context.Context, p Page) ([]User, error) {
	return store.List(ctx, r.db, "list managed users", scanUser, `SELECT `+userColumns+` FROM `+userTables+`
		WHERE u.id > $1 AND `+there+` ORDER BY u.id LIMIT $2 OFFSET $3`, p.After, p.Limit, p.Offset)
}

// Groups is described at Users.
func (r *Records) Groups(ctx context.Context, p Page) ([]Group, error) {
	return store.List(ctx, r.db, "list managed groups", scanGroup, `SELECT `+groupColumns+` FROM `+groupTables+`
		WHERE g.id > $1 ORDER BY g.id LIMIT $2 OFFSET $3`, p.After, p.Limit, p.Offset)
}

// CountUsers returns how many users Users finds, at most limit; CountGroups the same of groups.
func (r *Records) CountUsers(ctx context.Context, limit int) (int, error) {
	return r.count(ctx, `SELECT count(*) FROM (SELECT u.id FROM `+userTables+` WHERE u.id > '' AND `+there+`
		LIMIT $1) windowed`, limit)
}

// CountGroups is described at CountUsers.
func (r *Records) CountGroups(ctx context.Context, limit int) (int, error) {
	return r.count(ctx, `SELECT count(*) FROM (SELECT g.id FROM user_groups g WHERE g.id > '' LIMIT $1) windowed`, limit)
}

func (r *Records) count(ctx context.Context, sql string, args ...any) (int, error) {
	return store.One(ctx, r.db, "count", func(row store.Row) (n int, err error) { return n, row.Scan(&n) }, sql, args...)
}

// A Key is one of the values by which an index finds users or groups.
type Key struct {
	// Of is "id", "userName", "email", "displayName", "externalId" (of ClientID) or "member" (the ID of a user).
	Of, Value, ClientID string
}

// userKeys and groupKeys are the statements that find IDs by a key: $1 is its value, $2 the client.
var (
	userKeys = map[string]string{
		"id":         `SELECT id FROM users WHERE id = $1`,
		"userName":   `SELECT user_id FROM managed_users WHERE user_name_key = $1`,
		"email":      `SELECT id FROM users WHERE email = $1`,
		"externalId": `SELECT user_id FROM managed_users WHERE client_id = $2 AND external_id = $1`,
	}
	groupKeys = map[string]string{
		"id":          `SELECT id FROM user_groups WHERE id = $1`,
		"displayName": `SELECT id FROM user_groups WHERE name_key = $1`,
		"externalId":  `SELECT group_id FROM managed_groups WHERE client_id = $2 AND external_id = $1`,
		"member":      `SELECT group_id FROM group_members WHERE user_id = $1`,
	}
)

// FindUsers returns at most limit users that one of the keys finds, by ID; FindGroups the same for groups.
func (r *Records) FindUsers(ctx context.Context, keys []Key, limit int) ([]User, error) {
	found, args := union(userKeys, keys, limit)
	return store.List(ctx, r.db, "find managed users", scanUser, `SELECT `+userColumns+` FROM `+userTables+`
		WHERE u.id IN (`+found+`) AND `+there+` ORDER BY u.id LIMIT $1`, args...)
}

// FindGroups is described at FindUsers.
func (r *Records) FindGroups(ctx context.Context, keys []Key, limit int) ([]Group, error) {
	found, args := union(groupKeys, keys, limit)
	return store.List(ctx, r.db, "find managed groups", scanGroup, `SELECT `+groupColumns+` FROM `+groupTables+`
		WHERE g.id IN (`+found+`) ORDER BY g.id LIMIT $1`, args...)
}

// union returns the statement for all IDs that one of the keys finds, and its arguments after the limit. A union of
// lookups uses the indexes, where a condition with OR would read the table.
func union(statements map[string]string, keys []Key, limit int) (string, []any) {
	args, parts := []any{limit}, make([]string, 0, len(keys))
	for _, k := range keys {
		value := k.Value
		if k.Of == "userName" || k.Of == "displayName" {
			value = directory.GroupKey(value)
		}
		args = append(args, value, k.ClientID)
		at := func(n int) string { return fmt.Sprintf("$%d", len(args)-2+n) }
		// CAST: a statement may leave $2 unused, and Postgres must know the type of each argument.
		part := strings.NewReplacer("$1", at(1), "$2", at(2)).Replace(statements[k.Of])
		parts = append(parts, part+` AND CAST(`+at(2)+` AS TEXT) = `+at(2))
	}
	return strings.Join(parts, " UNION ALL "), args
}

// WithGroups reads the groups that each of the users was put into directly.
func (r *Records) WithGroups(ctx context.Context, users []User) error {
	if len(users) == 0 {
		return nil
	}
	args, places, at := []any(nil), []string(nil), map[string]int{}
	for i, u := range users {
		args, at[u.ID] = append(args, u.ID), i
		places = append(places, fmt.Sprintf("$%d", i+1))
	}
	type membership struct {
		userID string
		group  directory.Group
	}
	found, err := store.List(ctx, r.db, "list groups of users", func(row store.Row) (m membership, err error) {
		err = row.Scan(&m.userID, &m.group.ID, &m.group.Name)
		return m, err
	}, `SELECT gm.user_id, g.id, g.name FROM group_members gm JOIN user_groups g ON g.id = gm.group_id
		WHERE gm.user_id IN (`+strings.Join(places, ", ")+`) ORDER BY gm.user_id, g.name_key`, args...)
	for _, m := range found {
		u := &users[at[m.userID]]
		u.Groups = append(u.Groups, m.group)
	}
	return err
}

// A Member is a direct member of a group.
type Member struct{ GroupID, UserID string }

// Members returns direct members of groups, at most limit in all. Those whom their directory has deleted are not among
// them.
func (r *Records) Members(ctx context.Context, groupIDs []string, limit int) ([]Member, error) {
	if len(groupIDs) == 0 {
		return nil, nil
	}
	args, places := []any{limit}, []string(nil)
	for _, id := range groupIDs {
		args = append(args, id)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	return store.List(ctx, r.db, "list members of groups", func(row store.Row) (m Member, err error) {
		err = row.Scan(&m.GroupID, &m.UserID)
		return m, err
	}, `SELECT gm.group_id, gm.user_id FROM group_members gm LEFT JOIN managed_users m ON m.user_id = gm.user_id
		WHERE gm.group_id IN (`+strings.Join(places, ", ")+`) AND `+there+` ORDER BY gm.group_id, gm.user_id LIMIT $1`,
		args...)
}

// Among returns which of the users are direct members of a group.
func (r *Records) Among(ctx context.Context, groupID string, userIDs []string) (map[string]bool, error) {
	among := map[string]bool{}
	if len(userIDs) == 0 {
		return among, nil
	}
	args, places := []any{groupID}, []string(nil)
	for _, id := range userIDs {
		args = append(args, id)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	found, err := store.List(ctx, r.db, "look for members", func(row store.Row) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT user_id FROM group_members WHERE group_id = $1 AND user_id IN (`+strings.Join(places, ", ")+`)`, args...)
	for _, id := range found {
		among[id] = true
	}
	return among, err
}
