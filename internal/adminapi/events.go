package adminapi

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/lookup"
	"github.com/stepward/stepward/pkg/adminapi"
)

// events adds the operations on events, the policy and the version.
func (a *API) events(api huma.API) {
	type search struct {
		By
		Part
		Kind   []string  `query:"kind,explode" maxItems:"50" doc:"Kinds of events; repeat for several."`
		User   string    `query:"user_id" maxLength:"256"`
		Client string    `query:"client_id" maxLength:"256"`
		Actor  string    `query:"actor_id" maxLength:"256"`
		From   time.Time `query:"from" doc:"Events at this time or later."`
		Until  time.Time `query:"until" doc:"Events before this time."`
	}
	register(api, operation{
		"list-events", "GET", "/events", "Search events, newest first", "events", adminapi.ScopeEventsRead, 0, false,
	}, func(ctx context.Context, in *search) (*Listed[adminapi.Event], error) {
		place, err := in.place()
		if err != nil {
			return nil, err
		}
		f := lookup.Filter{UserID: in.User, ClientID: in.Client, ActorID: in.Actor, From: in.From, Until: in.Until}
		for _, kind := range in.Kind {
			f.Kinds = append(f.Kinds, idp.EventKind(kind))
		}
		events, next, err := a.cfg.Operations.Events.Search(ctx, in.actor, f, place, in.Limit)
		return listed(events, next, wireEvent), err
	})
	type policy struct{ Body adminapi.Policy }
	type by struct{ By }
	register(api, operation{
		"get-policy", "GET", "/policy", "Read the policy of the settings", "server", adminapi.ScopePolicyRead, 0, false,
	}, func(ctx context.Context, in *by) (*policy, error) {
		return &policy{wirePolicy(a.cfg.Policy)}, a.cfg.Operations.MayRead(ctx, in.actor)
	})
	type version struct{ Body adminapi.Version }
	register(api, operation{
		"get-version", "GET", "/version", "Read which program answers", "server", adminapi.ScopePolicyRead, 0, false,
	}, func(ctx context.Context, in *by) (*version, error) {
		return &version{adminapi.Version{Version: a.cfg.Version, API: "v1"}}, a.cfg.Operations.MayRead(ctx, in.actor)
	})
}

func wireEvent(e idp.Event) adminapi.Event {
	return adminapi.Event{
		ID: e.ID, At: e.At.UTC(), Kind: string(e.Kind), UserID: e.UserID, ActorID: e.ActorID, ClientID: e.ClientID,
		SessionID: e.SessionID, PasskeyID: e.PasskeyID, Address: e.Address, Agent: e.Agent, RequestID: e.RequestID,
		Detail: e.Detail,
	}
}

func wirePolicy(p idp.Policy) adminapi.Policy {
	out := adminapi.Policy{
		Scopes: []adminapi.PolicyScope{}, ActionClasses: []adminapi.ActionClass{}, Resources: []adminapi.PolicyResource{},
		ACRAliases: []adminapi.ACRAlias{}, ACRDecay: []adminapi.ACRDecay{},
		DetailTypes: some(slices.Sorted(maps.Keys(p.DetailTypes))),
	}
	for _, name := range slices.Sorted(maps.Keys(p.Scopes)) {
		s := p.Scopes[name]
		out.Scopes = append(out.Scopes, adminapi.PolicyScope{
			Name: name, Description: s.Description, ActionClass: s.ActionClass, Machines: p.ForMachines(name),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.ActionClasses)) {
		c := p.ActionClasses[name]
		out.ActionClasses = append(out.ActionClasses, adminapi.ActionClass{
			Name: name, Description: c.Description, ACR: c.ACR, Window: seconds(c.Window), Shared: c.Shared,
		})
	}
	for _, uri := range slices.Sorted(maps.Keys(p.Resources)) {
		r := p.Resources[uri]
		out.Resources = append(out.Resources, adminapi.PolicyResource{
			URI: uri, Description: r.Description, Scopes: some(r.Scopes), ActionClasses: some(r.ActionClasses),
			AccessFormat: string(r.Format), AccessTTL: seconds(r.TTL),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Aliases)) {
		alias := p.Aliases[name]
		out.ACRAliases = append(out.ACRAliases, adminapi.ACRAlias{Name: name, ACR: alias.ACR, MaxAge: seconds(alias.MaxAge)})
	}
	for _, acr := range slices.Sorted(maps.Keys(p.Decay)) {
		d := p.Decay[acr]
		out.ACRDecay = append(out.ACRDecay, adminapi.ACRDecay{
			ACR: acr, Absolute: seconds(d.Absolute), Idle: seconds(d.Idle),
		})
	}
	return out
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
