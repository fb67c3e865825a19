package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/provider"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// Explainer returns what explains authorization requests, for a command beside a running server. It uses the stores of
// the caller, and makes no signing key.
func Explainer(
	ctx context.Context, cfg *config.Config, db *store.DB, eph ephemeral.Store, log *slog.Logger,
) (explain.Service, error) {
	none := explain.Service{}
	p, err := read(cfg, nil, func(t http.RoundTripper) http.RoundTripper { return t })
	if err != nil {
		return none, err
	}
	operator, err := operatorkey.Load(ctx, cfg)
	if err != nil {
		return none, err
	}
	secrets, err := keys.LoadSecrets(ctx, db, operator)
	if err != nil {
		return none, fmt.Errorf("secrets: %w", err)
	}
	ring, err := SigningKeys(cfg, db, operator)
	if err != nil {
		return none, fmt.Errorf("signing keys: %w", err)
	}
	shell, err := web.New(web.Config{Issuer: cfg.Issuer, Logger: log, Insecure: cfg.Insecure()})
	if err != nil {
		return none, err
	}
	op, err := provider.New(provider.Config{
		Issuer: cfg.Issuer.String(), DB: db, Ephemeral: eph, Shell: shell, Policy: cfg.Policy, Keys: ring,
		Sessions: session.New(session.Config{Store: eph, Insecure: cfg.Insecure()}),
		Begin: func(
			context.Context, http.ResponseWriter, *http.Request, idp.Request, idp.Requirement,
		) (string, error) {
			return "", errors.New("an explanation begins nothing")
		},
		Lifetimes:  token.Lifetimes{Access: cfg.AccessTokenTTL, Refresh: cfg.RefreshTokenTTL},
		RefreshKey: secrets.Key("refresh"), SubjectKey: secrets.Key("subject"), RequirePAR: cfg.RequirePAR,
		Outbound: p.outbound, ClientCAs: p.clientCAs, Logger: log, Registration: p.registration,
		ClientDocuments: cfg.ClientDocuments,
	})
	if err != nil {
		return none, err
	}
	return explain.Service{DB: db, Policy: cfg.Policy, SignUp: cfg.SignUp, Understand: op.Understand}, nil
}
