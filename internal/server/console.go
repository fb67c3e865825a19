package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/console"
	"github.com/stepward/stepward/internal/console/rules"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/login"
	sending "github.com/stepward/stepward/internal/provision/pages"
	"github.com/stepward/stepward/internal/tryout"
	"github.com/stepward/stepward/internal/web"
)

// operations returns the operations of administration.
func (s *Server) operations(h *wiring) *admin.Operations {
	c := admin.Config{
		DB: s.DB, Ephemeral: s.Ephemeral, Policy: h.cfg.Policy, Settings: s.Config, Issuer: h.cfg.Issuer.String(),
		ApproveRecovery: h.cfg.RecoveryApproval, DirectoryReachesRoles: h.cfg.SCIMRoles,
		PolicyChanged: func(ctx context.Context) {
			if err := s.RenewPolicy(ctx); err != nil { // it counts at the next look
				web.Note(ctx, slog.Any("renew_policy", err))
			}
		},
		CheckClient: func(ctx context.Context, c idp.Client) directory.Faults {
			if err := client.CheckSector(ctx, s.parts.outbound, c); err != nil {
				return directory.Faults{{Text: err.Error()}}
			}
			return nil
		},
	}
	if h.mailer.Delivers() {
		c.Mailer = h.mailer
	}
	return admin.New(c)
}

// explainer says what requests lead to under the policy of a wiring.
func (s *Server) explainer(h *wiring) explain.Service {
	return explain.Service{DB: s.DB, Policy: h.cfg.Policy, SignUp: h.cfg.SignUp, Understand: h.op.Understand}
}

// bodies are the paths whose bodies may be longer than others (web.Config).
func bodies() map[string]int64 {
	all := adminapi.Bodies()
	all[console.ImportPath] = console.MaxUpload
	return all
}

// mountConsole adds the admin's pages.
func (s *Server) mountConsole(
	mux *http.ServeMux, h *wiring, operations *admin.Operations, logins *login.Login,
) (err error) {
	d := desk.New(desk.Config{
		Shell: h.shell, Sessions: s.sessions, DB: s.DB, Ephemeral: s.Ephemeral, Require: logins.Require,
	})
	var missing func(context.Context, idp.User) (int, error)
	if checks := h.accounts.Checkup(); checks.HasRules() {
		missing = checks.Missing
	}
	pages, err := console.New(console.Config{
		Desk: d, DB: s.DB, Operations: operations,
		Policy: h.cfg.Policy, Issuer: strings.TrimSuffix(h.cfg.Issuer.String(), "/"), Version: h.cfg.Version,
		Mails: s.mailer.Delivers(), Hardware: h.cfg.MetadataPath != "", Missing: missing,
		Approval: h.cfg.RecoveryApproval,
		Explain:  s.explainer(h),
	})
	if err != nil {
		return err
	}
	policy, err := rules.New(d, operations)
	if err != nil {
		return err
	}
	if h.tries, err = tryout.New(tryout.Config{
		Desk: d, Sessions: s.sessions, Ephemeral: s.Ephemeral, Operations: operations, Explain: s.explainer(h),
		Begin: logins.Begin, Preview: h.op.Preview,
	}); err != nil {
		return err
	}
	m := d.Mount(mux)
	h.tries.Mount(m)
	pages.Mount(m)
	policy.Mount(m)
	return sending.Mount(m, operations, h.sends)
}
