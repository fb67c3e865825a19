package adminapi

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/lint"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/words"
	"github.com/stepward/stepward/pkg/adminapi"
)

// standing adds the operations that look at several things at once: what counts for a user, and what can never work.
func (a *API) standing(api huma.API) {
	type standing struct{ Body adminapi.Standing }
	register(api, operation{
		"get-standing", "GET", "/users/{id}/standing", "Read the groups and claims that count for a user", "users",
		adminapi.ScopeUsersRead, 0, false,
	}, func(ctx context.Context, in *OfID) (*standing, error) {
		if _, err := a.cfg.Operations.Users.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		m, err := a.cfg.Operations.DB().MembershipOf(ctx, in.ID)
		out := &standing{adminapi.Standing{Groups: []string{}, Claims: wireValues(m.Claims())}}
		for _, g := range m.Groups {
			out.Body.Groups = append(out.Body.Groups, g.Name)
		}
		return out, err
	})
	type waiting struct{ Body adminapi.WaitingRecovery }
	register(api, operation{
		"get-recovery-link", "GET", "/users/{id}/recovery-link", "Read whether a recovery link waits for an approval",
		"users", adminapi.ScopeUsersRead, 0, false,
	}, func(ctx context.Context, in *OfID) (*waiting, error) {
		if _, err := a.cfg.Operations.Users.Get(ctx, in.actor, in.ID); err != nil {
			return nil, err
		}
		found, err := recovery.ApprovalOf(ctx, a.cfg.Operations.DB(), in.ID, "", time.Now())
		return &waiting{adminapi.WaitingRecovery{
			MadeBy: found.Maker, ApprovedBy: found.ApprovedBy, Until: found.Until.UTC(),
			ApproveAt: a.cfg.Issuer + recovery.ApprovePath(in.ID),
		}}, err
	})
	type by struct{ By }
	type findings struct{ Body adminapi.Findings }
	register(api, operation{
		"lint", "GET", "/lint", "Find what can never work in the policy and the clients", "server", adminapi.ScopeRead, 0,
		false,
	}, func(ctx context.Context, in *by) (*findings, error) {
		list, err := a.lint(ctx, in.actor)
		return &findings{adminapi.Findings{Findings: list}}, err
	})
}

func (a *API) lint(ctx context.Context, by admin.Actor) ([]adminapi.Finding, error) {
	clients, err := a.cfg.Operations.Clients.List(ctx, by)
	if err != nil {
		return nil, err
	}
	uses, err := a.cfg.Operations.Clients.Uses(ctx, by, clients)
	if err != nil {
		return nil, err
	}
	list, l := []adminapi.Finding{}, words.English()
	for _, f := range lint.Check(lint.Facts{
		Policy: a.cfg.Policy, Clients: clients, Uses: uses, Hardware: a.cfg.Hardware, Now: time.Now(),
	}) {
		list = append(list, adminapi.Finding{
			Code: f.Code, ClientID: f.ClientID, Text: l.Text(f.Text), Remedy: l.Text(f.Remedy),
		})
	}
	return list, nil
}

// userNamed lists the one user with an e-mail address or ID, or none.
func (a *API) userNamed(ctx context.Context, by admin.Actor, name string) (*Listed[adminapi.User], error) {
	u, err := a.cfg.Operations.Users.Find(ctx, by, name)
	if errors.Is(err, idp.ErrNotFound) {
		return listed([]idp.User{}, "", wire.User), nil
	}
	return listed([]idp.User{u}, "", wire.User), err
}
