package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/roster"
)

// Groups are the operations on groups.
type Groups struct{ office }

// maxTogether is how many members one call adds or removes.
const maxTogether = 1000

// A GroupInput describes a group.
type GroupInput struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Get returns a group; Find returns the one with this name or ID. idp.ErrNotFound.
func (s *Groups) Get(ctx context.Context, by Actor, id string) (directory.Group, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return directory.Group{}, err
	}
	return s.roster.Group(ctx, id)
}

// Find is described at Get.
func (s *Groups) Find(ctx context.Context, by Actor, name string) (directory.Group, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return directory.Group{}, err
	}
	g, err := s.roster.GroupByName(ctx, name)
	if errors.Is(err, idp.ErrNotFound) {
		return s.roster.Group(ctx, name)
	}
	return g, err
}

// List returns groups by name, after the one with that name; "" begins at the first.
func (s *Groups) List(ctx context.Context, by Actor, afterName string, limit int) ([]directory.Group, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.roster.Groups(ctx, afterName, limit)
}

// Around is the groups that a group is in directly, and those that are in it.
type Around struct{ Parents, Children []directory.Group }

// Around returns the groups around a group.
func (s *Groups) Around(ctx context.Context, by Actor, id string) (a Around, err error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return a, err
	}
	if a.Parents, err = s.roster.ParentsOf(ctx, id); err != nil {
		return a, err
	}
	a.Children, err = s.roster.ChildrenOf(ctx, id)
	return a, err
}

// Members returns the direct members of a group by ID, after that one.
func (s *Groups) Members(ctx context.Context, by Actor, id, afterID string, limit int) ([]idp.User, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.roster.Members(ctx, id, afterID, limit)
}

// Of returns the groups that a user was put into directly.
func (s *Groups) Of(ctx context.Context, by Actor, userID string) ([]directory.Group, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.roster.GroupsOf(ctx, userID)
}

var nameTaken = directory.Faults{{Field: "name", Text: "belongs to another group already"}}

// Create adds a group.
func (s *Groups) Create(ctx context.Context, by Actor, in GroupInput) (directory.Group, error) {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return directory.Group{}, err
	}
	now := after(time.Time{})
	g := directory.Group{ID: idp.NewID(), Name: in.Name, Description: in.Description, CreatedAt: now, UpdatedAt: now}
	if err := g.Faults().Err(); err != nil {
		return g, err
	}
	err := s.roster.CreateGroup(ctx, g, s.event(by, idp.EventGroupCreated, "", "group", g.ID, "name", g.Name))
	if errors.Is(err, idp.ErrConflict) {
		return g, nameTaken
	}
	return g, err
}

// Change changes name and description. version is the UpdatedAt as the caller read it; zero: whatever it is now. A name
// that clients refer to cannot change: their rules would be about nothing.
func (s *Groups) Change(
	ctx context.Context, by Actor, id string, in GroupInput, version time.Time,
) (directory.Group, error) {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return directory.Group{}, err
	}
	was, err := s.roster.Group(ctx, id)
	if err == nil {
		err = s.free(ctx, by, declared.Group, id)
	}
	if err != nil {
		return was, err
	}
	if !version.IsZero() && !was.UpdatedAt.Equal(version) {
		return was, ErrStale
	}
	g := was
	g.Name, g.Description, g.UpdatedAt = in.Name, in.Description, after(was.UpdatedAt)
	if err := g.Faults().Err(); err != nil {
		return was, err
	}
	var fields []string
	if g.Name != was.Name {
		fields = append(fields, "name")
		if err := s.Unused(ctx, was, "name", "cannot change"); err != nil {
			return was, err
		}
	}
	if g.Description != was.Description {
		fields = append(fields, "description")
	}
	if len(fields) == 0 {
		return was, nil
	}
	err = s.roster.ChangeGroup(ctx, was, g,
		s.event(by, idp.EventGroupChanged, "", "group", g.ID, "name", g.Name, "fields", strings.Join(fields, " ")))
	if errors.Is(err, idp.ErrConflict) {
		if other, look := s.roster.GroupByName(ctx, g.Name); look == nil && other.ID != g.ID {
			return was, nameTaken
		}
		return was, ErrStale
	}
	return g, err
}

// Unused returns a fault if clients refer to a group by name.
func (s *Groups) Unused(ctx context.Context, g directory.Group, field, text string) error {
	clients, err := s.cfg.DB.Clients(ctx)
	if err != nil {
		return err
	}
	var users []string
	for _, c := range clients {
		if slices.Contains(c.AllowedGroups, g.Name) || slices.Contains(c.GroupsClaim.Only, g.Name) {
			users = append(users, c.ID)
		}
	}
	if len(users) == 0 {
		return nil
	}
	if len(users) > 5 {
		users = append(users[:5], "…")
	}
	return directory.Faults{{Field: field, Text: fmt.Sprintf("%s: clients refer to the group %q: %s",
		text, g.Name, strings.Join(users, ", "))}}
}

// Remove removes a group, unless clients refer to it. Its members stay users.
func (s *Groups) Remove(ctx context.Context, by Actor, id string) error {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return err
	}
	g, err := s.roster.Group(ctx, id)
	if err == nil {
		err = s.free(ctx, by, declared.Group, id)
	}
	if err != nil {
		return err
	}
	if err := s.Unused(ctx, g, "", "cannot be removed"); err != nil {
		return err
	}
	return s.roster.RemoveGroup(ctx, id, s.event(by, idp.EventGroupRemoved, "", "group", g.ID, "name", g.Name))
}

// AddMembers puts users into a group: all or none.
func (s *Groups) AddMembers(ctx context.Context, by Actor, id string, userIDs ...string) error {
	return s.members(ctx, by, id, userIDs, "added", s.roster.AddMembers)
}

// RemoveMembers takes users out of a group.
func (s *Groups) RemoveMembers(ctx context.Context, by Actor, id string, userIDs ...string) error {
	return s.members(ctx, by, id, userIDs, "removed", s.roster.RemoveMembers)
}

func (s *Groups) members(
	ctx context.Context, by Actor, id string, userIDs []string, change string,
	do func(context.Context, string, []string, time.Time, ...idp.Event) error,
) error {
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return err
	}
	if len(userIDs) > maxTogether {
		return directory.Faults{{Field: "members", Text: fmt.Sprintf("are limited to %d in one call", maxTogether)}}
	}
	g, err := s.roster.Group(ctx, id)
	if err != nil {
		return err
	}
	var events []idp.Event
	for _, userID := range userIDs {
		u, err := s.cfg.DB.UserByID(ctx, userID)
		if errors.Is(err, idp.ErrNotFound) {
			return directory.Faults{{Field: "members", Text: fmt.Sprintf("there is no user %q", userID)}}
		}
		if err != nil {
			return err
		}
		if err := s.touch(by, role, u); err != nil {
			return err
		}
		events = append(events, s.event(by, idp.EventGroupMembers, userID, change, g.Name, "group", g.ID))
	}
	err = do(ctx, id, userIDs, time.Now(), events...)
	if errors.Is(err, roster.ErrTooMany) {
		return directory.Faults{{Field: "members", Text: fmt.Sprintf("a user can be in %d groups", directory.MaxMemberships)}}
	}
	return err
}

// Nest puts a group into another one: its members become members of that as well.
func (s *Groups) Nest(ctx context.Context, by Actor, childID, parentID string) error {
	err := s.nesting(ctx, by, childID, parentID, "added", s.roster.Nest)
	fault := func(text string) error { return directory.Faults{{Field: "within", Text: text}} }
	switch {
	case errors.Is(err, roster.ErrCycle):
		return fault("a group cannot be in itself, directly or through others")
	case errors.Is(err, roster.ErrTooDeep):
		return fault(fmt.Sprintf("groups can be nested in chains of %d", directory.MaxNesting))
	case errors.Is(err, roster.ErrTooMany):
		return fault(fmt.Sprintf("a group can be in %d others", directory.MaxParents))
	}
	return err
}

// Unnest takes a group out of another one; idp.ErrNotFound if it is not in it directly.
func (s *Groups) Unnest(ctx context.Context, by Actor, childID, parentID string) error {
	return s.nesting(ctx, by, childID, parentID, "removed", s.roster.Unnest)
}

func (s *Groups) nesting(
	ctx context.Context, by Actor, childID, parentID, change string,
	do func(context.Context, string, string, ...idp.Event) error,
) error {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return err
	}
	if err := s.free(ctx, by, declared.Group, childID); err != nil {
		return err
	}
	return do(ctx, childID, parentID,
		s.event(by, idp.EventGroupNested, "", "group", childID, "parent", parentID, "change", change))
}
