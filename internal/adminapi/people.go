package adminapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/store/lookup"
	"github.com/stepward/stepward/pkg/adminapi"
)

// people adds the operations on what is kept about a user.
func (a *API) people(api huma.API) {
	ops, groups := a.cfg.Operations.Users, a.cfg.Operations.Groups
	read, write := adminapi.ScopeUsersRead, adminapi.ScopeUsersWrite
	const tag = "users"
	register(api, operation{
		"list-passkeys", "GET", "/users/{id}/passkeys", "List the passkeys of a user, without keys", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*Listed[adminapi.Passkey], error) {
		keys, err := ops.Passkeys(ctx, in.actor, in.ID)
		return listed(keys, "", wire.Passkey), err
	})
	register(api, operation{
		"list-sessions", "GET", "/users/{id}/sessions", "List the sessions of a user", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*Listed[adminapi.Session], error) {
		sessions, err := ops.Sessions(ctx, in.actor, in.ID)
		return listed(sessions, "", wire.Session), err
	})
	type ended struct{ Body adminapi.Ended }
	register(api, operation{
		"sign-out", "DELETE", "/users/{id}/sessions", "End all sessions of a user and their tokens", tag, write, 0, false,
	}, func(ctx context.Context, in *OfID) (*ended, error) {
		n, err := ops.SignOut(ctx, in.actor, in.ID)
		return &ended{adminapi.Ended{Sessions: n}}, err
	})
	type session struct {
		OfID
		Session string `path:"session" maxLength:"256"`
	}
	register(api, operation{
		"end-session", "DELETE", "/users/{id}/sessions/{session}", "End a session and its tokens", tag, write,
		http.StatusNoContent, false,
	}, func(ctx context.Context, in *session) (*Empty, error) {
		return &Empty{}, ops.EndSession(ctx, in.actor, in.ID, in.Session)
	})
	register(api, operation{
		"list-applications", "GET", "/users/{id}/applications", "List what a user allowed each client", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*Listed[adminapi.Application], error) {
		grants, err := ops.Applications(ctx, in.actor, in.ID)
		return listed(grants, "", wire.Application), err
	})
	type application struct {
		OfID
		Client string `path:"client_id" maxLength:"256"`
	}
	register(api, operation{
		"revoke-application", "DELETE", "/users/{id}/applications/{client_id}", "Take back what a user allowed a client", tag,
		write, http.StatusNoContent, false,
	}, func(ctx context.Context, in *application) (*Empty, error) {
		return &Empty{}, ops.RevokeApplication(ctx, in.actor, in.ID, in.Client)
	})
	type eventsOf struct {
		OfID
		Part
	}
	register(api, operation{
		"list-events-of-user", "GET", "/users/{id}/events", "List the events about a user, newest first", tag, read, 0, false,
	}, func(ctx context.Context, in *eventsOf) (*Listed[adminapi.Event], error) {
		place, err := in.place()
		if err != nil {
			return nil, err
		}
		if _, err := ops.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		events, next, err := a.cfg.Operations.Events.Search(ctx, in.actor, lookup.Filter{UserID: in.ID}, place, in.Limit)
		return listed(events, next, wire.Event), err
	})
	type names struct{ Body adminapi.GroupNames }
	groupsOf := func(ctx context.Context, by admin.Actor, id string) (*names, error) {
		if _, err := ops.Get(ctx, by, id); err != nil {
			return nil, err
		}
		list, err := groups.Of(ctx, by, id)
		out := &names{adminapi.GroupNames{Groups: []string{}}}
		for _, g := range list {
			out.Body.Groups = append(out.Body.Groups, g.Name)
		}
		return out, err
	}
	register(api, operation{
		"list-groups-of-user", "GET", "/users/{id}/groups", "List the groups that a user was put into", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*names, error) { return groupsOf(ctx, in.actor, in.ID) })
	type put struct {
		OnUser
		Body adminapi.GroupNames
	}
	register(api, operation{
		"set-groups-of-user", "PUT", "/users/{id}/groups", "Put a user into exactly these groups", tag,
		adminapi.ScopeGroupsWrite, 0, false,
	}, func(ctx context.Context, in *put) (*names, error) {
		wanted := wire.Some(in.Body.Groups)
		if _, err := ops.Change(ctx, in.actor, in.ID, admin.UserChange{Groups: &wanted, Version: in.version}); err != nil {
			return nil, err
		}
		return groupsOf(ctx, in.actor, in.ID)
	})
}
