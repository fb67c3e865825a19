package manage

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stepward/stepward/internal/admin"
	served "github.com/stepward/stepward/internal/adminapi"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A Kind says what a command does with the store, if it works on that.
type Kind int

const (
	Reads    Kind = iota // does not migrate the schema
	Writes               // migrates it first
	Mails                // writes, and needs the settings for e-mail
	Explains             // reads, also sessions and keys
	Sends                // writes, and sends people to applications: needs the secrets
	Sees                 // reads; the policy of the store may contradict the settings
	Mends                // the same for one that writes
)

// An API is the admin API as a command has it: over HTTP, or inside this process, on the store and as the operator.
type API struct {
	*adminapi.API
	Issuer  string
	Context context.Context
	Remote  bool // over HTTP
}

// Run runs a command over the admin API. Its errors are for people: what says what was tried.
func (f Flags) Run(e *Env, kind Kind, what string, run func(*API) error) error {
	told := func(err error) error { return f.told(e, what, err) }
	if f.Server != "" {
		api, err := f.Connect(e, "--api", f.Server)
		if err != nil {
			return err
		}
		return told(run(&API{API: api, Issuer: trimmed(f.Server), Context: e.ctx, Remote: true}))
	}
	return e.on(kind, func(cfg *config.Config, db *store.DB) error {
		api, done, err := e.inside(kind, cfg, db)
		if err != nil {
			return err
		}
		defer done()
		return told(run(api))
	})
}

// on opens the store for a command of some kind.
func (e *Env) on(kind Kind, f func(*config.Config, *store.DB) error) error {
	switch kind {
	case Writes, Sends:
		return e.Writing(f)
	case Mails:
		return e.Mailing(f)
	case Sees, Mends:
		return e.withDB(e.LoadWithoutMail, func(cfg *config.Config, db *store.DB) error {
			if err := e.ready(cfg, db, kind == Mends); err != nil {
				return err
			}
			return f(cfg, db)
		})
	default:
		return e.Reading(f)
	}
}

// inside returns the admin API on the store.
func (e *Env) inside(kind Kind, cfg *config.Config, db *store.DB) (*API, func(), error) {
	ops, err := Operations(cfg, db)
	if err != nil {
		return nil, nil, err
	}
	done, explainer := func() {}, explain.Service{}
	if kind == Explains {
		eph, err := server.OpenEphemeral(e.ctx, cfg, db, Logger(cfg))
		if err != nil {
			return nil, nil, err
		}
		done = func() { _ = eph.Close() }
		if explainer, err = server.Explainer(e.ctx, cfg, db, eph, Logger(cfg)); err != nil {
			done()
			return nil, nil, err
		}
	}
	var sends *provision.Service
	if kind == Sends {
		if sends, err = e.sends(cfg, db, ops); err != nil {
			return nil, nil, err
		}
	}
	issuer := cfg.Issuer.String()
	transport, err := served.Inside(served.Config{
		Issuer: issuer, Operations: ops, Policy: cfg.Policy, Version: e.version, Explain: explainer,
		Hardware: cfg.MetadataPath != "", Provisioning: sends,
	})
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("admin API: %w", err)
	}
	api := adminapi.With("http://stepward", &http.Client{Transport: transport})
	return &API{API: api, Issuer: issuer, Context: e.ctx}, done, nil
}

// sends returns what sends people to applications.
func (e *Env) sends(cfg *config.Config, db *store.DB, ops *admin.Operations) (*provision.Service, error) {
	operator, err := operatorkey.Load(e.ctx, cfg)
	if err != nil {
		return nil, err
	}
	secrets, err := keys.LoadSecrets(e.ctx, db, operator)
	if err != nil {
		return nil, err
	}
	out, err := server.OutboundOf(cfg)
	if err != nil {
		return nil, err
	}
	return provision.Of(ops, secrets, out, Logger(cfg))
}
