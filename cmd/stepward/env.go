package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
)

// withStore runs an operator's command on the database of its settings, whose schema must be the program's.
func (e *env) withStore(f func(*config.Config, *store.DB) error) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	db, err := server.OpenStore(e.ctx, cfg, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(e.ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return f(cfg, db)
}

func logger(cfg *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
