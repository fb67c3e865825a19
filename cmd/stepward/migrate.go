package main

import (
	"context"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/plan"
)

type migrateCmd struct {
	DryRun bool `name:"dry-run" help:"Print what would happen, what it locks, and about how long. Changes nothing."`
	manage.Output
}

func (c migrateCmd) Run(e *manage.Env) error {
	cfg, err := e.LoadWithoutMail()
	if err != nil {
		return err
	}
	db, err := server.OpenStore(e.Context(), cfg, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if c.DryRun {
		return c.dryRun(e.Context(), db)
	}
	if !c.JSON() {
		fmt.Printf("migrating the %s database …\n", db.Backend())
	}
	if err := server.Migrate(e.Context(), cfg, db); err != nil {
		return err
	}
	return c.Say(migration{Backend: db.Backend(), UpToDate: true}, "the schema is up to date")
}

// migration is a migration, done or planned, as JSON.
type migration struct {
	Backend  string `json:"backend"`
	UpToDate bool   `json:"up_to_date"`
	Version  int64  `json:"version,omitempty"`
	Steps    []step `json:"steps,omitempty"`
}

type step struct {
	Version    int64       `json:"version"`
	Name       string      `json:"name"`
	Statements []statement `json:"statements"`
}

type statement struct {
	SQL    string `json:"sql"`
	Effect string `json:"effect,omitempty"` // in words
	Rows   int64  `json:"rows"`
	Takes  int64  `json:"takes"` // about, in milliseconds
}

// dryRun prints the plan of a migration.
func (c migrateCmd) dryRun(ctx context.Context, db *store.DB) error {
	version, steps, err := plan.Migration(ctx, db)
	if err == nil && len(steps) == 0 {
		err = db.CheckSchema(ctx) // a newer one
	}
	if err != nil {
		return err
	}
	out := migration{Backend: db.Backend(), UpToDate: len(steps) == 0, Version: version}
	for _, s := range steps {
		next := step{Version: s.Version, Name: s.Name, Statements: []statement{}}
		for _, st := range s.Statements {
			next.Statements = append(next.Statements,
				statement{st.SQL, effect(st, out.Backend), st.Rows, st.Takes.Milliseconds()})
		}
		out.Steps = append(out.Steps, next)
	}
	return c.Print(out, func(t manage.Text) { planned(t.Line, out, steps) })
}

// planned says a plan in words.
func planned(say func(format string, args ...any), m migration, steps []plan.Step) {
	if m.UpToDate {
		say("the schema of the %s database is version %d: there is nothing to do", m.Backend, m.Version)
		return
	}
	say("the schema of the %s database is version %d; migrate would bring it to %d. Nothing was changed.",
		m.Backend, m.Version, steps[len(steps)-1].Version)
	for i, s := range m.Steps {
		say("\n%d %s: one transaction", s.Version, s.Name)
		for _, st := range s.Statements {
			say("  %s", cut(st.SQL))
			if st.Effect != "" {
				say("      %s", st.Effect)
			}
		}
		for _, table := range steps[i].Tables() {
			if m.Backend == "postgres" {
				say("  %s is locked for about %s", table, about(steps[i].Holds(table)))
			}
		}
	}
	say("\n%s", beside(m.Version, steps))
	if m.Backend == "postgres" {
		say("\nTimes are estimates for an SSD. A lock first waits for transactions that use its table, " +
			"and what comes after\nwaits behind it: migrate when no pg_dump or long query runs.")
	} else {
		say("\nThe embedded store has one writer, which waits meanwhile.")
	}
}

// beside says which programs can run on the schema after a migration.
func beside(version int64, steps []plan.Step) string {
	newest := steps[len(steps)-1]
	switch {
	case version == 0:
		return "The database is new."
	case newest.Oldest == 0 || newest.Oldest > version:
		return fmt.Sprintf("A replica that knows version %d only goes on if it runs already, and cannot start any more.",
			version)
	}
	return fmt.Sprintf("Replicas that know version %d or later can run beside it, and can start until the contract step, "+
		"a day later.", newest.Oldest)
}

func effect(st plan.Statement, backend string) string {
	size := fmt.Sprintf("%d rows, about %s", st.Rows, about(st.Takes))
	switch {
	case backend == "sqlite" && st.Rows > 0:
		return size
	case backend == "sqlite" || st.Lock == plan.None:
		return ""
	case st.Lock == plan.Rows:
		return "locks the rows that it changes in " + st.Table + "; reads " + size
	case st.Lock == plan.Writes:
		return "nobody can write to " + st.Table + "; " + size
	case st.Rows > 0:
		return "nobody can use " + st.Table + "; " + size
	default:
		return "nobody can use " + st.Table + "; at once, whatever its size"
	}
}

// about rounds a duration up to what an estimate can say.
func about(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return "no time"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// cut shortens a statement to one line.
func cut(sql string) string {
	const width = 100
	if runes := []rune(sql); len(runes) > width {
		return string(runes[:width]) + " …"
	}
	return sql
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Read the settings as serve would, and report all faults."`
}

type configCheckCmd struct {
	Stores bool `help:"Also connect to Postgres and Redis, and compare the issuer with the passkeys there. Embedded stores are always looked at."`
	manage.Output
}

func (c configCheckCmd) Run(e *manage.Env) error {
	cfg, err := e.Load()
	if err != nil {
		return err
	}
	if err := server.Check(cfg); err != nil {
		return err
	}
	if c.Stores || cfg.Embedded() {
		if err := server.CheckStores(e.Context(), cfg); err != nil {
			return err
		}
	}
	stores := "embedded stores in " + cfg.DataDir
	if !cfg.Embedded() {
		stores = "Postgres and Redis"
	}
	valid := map[string]any{
		"valid": true, "issuer": cfg.Issuer.String(), "listen": cfg.Listen, "embedded": cfg.Embedded(),
	}
	return c.Say(valid,
		fmt.Sprintf("the settings are valid: issuer %s, listening on %s, %s", cfg.Issuer, cfg.Listen, stores))
}
