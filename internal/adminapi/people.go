package adminapi

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/idp"
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
		return listed(keys, "", wirePasskey), err
	})
	register(api, operation{
		"list-sessions", "GET", "/users/{id}/sessions", "List the sessions of a user", tag, read, 0, false,
	}, func(ctx context.Context, in *OfID) (*Listed[adminapi.Session], error) {
		sessions, err := ops.Sessions(ctx, in.actor, in.ID)
		return listed(sessions, "", wireSession), err
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
		return listed(grants, "", wireApplication), err
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
		return listed(events, next, wireEvent), err
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
		wanted := some(in.Body.Groups)
		if _, err := ops.Change(ctx, in.actor, in.ID, admin.UserChange{Groups: &wanted, Version: in.version}); err != nil {
			return nil, err
		}
		return groupsOf(ctx, in.actor, in.ID)
	})
}

func wirePasskey(k idp.Passkey) adminapi.Passkey {
	return adminapi.Passkey{
		ID: k.ID, Name: k.Name, AAGUID: aaguid(k.AAGUID), Synced: k.Synced(), HardwareBound: k.HardwareBound(),
		Transports: some(k.Transports), CreatedAt: k.CreatedAt.UTC(), CreatedAgent: k.CreatedAgent,
		LastUsedAt: moment(k.LastUsedAt), LastAgent: k.LastAgent, SuspendedAt: moment(k.SuspendedAt),
		CounterFellAt: moment(k.CounterRegressedAt), AttestationFmt: k.AttestationFormat,
	}
}

// aaguid returns an AAGUID as metadata statements write it.
func aaguid(b []byte) string {
	text := hex.EncodeToString(b)
	if len(text) != 32 {
		return text
	}
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func wireSession(s idp.Session) adminapi.Session {
	out := adminapi.Session{
		ID: s.ID, CreatedAt: s.CreatedAt.UTC(), SeenAt: s.SeenAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(), Agent: s.Agent,
		Address: s.Address, AuthTime: s.CreatedAt.UTC(),
	}
	if n := len(s.Authentications); n > 0 {
		out.AuthTime = s.Authentications[n-1].At.UTC()
	}
	return out
}

func wireApplication(g idp.Grant) adminapi.Application {
	return adminapi.Application{
		ClientID: g.ClientID, Scopes: some(g.Scopes), CreatedAt: g.CreatedAt.UTC(), UpdatedAt: g.UpdatedAt.UTC(),
	}
}
