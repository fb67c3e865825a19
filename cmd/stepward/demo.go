package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/stepward/stepward/cmd/stepward/sample"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
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
	d, err := newDemo(e.ctx, cfg, c.AppListen, logger(cfg))
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

`, d.appURL, cfg.Issuer, cfg.Issuer)
	return d.serve(e.ctx)
}

// demo is a provider on throw-away stores, and an application that uses it.
type demo struct {
	*server
	provider, app net.Listener
	appHandler    http.Handler
	appURL        string
}

// demoPolicy adds the scope and the action class that the sample application's payouts need.
func demoPolicy(p idp.Policy) idp.Policy {
	p.ActionClasses["payments"] = idp.ActionClass{Name: "payments", Description: "pay out money", ACR: idp.ACRPhishingResistant, Window: 5 * time.Minute}
	p.Scopes["payouts"] = idp.Scope{Name: "payouts", Description: "Pay out money on your behalf", ActionClass: "payments"}
	return p
}

func newDemo(ctx context.Context, cfg *config.Config, appListen string, log *slog.Logger) (_ *demo, err error) {
	cfg.SignUp = true
	cfg.Policy = demoPolicy(cfg.Policy)
	d := &demo{}
	if d.server, err = newServer(ctx, cfg, log, &mail.Mailbox{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.provider, err = d.listen(); err != nil {
		return nil, err
	}
	if d.app, err = net.Listen("tcp", appListen); err != nil {
		return nil, fmt.Errorf("listen on %s (another program may be using it; --app-listen names another address): %w", appListen, err)
	}
	_, port, err := net.SplitHostPort(d.app.Addr().String())
	if err != nil {
		return nil, err
	}
	d.appURL = "http://localhost:" + port

	now := time.Now()
	client := idp.Client{
		ID: "acme-bank", Name: "Acme Bank", URI: d.appURL, Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic,
		RedirectURIs: []string{d.appURL + "/callback"}, PostLogoutRedirectURIs: []string{d.appURL + "/"},
		GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid", "profile", "email", "payouts"},
		Audience: []string{d.appURL + "/api"}, CreatedAt: now, UpdatedAt: now,
	}
	secret := newClientSecret(&client, now)
	if err := d.db.PutClient(ctx, client); err != nil {
		return nil, fmt.Errorf("register the sample application: %w", err)
	}
	d.appHandler, err = sample.New(sample.Config{
		Issuer: cfg.Issuer.String(), ClientID: client.ID, ClientSecret: secret.Reveal(), BaseURL: d.appURL,
		MailURL: cfg.Issuer.String() + "/demo/mail",
	})
	if err != nil {
		return nil, fmt.Errorf("sample application: %w", err)
	}
	return d, nil
}

// serve runs both until ctx ends.
func (d *demo) serve(ctx context.Context) error {
	app := &http.Server{Handler: d.appHandler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = app.Serve(d.app) }()
	err := d.server.serve(ctx, d.provider)
	_ = app.Close()
	return err
}

// Close stops listening and closes the stores.
func (d *demo) Close() {
	for _, l := range []net.Listener{d.provider, d.app} {
		if l != nil {
			_ = l.Close()
		}
	}
	d.server.Close()
}
