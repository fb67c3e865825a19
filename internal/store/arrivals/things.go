package arrivals

import (
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// Group returns the group with this ID, or else the one with this name; found is false if there is neither.
func (a *Arrivals) Group(id, name string) (g directory.Group, found bool, err error) {
	var b store.Batch
	b.Read(engine.Into(&g, &found, func(row store.Row) (g directory.Group, err error) {
		err = row.Scan(&g.ID, &g.Name)
		return g, err
	}), `SELECT g.id, g.name FROM user_groups g WHERE g.id = $1 OR g.name_key = $2
		ORDER BY CASE WHEN g.id = $1 THEN 0 ELSE 1 END LIMIT 1`, id, directory.GroupKey(name))
	err = a.run(&b)
	return g, found, err
}

// AddGroup adds a group, within the group parentID if that is not empty. nested is false if the chain would be longer
// than directory.MaxNesting: then the group is in none.
func (a *Arrivals) AddGroup(
	g directory.Group, parentID string, values []directory.Value, m Mark, ev ...idp.Event,
) (nested bool, err error) {
	var b store.Batch
	if parentID != "" {
		var above int64
		b.Exclusive("groups")
		b.Read(engine.Into(&above, new(bool), func(row store.Row) (n int64, err error) {
			err = row.Scan(&n)
			return n, err
		}), `SELECT count(*) FROM group_paths WHERE group_id = $1`, parentID) // at least as many as the longest chain
		if err := a.run(&b); err != nil {
			return false, err
		}
		nested = 0 < above && above < directory.MaxNesting
		b = store.Batch{}
	}
	b.Do(`INSERT INTO user_groups (id, name, name_key, description, created_at, updated_at) VALUES ($1, $2, $3, $4, $5,
		$6)`, g.ID, g.Name, g.Key(), g.Description, store.Millis(g.CreatedAt), store.Millis(g.UpdatedAt))
	b.Do(`INSERT INTO group_paths (group_id, within_id) VALUES ($1, $1)`, g.ID)
	if nested {
		b.Do(`INSERT INTO group_nesting (child_id, parent_id) VALUES ($1, $2)`, g.ID, parentID)
		b.Do(`INSERT INTO group_paths (group_id, within_id) SELECT g.id, p.within_id FROM group_paths p, user_groups g
			WHERE g.id = $1 AND p.group_id = $2`, g.ID, parentID)
	}
	for _, v := range values {
		b.Do(`INSERT INTO group_claims (group_id, name, value) VALUES ($1, $2, $3)`, g.ID, v.Claim, v.JSON)
	}
	a.mark(&b, m)
	b.Events(ev)
	return nested, a.run(&b)
}

// HasClient reports whether there is a client with this ID, disabled or not.
func (a *Arrivals) HasClient(id string) (found bool, err error) {
	var b store.Batch
	b.Read(engine.Into(new(string), &found, text), `SELECT id FROM clients WHERE id = $1`, id)
	return found, a.run(&b)
}

// AddClient adds a client.
func (a *Arrivals) AddClient(c idp.Client, m Mark, ev ...idp.Event) error {
	var b store.Batch
	b.PutClient(c)
	a.mark(&b, m)
	b.Events(ev)
	return a.run(&b)
}

// Claims returns the types of the claims that are defined, by name.
func (a *Arrivals) Claims() (map[string]directory.Claim, error) {
	var found []directory.Claim
	var b store.Batch
	b.Read(engine.Collect(&found, func(row store.Row) (c directory.Claim, err error) {
		err = row.Scan(&c.Name, (*string)(&c.Type))
		return c, err
	}), `SELECT name, type FROM claims`)
	err := a.run(&b)
	claims := map[string]directory.Claim{}
	for _, c := range found {
		claims[c.Name] = c
	}
	return claims, err
}

// DefineClaim adds the definition of a claim.
func (a *Arrivals) DefineClaim(c directory.Claim, m Mark, ev ...idp.Event) error {
	var b store.Batch
	b.Do(`INSERT INTO claims (name, type, scope, description, seen_by, edited_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, c.Name, string(c.Type), c.Scope, c.Description, store.Text(c.SeenBy),
		store.Text(c.EditedBy), store.Millis(c.CreatedAt), store.Millis(c.UpdatedAt))
	a.mark(&b, m)
	b.Events(ev)
	return a.run(&b)
}
