package manage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/logs"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/policies"
)

// Env is what a command runs in.
type Env struct {
	ctx     context.Context
	sources config.Sources
	version string
}

// NewEnv returns the environment of a command that ends with ctx.
func NewEnv(ctx context.Context, sources config.Sources, version string) *Env {
	return &Env{ctx: ctx, sources: sources, version: version}
}

// Context ends when the command is told to stop.
func (e *Env) Context() context.Context { return e.ctx }

// Default sets a flag that was not given.
func (e *Env) Default(flag, value string) {
	if _, given := e.sources.Flags[flag]; !given {
		e.sources.Flags[flag] = value
	}
}

// Load reads the settings of a command that may send mail.
func (e *Env) Load() (*config.Config, error) {
	cfg, err := config.Load(e.sources)
	if err == nil {
		cfg.Version = e.version
	}
	return cfg, err
}

// LoadWithoutMail reads the settings of a command that sends none: it works where smtp-url is missing or unreadable.
func (e *Env) LoadWithoutMail() (*config.Config, error) {
	sources := e.sources
	sources.NoMail = true
	return config.Load(sources)
}

// Reading runs a command that only reads. It does not migrate the schema: it rejects a database that an older program
// serves.
func (e *Env) Reading(f func(*config.Config, *store.DB) error) error {
	return e.withDB(e.LoadWithoutMail, func(cfg *config.Config, db *store.DB) error {
		return e.effective(cfg, db, false, f)
	})
}

// effective runs f with the settings and the policy of the store below them.
func (e *Env) effective(
	cfg *config.Config, db *store.DB, write bool, f func(*config.Config, *store.DB) error,
) error {
	if err := e.ready(cfg, db, write); err != nil {
		return err
	}
	cfg, err := policies.New(db).Effective(e.ctx, cfg)
	if err != nil {
		return fmt.Errorf("%w\nmend it with: stepward policy set", err)
	}
	return f(cfg, db)
}

// ready migrates the schema of a command that writes, and compares it for one that reads.
func (e *Env) ready(cfg *config.Config, db *store.DB, write bool) error {
	if write {
		return server.Migrate(e.ctx, cfg, db)
	}
	err := db.CheckSchema(e.ctx)
	if errors.Is(err, store.ErrOlderSchema) {
		return fmt.Errorf("%w; run: stepward migrate", err)
	}
	return err
}

// Writing migrates the schema and runs a command that changes something and sends no mail.
func (e *Env) Writing(f func(*config.Config, *store.DB) error) error {
	return e.writingWith(e.LoadWithoutMail, f)
}

// Mailing is Writing for a command that sends mail.
func (e *Env) Mailing(f func(*config.Config, *store.DB) error) error { return e.writingWith(e.Load, f) }

// Operating migrates the schema and runs a command that has the operations and the store.
func (e *Env) Operating(f func(*config.Config, *store.DB, *admin.Operations) error) error {
	return e.Writing(func(cfg *config.Config, db *store.DB) error {
		ops, err := Operations(cfg, db)
		if err != nil {
			return err
		}
		return f(cfg, db, ops)
	})
}

func (e *Env) writingWith(load func() (*config.Config, error), f func(*config.Config, *store.DB) error) error {
	return e.withDB(load, func(cfg *config.Config, db *store.DB) error { return e.effective(cfg, db, true, f) })
}

func (e *Env) withDB(load func() (*config.Config, error), f func(*config.Config, *store.DB) error) error {
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

// AsGiven runs f with the operations on the settings as they were given: the stored policy may contradict them, and the
// commands for it can mend it.
func (e *Env) AsGiven(write bool, f func(*config.Config, *admin.Operations) error) error {
	return e.withDB(e.LoadWithoutMail, func(cfg *config.Config, db *store.DB) error {
		if err := e.ready(cfg, db, write); err != nil {
			return err
		}
		ops, err := Operations(cfg, db)
		if err != nil {
			return err
		}
		return f(cfg, ops)
	})
}

// Operate runs f with the operations of administration on the store, which it migrates first if write is set.
func (e *Env) Operate(write bool, f func(*config.Config, *admin.Operations) error) error {
	if write {
		return With(e.Mailing, f)
	}
	return With(e.Reading, f)
}

// Logger returns the logger that the settings ask for.
func Logger(cfg *config.Config) *slog.Logger { return slog.New(logTo(os.Stderr, cfg)) }

// ServerLogger is Logger for a program that writes a line for each request. It also returns what writes the last lines
// before the program ends.
func ServerLogger(cfg *config.Config) (log *slog.Logger, flush func()) {
	out := logs.NewWriter(os.Stderr)
	return slog.New(out.Handler(logTo(out, cfg))), out.Flush
}

func logTo(out io.Writer, cfg *config.Config) slog.Handler {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.NewJSONHandler(out, options)
	}
	return slog.NewTextHandler(out, options)
}
