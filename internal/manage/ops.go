package manage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
)

// Operator is the actor of every command.
var Operator = admin.Operator()

// Operations returns the operations of administration on the store of the settings.
func Operations(cfg *config.Config, db *store.DB) (*admin.Operations, error) {
	c := admin.Config{
		DB: db, Policy: cfg.Policy, Settings: cfg, Issuer: cfg.Issuer.String(),
		ApproveRecovery: cfg.RecoveryApproval, DirectoryReachesRoles: cfg.SCIMRoles,
		Open: func(ctx context.Context) (ephemeral.Store, error) {
			return server.OpenEphemeral(ctx, cfg, db, Logger(cfg))
		},
		CheckClient: func(ctx context.Context, c idp.Client) directory.Faults {
			if lack := certificateFault(c, cfg); lack != "" {
				return directory.Faults{{Text: lack}}
			}
			fetch, err := server.OutboundOf(cfg)
			if err == nil {
				err = client.CheckSector(ctx, fetch, c)
			}
			if err != nil {
				return directory.Faults{{Text: err.Error()}}
			}
			return nil
		},
	}
	if cfg.SMTPURL != "" {
		transport, err := mail.NewSMTP(cfg.SMTPURL.Reveal())
		if err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
		if c.Mailer, err = mail.New(mail.Config{
			DB: db, Transport: transport, From: cfg.From,
			Product: cfg.ProductName, Languages: cfg.Languages,
		}); err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
	}
	return admin.New(c), nil
}

// certificateFault returns the setting that the server lacks for a client with certificates; "" if none.
func certificateFault(client idp.Client, cfg *config.Config) string {
	switch {
	case (client.ByCertificate() || client.CertificateBound) && cfg.MTLSOrigin == nil:
		return "client certificates are not requested: mtls-origin is not set"
	case client.AuthMethod == idp.AuthMethodTLS && cfg.ClientCAPath == "":
		return "tls_client_auth needs a CA for clients: client-ca-path is not set"
	default:
		return ""
	}
}

// With runs f with the operations: with e.Writing, e.Reading or e.Mailing.
func With(
	with func(func(*config.Config, *store.DB) error) error, f func(*config.Config, *admin.Operations) error,
) error {
	return with(func(cfg *config.Config, db *store.DB) error {
		ops, err := Operations(cfg, db)
		if err != nil {
			return err
		}
		return f(cfg, ops)
	})
}

// Told says what an operation refused, as the operator reads it: a line for each fault.
func Told(what string, err error) error {
	faults, wrong := errors.AsType[directory.Faults](err)
	denied, no := errors.AsType[*admin.Denied](err)
	switch {
	case err == nil:
		return nil
	case no:
		return denied
	case wrong && len(faults) == 1:
		return fmt.Errorf("%s: %w", what, faults)
	case wrong:
		return errors.New(what + ":\n  " + strings.ReplaceAll(faults.Error(), "\n", "\n  "))
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
