package adminapi

import (
	"context"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A PolicyAnswer is the answer with the policy.
type PolicyAnswer struct {
	ETag string `header:"ETag"`
	Body adminapi.Policy
}

// A PolicyInput changes the policy.
type PolicyInput struct {
	By
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The ETag of the policy as you read it, or * for whatever it is now."`
	DryRun  bool   `query:"dry_run" doc:"Change nothing: the answer is the policy as it is, with the changes that would be made."`
	Body    adminapi.PolicyChange
}

// policy adds the operations on the policy.
func (a *API) policy(api huma.API) {
	ops := a.cfg.Operations.Policy
	read, write := adminapi.ScopePolicyRead, adminapi.ScopePolicyWrite
	const tag = "policy"
	type by struct{ By }
	register(api, operation{"get-policy", "GET", "/policy", "Read the policy as it counts", tag, read, 0, false},
		func(ctx context.Context, in *by) (*PolicyAnswer, error) {
			state, err := ops.Get(ctx, in.actor)
			return policyAnswer(state), err
		})
	register(api, operation{
		"change-policy", "PATCH", "/policy", "Replace sections of the policy; null gives one its default back", tag, write, 0,
		true,
	}, func(ctx context.Context, in *PolicyInput) (*PolicyAnswer, error) {
		return a.changePolicy(ctx, in, config.Document(in.Body.Sections))
	})
	register(api, operation{
		"replace-policy", "PUT", "/policy", "Replace all that is stored; sections that are not named get their default back",
		tag, write, 0, true,
	}, func(ctx context.Context, in *PolicyInput) (*PolicyAnswer, error) {
		change, err := ops.Whole(ctx, in.actor, config.Document(in.Body.Sections))
		if err != nil {
			return nil, err
		}
		return a.changePolicy(ctx, in, change)
	})
	type list struct {
		By
		Part
	}
	register(api, operation{
		"list-policy-versions", "GET", "/policy/versions", "List the kept versions, newest first", tag, read, 0, false,
	}, func(ctx context.Context, in *list) (*Listed[adminapi.PolicyVersion], error) {
		place, err := in.place()
		if err != nil {
			return nil, err
		}
		before, err := strconv.ParseInt(place, 10, 64)
		if place != "" && (err != nil || before < 1) {
			return nil, badCursor()
		}
		found, err := ops.History(ctx, in.actor, before, in.Limit)
		next := ""
		if len(found) == in.Limit {
			next = strconv.FormatInt(found[len(found)-1].Number, 10)
		}
		return listed(found, next, wire.PolicyVersion), err
	})
	type numbered struct {
		By
		Number int64 `path:"number" minimum:"1"`
	}
	type version struct{ Body adminapi.PolicyVersion }
	register(api, operation{
		"get-policy-version", "GET", "/policy/versions/{number}", "Read a kept version, with what it stored", tag, read,
		0, false,
	}, func(ctx context.Context, in *numbered) (*version, error) {
		v, err := ops.Version(ctx, in.actor, in.Number)
		if err != nil {
			return nil, err
		}
		stored, err := v.Sections()
		out := wire.PolicyVersion(v)
		out.Stored = adminapi.Sections(stored)
		return &version{out}, err
	})
}

// changePolicy answers a change of the policy.
func (a *API) changePolicy(ctx context.Context, in *PolicyInput, change config.Document) (*PolicyAnswer, error) {
	ops := a.cfg.Operations.Policy
	if in.IfMatch == "" {
		return nil, unconditional()
	}
	last, err := ops.History(ctx, in.actor, 0, 1) // what counts may be broken, and this may mend it
	if err != nil {
		return nil, err
	}
	var version int64
	if len(last) > 0 {
		version = last[0].Number
	}
	if in.IfMatch != "*" && in.IfMatch != policyTag(version) {
		return nil, admin.ErrStale
	}
	if in.DryRun {
		changes, err := ops.Check(ctx, in.actor, change)
		if err != nil {
			return nil, err
		}
		now, err := ops.Get(ctx, in.actor)
		if err != nil {
			now = admin.PolicyState{Version: version}
		}
		now.Changes = changes
		return policyAnswer(now), nil
	}
	state, err := ops.Change(ctx, in.actor, version, change)
	return policyAnswer(state), err
}

// policyTag is the ETag of a version of the policy.
func policyTag(version int64) string { return string(adminapi.PolicyTag(version)) }

func policyAnswer(s admin.PolicyState) *PolicyAnswer {
	out := wire.Policy(s.Effective)
	out.Version, out.ActorID, out.Changes, out.ChangedAt = s.Version, s.ActorID, s.Changes, wire.Moment(s.ChangedAt)
	out.Stored, out.Sections = adminapi.Sections(s.Stored), []adminapi.PolicySection{}
	for _, in := range s.Sections {
		out.Sections = append(out.Sections, adminapi.PolicySection{
			Key: in.Key, Value: in.Value, Source: in.Source, Locked: in.Locked, ManagedBy: s.Files[in.Key],
		})
	}
	return &PolicyAnswer{policyTag(s.Version), out}
}
