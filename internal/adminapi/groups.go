package adminapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A GroupAnswer is the answer with a group.
type GroupAnswer struct {
	ETag string `header:"ETag"`
	Body adminapi.Group
}

// A CreatedGroup is GroupAnswer for a new one.
type CreatedGroup struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     adminapi.Group
}

func groupAnswer(g directory.Group) *GroupAnswer {
	return &GroupAnswer{etag(g.UpdatedAt), wire.Group(g)}
}

// groups adds the operations on groups.
func (a *API) groups(api huma.API) {
	ops := a.cfg.Operations.Groups
	read, write := adminapi.ScopeGroupsRead, adminapi.ScopeGroupsWrite
	const tag = "groups"
	type search struct {
		By
		Part
		Name string `query:"name" maxLength:"400" doc:"The name in full; missing: all groups."`
	}
	register(api, operation{"list-groups", "GET", "/groups", "List groups by name, or find one", tag, read, 0, false},
		func(ctx context.Context, in *search) (*Listed[adminapi.Group], error) {
			if in.Name != "" {
				return a.groupNamed(ctx, in.actor, in.Name)
			}
			place, err := in.place()
			if err != nil {
				return nil, err
			}
			groups, err := ops.List(ctx, in.actor, place, in.Limit)
			next := ""
			if len(groups) == in.Limit {
				next = groups[len(groups)-1].Name
			}
			if err != nil {
				return nil, err
			}
			form, err := a.wireGroups(ctx, groups...)
			return listed(groups, next, form), err
		})
	type create struct {
		By
		Body adminapi.NewGroup
	}
	register(api, operation{"create-group", "POST", "/groups", "Create a group", tag, write, 201, false},
		func(ctx context.Context, in *create) (*CreatedGroup, error) {
			g, err := ops.Create(ctx, in.actor, admin.GroupInput(in.Body))
			return &CreatedGroup{etag(g.UpdatedAt), a.location("groups", g.ID), wire.Group(g)}, err
		})
	register(api, operation{"get-group", "GET", "/groups/{id}", "Read a group", tag, read, 0, false},
		func(ctx context.Context, in *OfID) (*GroupAnswer, error) {
			g, err := ops.Get(ctx, in.actor, in.ID)
			if err != nil {
				return nil, err
			}
			form, err := a.wireGroups(ctx, g)
			return &GroupAnswer{etag(g.UpdatedAt), form(g)}, err
		})
	type change struct {
		OfID
		Versioned
		Body adminapi.GroupChange
	}
	register(api, operation{"change-group", "PATCH", "/groups/{id}", "Change a group", tag, write, 0, true},
		func(ctx context.Context, in *change) (*GroupAnswer, error) {
			version, err := in.version()
			if err != nil {
				return nil, err
			}
			was, err := ops.Get(ctx, in.actor, in.ID)
			if err != nil {
				return nil, err
			}
			input := admin.GroupInput{Name: was.Name, Description: was.Description}
			if in.Body.Name != nil {
				input.Name = *in.Body.Name
			}
			if in.Body.Description != nil {
				input.Description = *in.Body.Description
			}
			if version.IsZero() { // what was read just now must not be written over somebody else's change
				version = was.UpdatedAt
			}
			g, err := ops.Change(ctx, in.actor, in.ID, input, version)
			return groupAnswer(g), err
		})
	register(api, operation{
		"remove-group", "DELETE", "/groups/{id}", "Remove a group; its members stay users", tag, write, http.StatusNoContent,
		false,
	}, func(ctx context.Context, in *OnGroup) (*Empty, error) {
		return &Empty{}, ops.Remove(ctx, in.actor, in.ID)
	})
	a.members(api)
	type nesting struct{ Body adminapi.Nesting }
	register(api, operation{
		"get-nesting", "GET", "/groups/{id}/nesting", "List the groups directly around a group", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*nesting, error) {
		if _, err := ops.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		around, err := ops.Around(ctx, in.actor, in.ID)
		if err != nil {
			return nil, err
		}
		form, err := a.wireGroups(ctx, slices.Concat(around.Parents, around.Children)...)
		return &nesting{adminapi.Nesting{
			Parents:  listed(around.Parents, "", form).Body.Items,
			Children: listed(around.Children, "", form).Body.Items,
		}}, err
	})
	type pair struct {
		OnGroup
		Parent string `path:"parent" maxLength:"256"`
	}
	register(api, operation{
		"nest-group", "PUT", "/groups/{id}/parents/{parent}", "Put a group into another one", tag, write,
		http.StatusNoContent, false,
	}, func(ctx context.Context, in *pair) (*Empty, error) {
		return &Empty{}, ops.Nest(ctx, in.actor, in.ID, in.Parent)
	})
	register(api, operation{
		"unnest-group", "DELETE", "/groups/{id}/parents/{parent}", "Take a group out of another one", tag, write,
		http.StatusNoContent, false,
	}, func(ctx context.Context, in *pair) (*Empty, error) {
		return &Empty{}, ops.Unnest(ctx, in.actor, in.ID, in.Parent)
	})
}

// groupNamed lists the one group with a name, or none.
func (a *API) groupNamed(ctx context.Context, by admin.Actor, name string) (*Listed[adminapi.Group], error) {
	g, err := a.cfg.Operations.Groups.Find(ctx, by, name)
	switch {
	case err == nil:
		form, err := a.wireGroups(ctx, g)
		return listed([]directory.Group{g}, "", form), err
	case errors.Is(err, idp.ErrNotFound):
		return listed([]directory.Group{}, "", wire.Group), nil
	}
	return nil, err
}

// members adds the operations on the members of groups.
func (a *API) members(api huma.API) {
	ops := a.cfg.Operations.Groups
	read, write := adminapi.ScopeGroupsRead, adminapi.ScopeGroupsWrite
	const tag = "groups"
	type list struct {
		OfID
		Part
	}
	register(api, operation{
		"list-members", "GET", "/groups/{id}/members", "List the direct members of a group", tag, read, 0, false,
	}, func(ctx context.Context, in *list) (*Listed[adminapi.User], error) {
		place, err := in.place()
		if err != nil {
			return nil, err
		}
		if _, err := ops.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		users, err := ops.Members(ctx, in.actor, in.ID, place, in.Limit)
		next := ""
		if len(users) == in.Limit {
			next = users[len(users)-1].ID
		}
		return listed(users, next, wire.User), err
	})
	type add struct {
		OnGroup
		Body adminapi.UserIDs
	}
	register(api, operation{
		"add-members", "POST", "/groups/{id}/members", "Put users into a group, all or none", tag, write,
		http.StatusNoContent, false,
	}, func(ctx context.Context, in *add) (*Empty, error) {
		return &Empty{}, ops.AddMembers(ctx, in.actor, in.ID, in.Body.UserIDs...)
	})
	type remove struct {
		OnGroup
		User string `path:"user" maxLength:"256"`
	}
	register(api, operation{
		"remove-member", "DELETE", "/groups/{id}/members/{user}", "Take a user out of a group", tag, write,
		http.StatusNoContent, false,
	}, func(ctx context.Context, in *remove) (*Empty, error) {
		err := ops.RemoveMembers(ctx, in.actor, in.ID, in.User)
		if faults, ok := err.(directory.Faults); ok && faults.Has("members") { // the user is in the path, not in a field
			err = idp.ErrNotFound
		}
		return &Empty{}, err
	})
}

// wireGroups returns what writes these groups, with the files that manage them.
func (a *API) wireGroups(ctx context.Context, groups ...directory.Group) (func(directory.Group) adminapi.Group, error) {
	var ids []string
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	files, err := a.marks.Sources(ctx, declared.Group, ids...)
	return func(g directory.Group) adminapi.Group {
		out := wire.Group(g)
		out.ManagedBy = files[g.ID]
		return out
	}, err
}
