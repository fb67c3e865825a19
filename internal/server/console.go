package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/console"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/provider"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/web"
)

// operations returns the operations of administration.
func (s *Server) operations(cfg *config.Config, p parts) *admin.Operations {
	c := admin.Config{
		DB: s.DB, Ephemeral: s.Ephemeral, Policy: cfg.Policy, Issuer: cfg.Issuer.String(),
		ApproveRecovery: cfg.RecoveryApproval,
		CheckClient: func(ctx context.Context, c idp.Client) directory.Faults {
			if err := client.CheckSector(ctx, p.outbound, c); err != nil {
				return directory.Faults{{Text: err.Error()}}
			}
			return nil
		},
	}
	if s.mailer.Delivers() {
		c.Mailer = s.mailer
	}
	return admin.New(c)
}

// console returns the admin's pages.
func (s *Server) console(
	cfg *config.Config, shell *web.Shell, sessions *session.Sessions, operations *admin.Operations,
	op *provider.Provider,
	require func(http.ResponseWriter, *http.Request, string, string, string) (*idp.Session, bool),
) (*console.Console, error) {
	return console.New(console.Config{
		Shell: shell, Sessions: sessions, DB: s.DB, Ephemeral: s.Ephemeral, Operations: operations,
		Policy: cfg.Policy, Issuer: strings.TrimSuffix(cfg.Issuer.String(), "/"), Version: cfg.Version,
		Mails: s.mailer.Delivers(), Require: require, Hardware: cfg.MetadataPath != "",
		Explain: explain.Service{DB: s.DB, Policy: cfg.Policy, SignUp: cfg.SignUp, Understand: op.Understand},
	})
}
