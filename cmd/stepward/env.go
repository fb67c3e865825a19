package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
)

// reading runs a command that only reads. It does not migrate the schema: it rejects a database that an older program
// serves.
func (e *env) reading(f func(*config.Config, *store.DB) error) error {
	return e.withDB(e.loadWithoutMail, func(cfg *config.Config, db *store.DB) error {
		err := db.CheckSchema(e.ctx)
		if errors.Is(err, store.ErrOlderSchema) {
			return fmt.Errorf("%w; run: stepward migrate", err)
		}
		if err != nil {
			return err
		}
		return f(cfg, db)
	})
}

// writing migrates the schema and runs a command that changes something and sends no mail.
func (e *env) writing(f func(*config.Config, *store.DB) error) error {
	return e.writingWith(e.loadWithoutMail, f)
}

// mailing is writing for a command that sends mail.
func (e *env) mailing(f func(*config.Config, *store.DB) error) error { return e.writingWith(e.load, f) }

func (e *env) writingWith(load func() (*config.Config, error), f func(*config.Config, *store.DB) error) error {
	return e.withDB(load, func(cfg *config.Config, db *store.DB) error {
		if err := server.Migrate(e.ctx, cfg, db); err != nil {
			return err
		}
		return f(cfg, db)
	})
}

func (e *env) withDB(load func() (*config.Config, error), f func(*config.Config, *store.DB) error) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	db, err := server.OpenStore(e.ctx, cfg, false)
	if err != nil {
		return err
	}
	defer db.Close()
	return f(cfg, db)
}

func logger(cfg *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
