package adminapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/adminapi/file"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Bodies are the paths whose bodies may be longer than others, and how long in bytes (web.Config).
func Bodies() map[string]int64 { return map[string]int64{adminapi.Path + adminapi.PathApply: 8 << 20} }

// desired adds the operations on the state as a whole.
func (a *API) desired(api huma.API) {
	const tag = "state"
	file.Narrow(api.OpenAPI().Components.Schemas)
	type apply struct {
		By
		Source string `query:"source" required:"true" minLength:"1" maxLength:"200" doc:"The name under which the objects are managed: that of the file."`
		Hash   string `query:"hash" maxLength:"128" pattern:"^[0-9a-f]*$" doc:"SHA-256 of the file, for the events."`
		DryRun bool   `query:"dry_run" doc:"Change nothing: only plan."`
		Prune  bool   `query:"prune" doc:"Remove what this source managed and no longer names."`
		Expect string `query:"expect" maxLength:"128" doc:"The digest of a plan: fail if there is another one by now."`
		Body   adminapi.Desired
	}
	type planned struct{ Body adminapi.Plan }
	register(api, operation{
		"apply", "POST", adminapi.PathApply, "Bring clients, groups, claims, policy and roles into a state: all or nothing",
		tag, adminapi.ScopeApplyWrite, 0, true,
	}, func(ctx context.Context, in *apply) (*planned, error) {
		state, err := wire.DesiredOf(in.Body)
		if err != nil {
			return nil, err
		}
		in.actor.File = in.Hash
		plan, err := desired.Apply(ctx, a.cfg.Operations, in.actor, state, desired.Options{
			Source: in.Source, Prune: in.Prune, DryRun: in.DryRun, Expect: in.Expect,
		})
		return &planned{plan}, err
	})
	type by struct{ By }
	type exported struct{ Body adminapi.Desired }
	register(api, operation{
		"export", "GET", "/export", "Read the state that apply would lead to", tag, adminapi.ScopeApplyRead, 0, false,
	}, func(ctx context.Context, in *by) (*exported, error) {
		state, err := desired.Export(ctx, a.cfg.Operations, in.actor)
		return &exported{wire.Desired(state, wire.Variables)}, err
	})
}
