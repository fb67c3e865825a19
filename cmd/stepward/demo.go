package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
)

type demoCmd struct {
	AppListen string `name:"app-listen" default:"localhost:8090" help:"Address and port of the sample application."`
}

func (c demoCmd) Run(e *manage.Env) error {
	dir, err := os.MkdirTemp("", "stepward-demo-")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	for flag, value := range map[string]string{"data-dir": dir, "log-level": "warn"} {
		e.Default(flag, value)
	}
	cfg, err := e.Load()
	if err != nil {
		return err
	}
	if !cfg.Embedded() {
		return errors.New("the demo uses temporary stores; remove database-url and redis-url, or run: stepward serve")
	}
	log, flush := manage.ServerLogger(cfg)
	defer flush()
	d, err := server.NewDemo(e.Context(), cfg, c.AppListen, log)
	if err != nil {
		return err
	}
	defer d.Close()
	link, _, err := manage.FirstAdmin(e.Context(), d.Server)
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	fmt.Printf(`
  Stepward demo

  1  Open the sample application       %s
     Create an account with a passkey, sign in, and pay out money.
  2  Read the e-mails                  %s/demo/mail
     The code for a new account is there.
  3  Manage your passkeys              %s/account
  4  Become the first admin            %s
     The link works once. It leads to the console, %s/admin.

  Press Ctrl-C to stop. All data is deleted.

`, d.AppURL, cfg.Issuer, cfg.Issuer, link.Reveal(), cfg.Issuer)
	return d.Serve(e.Context())
}
