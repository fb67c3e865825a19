package adminapi

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/lookup"
	"github.com/stepward/stepward/pkg/adminapi"
)

// events adds the operations on events and the version.
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
		return listed(events, next, wire.Event), err
	})
	type by struct{ By }
	type version struct{ Body adminapi.Version }
	register(api, operation{
		"get-version", "GET", "/version", "Read which program answers", "server", adminapi.ScopePolicyRead, 0, false,
	}, func(ctx context.Context, in *by) (*version, error) {
		return &version{adminapi.Version{Version: a.cfg.Version, API: "v1"}}, a.cfg.Operations.MayRead(ctx, in.actor)
	})
}
