package desired

import (
	"context"
	"slices"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/store/roster"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Export returns the state that is there: everything but the clients that registered themselves. Secrets have their
// hashes.
func Export(ctx context.Context, ops *admin.Operations, by admin.Actor) (s State, err error) {
	if err := ops.MayRead(ctx, by); err != nil {
		return s, err
	}
	clients, err := ops.Clients.List(ctx, by)
	if err != nil {
		return s, err
	}
	for _, c := range clients {
		if c.Dynamic || !c.DocumentUntil.IsZero() {
			continue
		}
		out := Client{Client: Normal(c)}
		if !c.DisabledAt.IsZero() {
			out.Disabled = new(true)
		}
		s.Clients = append(s.Clients, out)
	}
	if s.Claims, err = ops.Claims.List(ctx, by); err != nil {
		return s, err
	}
	if s.Groups, err = exportGroups(ctx, ops, by); err != nil {
		return s, err
	}
	state, err := ops.Policy.Get(ctx, by)
	if err != nil {
		return s, err
	}
	s.Policy = config.Document{}
	for _, section := range state.Sections {
		if value, stored := state.Stored[section.Key]; stored && !section.Locked {
			s.Policy[section.Key] = value
		}
	}
	users, err := roster.New(ops.DB()).Ranked(ctx)
	s.Roles = map[string]directory.Role{}
	for _, u := range users {
		s.Roles[u.Email] = u.Role
	}
	return s, err
}

func exportGroups(ctx context.Context, ops *admin.Operations, by admin.Actor) (out []Group, err error) {
	w := work{ops: ops, by: by}
	groups, err := everyGroup(ctx, ops, by)
	if err != nil {
		return nil, err
	}
	edges, err := roster.New(ops.DB()).Edges(ctx)
	if err != nil {
		return nil, err
	}
	names, within := map[string]string{}, map[string][]string{}
	for _, g := range groups {
		names[g.ID] = g.Name
	}
	for _, e := range edges {
		within[e.ChildID] = append(within[e.ChildID], names[e.ParentID])
	}
	for _, g := range groups {
		values, err := w.valuesOf(ctx, g.ID)
		if err != nil {
			return nil, err
		}
		slices.Sort(within[g.ID])
		out = append(out, Group{g.Name, g.Description, within[g.ID], adminapi.ClaimValues(values)})
	}
	return out, nil
}
