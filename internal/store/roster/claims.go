package roster

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

const claimColumns = `name, type, scope, description, seen_by, edited_by, created_at, updated_at`

func scanClaim(row store.Row) (c directory.Claim, err error) {
	err = row.Scan(&c.Name, (*string)(&c.Type), &c.Scope, &c.Description, store.Document(&c.SeenBy),
		store.Document(&c.EditedBy),
		store.Instant(&c.CreatedAt), store.Instant(&c.UpdatedAt))
	return c, err
}

// PutClaim stores the definition of a claim, new or changed. ErrInUse if another type is stored and there are values;
// ErrTooMany.
func (r *Roster) PutClaim(ctx context.Context, c directory.Claim, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("claims")
	b.Demand(ErrTooMany, `(SELECT count(*) FROM claims WHERE name <> $1) < $2`, c.Name, directory.MaxClaims)
	b.Demand(ErrInUse, `NOT EXISTS (SELECT 1 FROM claims WHERE name = $1 AND type <> $2) OR
		NOT EXISTS (SELECT 1 FROM user_claims WHERE name = $1) AND NOT EXISTS (SELECT 1 FROM group_claims WHERE name = $1)`,
		c.Name, string(c.Type))
	b.Do(`INSERT INTO claims (`+claimColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (name) DO UPDATE SET type = excluded.type, scope = excluded.scope, description = excluded.description,
			seen_by = excluded.seen_by, edited_by = excluded.edited_by, updated_at = excluded.updated_at`,
		c.Name, string(c.Type), c.Scope, c.Description, store.Text(c.SeenBy), store.Text(c.EditedBy),
		store.Millis(c.CreatedAt), store.Millis(c.UpdatedAt))
	b.Events(ev)
	return r.db.RunBatch(ctx, "define claim", &b)
}

// RemoveClaim removes a claim with all its values; idp.ErrNotFound.
func (r *Roster) RemoveClaim(ctx context.Context, name string, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("claims")
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM claims WHERE name = $1)`, name)
	b.Do(`DELETE FROM claims WHERE name = $1`, name)
	b.Events(ev)
	return r.db.RunBatch(ctx, "remove claim", &b)
}

// Claims returns all defined claims, by name.
func (r *Roster) Claims(ctx context.Context) ([]directory.Claim, error) {
	return store.List(ctx, r.db, "list claims", scanClaim, `SELECT `+claimColumns+` FROM claims ORDER BY name`)
}

// Values are values of claims by name, as JSON; an empty text removes the value.
type Values map[string]string

// SetUserClaims changes the values of a user, and leaves those that are not named; idp.ErrNotFound without the user or
// a claim of this type.
func (r *Roster) SetUserClaims(
	ctx context.Context, userID string, types map[string]directory.ClaimType, values Values, now time.Time,
	ev ...idp.Event,
) error {
	var b store.Batch
	b.Share("claims")
	b.Hold(idp.ErrNotFound, "users", "id = $1", userID)
	setValues(&b, "user_claims", "user_id", userID, types, values)
	b.Do(`UPDATE users SET updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at + 1 END WHERE id = $1`, userID,
		store.Millis(now))
	b.Events(ev)
	return r.db.RunBatch(ctx, "set claims of user", &b)
}

// SetGroupClaims is SetUserClaims for a group: its members inherit the values.
func (r *Roster) SetGroupClaims(
	ctx context.Context, groupID string, types map[string]directory.ClaimType, values Values, now time.Time,
	ev ...idp.Event,
) error {
	var b store.Batch
	b.Share("claims")
	b.Hold(idp.ErrNotFound, "user_groups", "id = $1", groupID)
	setValues(&b, "group_claims", "group_id", groupID, types, values)
	touch(&b, groupID, now)
	b.Events(ev)
	return r.db.RunBatch(ctx, "set claims of group", &b)
}

// setValues stores values under the lock that keeps the types of claims as they are.
func setValues(b *store.Batch, table, owner, id string, types map[string]directory.ClaimType, values Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if value == "" {
			b.Do(`DELETE FROM `+table+` WHERE `+owner+` = $1 AND name = $2`, id, name)
			continue
		}
		b.Do(`INSERT INTO `+table+` (`+owner+`, name, value) VALUES ($1, (SELECT name FROM claims WHERE name = $2 AND type =
			$4), $3)
			ON CONFLICT (`+owner+`, name) DO UPDATE SET value = excluded.value`, id, name, value, string(types[name]))
	}
}

func scanValue(row store.Row) (v directory.Value, err error) {
	err = row.Scan(&v.Claim, (*string)(&v.Type), &v.Scope, &v.JSON)
	return v, err
}

// UserClaims returns a user's own values, and GroupClaims those of a group, by name.
func (r *Roster) UserClaims(ctx context.Context, userID string) ([]directory.Value, error) {
	return store.List(ctx, r.db, "list claims of user", scanValue, `SELECT c.name, c.type, c.scope, v.value
		FROM user_claims v JOIN claims c ON c.name = v.name WHERE v.user_id = $1 ORDER BY c.name`, userID)
}

// GroupClaims is described at UserClaims.
func (r *Roster) GroupClaims(ctx context.Context, groupID string) ([]directory.Value, error) {
	return store.List(ctx, r.db, "list claims of group", scanValue, `SELECT c.name, c.type, c.scope, v.value
		FROM group_claims v JOIN claims c ON c.name = v.name WHERE v.group_id = $1 ORDER BY c.name`, groupID)
}
