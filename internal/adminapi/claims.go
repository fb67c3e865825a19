package adminapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/pkg/adminapi"
)

// claims adds the operations on claims that admins define, and on their values.
func (a *API) claims(api huma.API) {
	ops := a.cfg.Operations.Claims
	read, write := adminapi.ScopeClaimsRead, adminapi.ScopeClaimsWrite
	const tag = "claims"
	type by struct{ By }
	register(api, operation{"list-claims", "GET", "/claims", "List the defined claims", tag, read, 0, false},
		func(ctx context.Context, in *by) (*Listed[adminapi.Claim], error) {
			claims, err := ops.List(ctx, in.actor)
			return listed(claims, "", wire.Claim), err
		})
	type named struct {
		By
		Name string `path:"name" maxLength:"256"`
	}
	type define struct {
		By
		Name string `path:"name" maxLength:"256"`
		Body adminapi.Claim
	}
	type claim struct{ Body adminapi.Claim }
	register(api, operation{
		"define-claim", "PUT", "/claims/{name}", "Define a claim, or change its definition", tag, write, 0, false,
	}, func(ctx context.Context, in *define) (*claim, error) {
		if in.Body.Name != in.Name {
			return nil, directory.Faults{{Field: "name", Text: "is not the name in the path"}}
		}
		c, err := ops.Define(ctx, in.actor, wire.ClaimOf(in.Body))
		return &claim{wire.Claim(c)}, err
	})
	register(api, operation{
		"remove-claim", "DELETE", "/claims/{name}", "Remove a claim with all its values", tag, write, http.StatusNoContent,
		false,
	}, func(ctx context.Context, in *named) (*Empty, error) {
		return &Empty{}, ops.Remove(ctx, in.actor, in.Name)
	})

	type values struct{ Body adminapi.ClaimValues }
	type setUser struct {
		OnUser
		Body adminapi.ClaimValues
	}
	type setGroup struct {
		OnGroup
		Body adminapi.ClaimValues
	}
	ofUser := func(ctx context.Context, in *OfID) (*values, error) {
		if _, err := a.cfg.Operations.Users.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		list, err := ops.OfUser(ctx, in.actor, in.ID)
		return &values{wireValues(list)}, err
	}
	ofGroup := func(ctx context.Context, in *OfID) (*values, error) {
		if _, err := a.cfg.Operations.Groups.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		list, err := ops.OfGroup(ctx, in.actor, in.ID)
		return &values{wireValues(list)}, err
	}
	register(api, operation{
		"get-claims-of-user", "GET", "/users/{id}/claims", "Read the user's own values", "users", adminapi.ScopeUsersRead, 0,
		false,
	}, ofUser)
	register(api, operation{
		"set-claims-of-user", "PATCH", "/users/{id}/claims", "Change values; null removes one", "users",
		adminapi.ScopeUsersWrite, 0, false,
	}, func(ctx context.Context, in *setUser) (*values, error) {
		if err := ops.SetUser(ctx, in.actor, in.ID, valuesOf(in.Body)); err != nil {
			return nil, err
		}
		return ofUser(ctx, &in.OfID)
	})
	register(api, operation{
		"get-claims-of-group", "GET", "/groups/{id}/claims", "Read the values that a group gives its members", "groups",
		adminapi.ScopeGroupsRead, 0, false,
	}, ofGroup)
	register(api, operation{
		"set-claims-of-group", "PATCH", "/groups/{id}/claims", "Change values; null removes one", "groups",
		adminapi.ScopeGroupsWrite, 0, false,
	}, func(ctx context.Context, in *setGroup) (*values, error) {
		if _, err := a.cfg.Operations.Groups.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		if err := ops.SetGroup(ctx, in.actor, in.ID, valuesOf(in.Body)); err != nil {
			return nil, err
		}
		return ofGroup(ctx, &in.OfID)
	})
}

// valuesOf returns values as the operations take them: nil removes one.
func valuesOf(in adminapi.ClaimValues) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, value := range in {
		if string(value) == "null" {
			value = nil
		}
		out[name] = value
	}
	return out
}

func wireValues(list []directory.Value) adminapi.ClaimValues {
	out := adminapi.ClaimValues{}
	for _, v := range list {
		out[v.Claim] = json.RawMessage(v.JSON)
	}
	return out
}
