package main

import (
	"fmt"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
)

type migrateCmd struct{}

func (migrateCmd) Run(e *manage.Env) error {
	cfg, err := e.LoadWithoutMail()
	if err != nil {
		return err
	}
	db, err := server.OpenStore(e.Context(), cfg, false)
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Printf("migrating the %s database …\n", db.Backend())
	if err := server.Migrate(e.Context(), cfg, db); err != nil {
		return err
	}
	fmt.Println("the schema is up to date")
	return nil
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
