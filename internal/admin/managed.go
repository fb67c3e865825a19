package admin

import (
	"context"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/managed"
)

// keepUser returns what stores with a user what their directory keeps; nil if nothing is to be kept.
func keepUser(userID string, m *directory.Managed) func(*store.Batch) {
	if m == nil {
		return nil
	}
	return func(b *store.Batch) { managed.PutUser(b, userID, *m) }
}

// MayChange returns a *Denied unless the actor may change what admins change.
func (o *Operations) MayChange(ctx context.Context, by Actor) error {
	_, err := o.Users.admit(ctx, by, changing)
	return err
}

// Event returns a record of what the actor does, for operations that are in packages of their own (sync).
func (o *Operations) Event(by Actor, kind idp.EventKind, userID string, detail ...string) idp.Event {
	return o.Users.event(by, kind, userID, detail...)
}
