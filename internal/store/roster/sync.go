package roster

import (
	"context"
	"fmt"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// A UserChange is the input of SyncUser.
type UserChange struct {
	Was, Now idp.User
	GroupIDs *[]string
	Undo     string
	Also     func(*store.Batch) // what another room stores with it; nil: nothing
}

// SyncUser is ChangeUser with what another room stores.
func (r *Roster) SyncUser(ctx context.Context, c UserChange, ev ...idp.Event) error {
	if c.GroupIDs != nil && len(*c.GroupIDs) > directory.MaxMemberships {
		return fmt.Errorf("change user: %w", ErrTooMany)
	}
	var b store.Batch
	b.ChangeUser(c.Was, c.Now, c.Undo)
	if c.GroupIDs != nil {
		setGroups(&b, c.Now.ID, *c.GroupIDs, c.Now.UpdatedAt)
	}
	if c.Also != nil {
		c.Also(&b)
	}
	b.Events(ev)
	return r.db.RunBatch(ctx, "change user", &b)
}

// A GroupChange is what a directory changes of a group whom the caller has seen as it was.
type GroupChange struct {
	Was, Now    directory.Group    // Was without an ID: the group is new
	Add, Remove []string           // IDs of users
	Also        func(*store.Batch) // what another room stores with it; nil: nothing
}

// SyncGroup makes all of a change or nothing of it: idp.ErrConflict if the group has changed since, or another one has
// the name; idp.ErrNotFound without one of the users; ErrTooMany if one would be in too many groups.
func (r *Roster) SyncGroup(ctx context.Context, c GroupChange, ev ...idp.Event) error {
	var b store.Batch
	if c.Was.ID == "" {
		createGroup(&b, c.Now)
	} else {
		changeGroup(&b, c.Was, c.Now)
	}
	for _, id := range c.Remove {
		b.Do(`DELETE FROM group_members WHERE group_id = $1 AND user_id = $2`, c.Now.ID, id)
	}
	for _, id := range c.Add {
		addMember(&b, c.Now.ID, id, c.Now.UpdatedAt)
	}
	if c.Also != nil {
		c.Also(&b)
	}
	b.Events(ev)
	return r.db.RunBatch(ctx, "sync group", &b)
}
