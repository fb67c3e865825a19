package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/outage"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/forms"
)

// OpenStore opens the configured database. An operator's command may open an embedded database while the server uses
// it. Only serve locks the folder (exclusive), and only its statements have a time limit: no user waits for a command,
// which may remove a client with a million tokens.
func OpenStore(ctx context.Context, cfg *config.Config, exclusive bool) (*store.DB, error) {
	return openStore(ctx, cfg, exclusive, nil)
}

func openStore(
	ctx context.Context, cfg *config.Config, exclusive bool,
	observe func(context.Context, string) (context.Context, func(error)),
) (*store.DB, error) {
	c := store.Config{
		URL: cfg.DatabaseURL.Reveal(), Dir: cfg.DataDir, Shared: !exclusive, EventRetention: cfg.EventRetention,
		Observe: observe,
	}
	if exclusive {
		c.StatementTimeout = cfg.StatementTimeout
	}
	db, err := store.Open(ctx, c)
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, context.Canceled):
		return nil, err
	case !cfg.Embedded():
		return nil, config.Faults{cfg.Fault("database-url", err.Error(), err)}
	case errors.Is(err, store.ErrInUse):
		return nil, config.Faults{cfg.Fault("data-dir", fmt.Sprintf("%q: %v", cfg.DataDir, store.ErrInUse), err)}
	default:
		return nil, config.Faults{cfg.Fault("data-dir", unusable(cfg.DataDir, err).Error(), err)}
	}
}

// Migrate brings the schema up to date. If the database does not allow it, the error names the setting.
func Migrate(ctx context.Context, cfg *config.Config, db *store.DB) error {
	// Where there is nothing to migrate, a standby would stop the next step with a driver's error.
	err := db.Check(ctx)
	fault, ok := errors.AsType[*idp.StoreFault](err)
	if !ok || fault.Word != "standby" && fault.Word != "read_only" {
		err = db.Migrate(ctx)
	}
	switch {
	case err == nil, errors.Is(err, store.ErrNewerSchema), errors.Is(err, context.Canceled):
		return err
	case cfg.Embedded():
		return config.Faults{cfg.Fault("data-dir", fmt.Sprintf("%q: %v", cfg.DataDir, err), err)}
	default:
		return config.Faults{cfg.Fault("database-url", err.Error(), err)}
	}
}

// databaseName and ephemeralName are the labels of the stores in metrics and traces.
func databaseName(cfg *config.Config) string {
	if cfg.Embedded() {
		return "sqlite"
	}
	return "postgres"
}

func ephemeralName(cfg *config.Config) string {
	if cfg.Embedded() {
		return "ephemeral"
	}
	return "redis"
}

// OpenEphemeral opens the ephemeral store. db says in which form to write to it; nil is for a caller that only looks.
func OpenEphemeral(
	ctx context.Context, cfg *config.Config, db *store.DB, log *slog.Logger,
) (ephemeral.Store, error) {
	if cfg.Embedded() {
		s, err := ephemeral.OpenSQLite(ctx, cfg.EphemeralPath(), log)
		if err != nil { // avoid a non-nil Store that contains a nil *SQLite
			return nil, config.Faults{cfg.Fault("data-dir", err.Error(), err)}
		}
		return s, nil
	}
	s, err := ephemeral.OpenRedis(ctx, cfg.RedisURL.Reveal(), log)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil {
		message := err.Error()
		if errors.Is(err, idp.ErrUnavailable) {
			message = "Redis does not answer: " + outage.Reason(err)
		}
		return nil, config.Faults{cfg.Fault("redis-url", message, err)}
	}
	if db != nil {
		from, err := forms.CompactFrom(ctx, db)
		if err != nil { // a database that only reads for now
			from = time.Now().Add(forms.Beside)
		}
		s.WriteCompactFrom(from)
	}
	return s, nil
}
