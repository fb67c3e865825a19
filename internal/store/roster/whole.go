package roster

import (
	"context"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// An Edge is a group that was put into another one directly.
type Edge struct{ ChildID, ParentID string }

// Edges returns how all groups are nested.
func (r *Roster) Edges(ctx context.Context) ([]Edge, error) {
	return store.List(ctx, r.db, "list nesting of groups", func(row store.Row) (e Edge, err error) {
		err = row.Scan(&e.ChildID, &e.ParentID)
		return e, err
	}, `SELECT child_id, parent_id FROM group_nesting ORDER BY child_id, parent_id`)
}

// Ranked returns the users with a role, by ID.
func (r *Roster) Ranked(ctx context.Context) ([]idp.User, error) {
	return store.List(ctx, r.db, "list users with a role", store.ScanUser,
		`SELECT `+store.UserColumns+` FROM users u WHERE u.role <> '' ORDER BY u.id`)
}
