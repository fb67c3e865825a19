// Package sync has the operations of administration that only directories use (SCIM), over those of package admin.
package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/store/roster"
)

// MaxMembers is how many members one call adds and removes.
const MaxMembers = 1000

// Sync is safe for concurrent use.
type Sync struct {
	DB         *store.DB
	Operations *admin.Operations
}

// May denies a directory what another one manages, as long as that one's client is there and not disabled.
func (s *Sync) May(ctx context.Context, by admin.Actor, m directory.Managed) error {
	if m.ClientID == "" || m.ClientID == by.ClientID {
		return nil
	}
	c, err := s.DB.Client(ctx, m.ClientID)
	switch {
	case errors.Is(err, idp.ErrNotFound) || err == nil && !c.DisabledAt.IsZero():
		return nil
	case err != nil:
		return fmt.Errorf("load client of the directory: %w", err)
	}
	return &admin.Denied{Rule: "other_directory", Text: "another directory manages this, with the client " + m.ClientID}
}

// A GroupSync is what a directory says of a group. Version is the UpdatedAt of the group as the caller read it; zero:
// whatever it is now.
type GroupSync struct {
	Name        string
	ExternalID  string
	Add, Remove []string // IDs of users
	Version     time.Time
}

// Group changes a group as its directory says: all of it, or nothing. An empty ID creates the group. Putting people
// into groups does not touch their accounts, so it is possible whatever their role. A name that clients refer to cannot
// change. idp.ErrNotFound, admin.ErrStale.
func (s *Sync) Group(ctx context.Context, by admin.Actor, id string, in GroupSync) (directory.Group, error) {
	if err := s.Operations.MayChange(ctx, by); err != nil {
		return directory.Group{}, err
	}
	was, err := s.synced(ctx, by, id, in)
	if err != nil {
		return was.Group, err
	}
	now := later(was.UpdatedAt)
	g := was.Group
	g.Name, g.UpdatedAt = in.Name, now
	kind := idp.EventGroupChanged
	if id == "" {
		g.ID, g.CreatedAt, kind = idp.NewID(), now, idp.EventGroupCreated
	}
	if err := g.Faults().Err(); err != nil {
		return was.Group, err
	}
	if len(in.Add)+len(in.Remove) > MaxMembers {
		return was.Group, directory.Faults{{Field: "members", Text: fmt.Sprintf("are limited to %d in one call", MaxMembers)}}
	}
	var events []idp.Event
	var fields []string
	if was.ID == "" || was.Name != g.Name {
		fields = append(fields, "name")
		if err := s.renames(ctx, by, was.Group); err != nil {
			return was.Group, err
		}
	}
	keep := directory.Managed{ClientID: by.ClientID, ExternalID: in.ExternalID}
	if was.Managed != keep {
		fields = append(fields, "directory")
	}
	if len(fields) > 0 {
		events = append(events, s.Operations.Event(by, kind, "", "group", g.ID, "name", g.Name, "fields",
			strings.Join(fields, " ")))
	}
	for change, ids := range map[string][]string{"added": in.Add, "removed": in.Remove} {
		for _, userID := range ids {
			events = append(events, s.Operations.Event(by, idp.EventGroupMembers, userID, change, g.Name, "group", g.ID))
		}
	}
	if len(events) == 0 {
		return was.Group, nil
	}
	err = roster.New(s.DB).SyncGroup(ctx, roster.GroupChange{
		Was: was.Group, Now: g, Add: in.Add, Remove: in.Remove,
		Also: func(b *store.Batch) { managed.PutGroup(b, g.ID, keep) },
	}, events...)
	return g, s.syncFault(ctx, g, err)
}

// synced returns the group that a directory may change, as it is.
func (s *Sync) synced(ctx context.Context, by admin.Actor, id string, in GroupSync) (was managed.Group, err error) {
	if id == "" {
		return was, nil
	}
	if was, err = managed.New(s.DB).Group(ctx, id); err != nil {
		return was, err
	}
	if !in.Version.IsZero() && !was.UpdatedAt.Equal(in.Version) {
		return was, admin.ErrStale
	}
	return was, s.May(ctx, by, was.Managed)
}

// renames denies another name for a group that a file manages, or that clients refer to.
func (s *Sync) renames(ctx context.Context, by admin.Actor, was directory.Group) error {
	if was.ID == "" {
		return nil
	}
	file, err := s.Operations.ManagedBy(ctx, by, declared.Group, was.ID)
	switch {
	case err != nil:
		return fmt.Errorf("look for the file of the group: %w", err)
	case file != "":
		return &admin.Denied{Rule: "managed", Text: fmt.Sprintf("the name is managed by %s: change it there", file)}
	}
	return s.Operations.Groups.Unused(ctx, was, "name", "cannot change")
}

func (s *Sync) syncFault(ctx context.Context, g directory.Group, err error) error {
	members := func(text string) error { return directory.Faults{{Field: "members", Text: text}} }
	switch {
	case errors.Is(err, roster.ErrTooMany):
		return members(fmt.Sprintf("a user can be in %d groups", directory.MaxMemberships))
	case errors.Is(err, idp.ErrNotFound):
		return members("one of these users does not exist")
	case errors.Is(err, idp.ErrConflict):
		if other, look := roster.New(s.DB).GroupByName(ctx, g.Name); look == nil && other.ID != g.ID {
			return directory.Faults{{Field: "name", Text: "belongs to another group already"}}
		}
		return admin.ErrStale
	}
	return err
}

// later returns a time to store as changed at: later than was, so that two versions differ.
func later(was time.Time) time.Time {
	now := time.Now().Truncate(time.Millisecond)
	if now.After(was) {
		return now
	}
	return was.Add(time.Millisecond)
}
