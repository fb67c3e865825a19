package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/stepward/stepward/internal/server"
)

type demoCmd struct {
	AppListen string `name:"app-listen" default:"localhost:8090" help:"Where the sample application listens."`
}

func (c demoCmd) Run(e *env) error {
	dir, err := os.MkdirTemp("", "stepward-demo-")
	if err != nil {
		return fmt.Errorf("throw-away folder: %w", err)
	}
	defer os.RemoveAll(dir)
	for flag, value := range map[string]string{"data-dir": dir, "log-level": "warn"} {
		if _, given := e.sources.Flags[flag]; !given {
			e.sources.Flags[flag] = value
		}
	}
	cfg, err := e.load()
	if err != nil {
		return err
	}
	if !cfg.Embedded() {
		return errors.New("the demo uses throw-away stores of its own; leave out database-url and redis-url, or run: stepward serve")
	}
	d, err := server.NewDemo(e.ctx, cfg, c.AppListen, logger(cfg))
	if err != nil {
		return err
	}
	defer d.Close()
	fmt.Printf(`
  Stepward demo

  1  Open the sample application       %s
     Sign in, make an account with a passkey, and pay somebody.
  2  Read the mail it sends            %s/demo/mail
  3  Look after your passkeys          %s/account

  Ctrl-C stops it; nothing is kept.

`, d.AppURL, cfg.Issuer, cfg.Issuer)
	return d.Serve(e.ctx)
}
