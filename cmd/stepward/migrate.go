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
		return dryRun(e.Context(), db)
	}
	fmt.Printf("migrating the %s database …\n", db.Backend())
	if err := server.Migrate(e.Context(), cfg, db); err != nil {
		return err
	}
	fmt.Println("the schema is up to date")
	return nil
}

// dryRun prints the plan of a migration.
func dryRun(ctx context.Context, db *store.DB) error {
	version, steps, err := plan.Migration(ctx, db)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		if err := db.CheckSchema(ctx); err != nil { // a newer one
			return err
		}
		fmt.Printf("the schema of the %s database is version %d: there is nothing to do\n", db.Backend(), version)
		return nil
	}
	fmt.Printf("the schema of the %s database is version %d; migrate would bring it to %d. Nothing was changed.\n",
		db.Backend(), version, steps[len(steps)-1].Version)
	for _, step := range steps {
		fmt.Printf("\n%d %s: one transaction\n", step.Version, step.Name)
		for _, st := range step.Statements {
			fmt.Printf("  %s\n", cut(st.SQL))
			if text := effect(st, db.Backend()); text != "" {
				fmt.Printf("      %s\n", text)
			}
		}
		for _, table := range step.Tables() {
			if db.Backend() == "postgres" {
				fmt.Printf("  %s is locked for about %s\n", table, about(step.Holds(table)))
			}
		}
	}
	fmt.Println("\n" + beside(version, steps))
	if db.Backend() == "postgres" {
		fmt.Println("\nTimes are estimates for an SSD. A lock first waits for transactions that use its table, " +
			"and what comes after\nwaits behind it: migrate when no pg_dump or long query runs.")
	} else {
		fmt.Println("\nThe embedded store has one writer, which waits meanwhile.")
	}
	return nil
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
	fmt.Printf("the settings are valid: issuer %s, listening on %s, %s\n", cfg.Issuer, cfg.Listen, stores)
	return nil
}
