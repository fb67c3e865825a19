package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/stepward/stepward/cmd/stepward/sample"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/outage"
)

// Demo is a provider on temporary stores, with an application that uses it.
type Demo struct {
	*Server
	provider, app net.Listener
	appHandler    http.Handler
	AppURL        string
}

// DemoPolicy adds the scope and the action class for the payouts of the sample application.
func DemoPolicy(p idp.Policy) idp.Policy {
	p.ActionClasses["payments"] = idp.ActionClass{
		Name: "payments", Description: "pay out money", ACR: idp.ACRPhishingResistant, Window: 5 * time.Minute,
	}
	if p.DetailTypes == nil {
		p.DetailTypes = map[string]idp.DetailType{}
	}
	p.DetailTypes[sample.DetailPayout] = idp.DetailType{
		Name: sample.DetailPayout, Description: "Pay out {currency} {amount} to {creditor}’s account",
		ActionClass: "payments", Valid: validPayout,
	}
	p.Scopes["payouts"] = idp.Scope{Name: "payouts", Description: "Pay out money on your behalf", ActionClass: "payments"}
	return p
}

// validPayout is the schema of the sample application's payouts: exactly three texts.
func validPayout(detail any) error {
	members, _ := detail.(map[string]any)
	if len(members) != 4 { // including the type
		return errors.New("currency, amount and creditor are required")
	}
	for name, pattern := range payoutMembers {
		if text, ok := members[name].(string); !ok || !pattern.MatchString(text) {
			return fmt.Errorf("%s is missing or malformed", name)
		}
	}
	return nil
}

var payoutMembers = map[string]*regexp.Regexp{
	"currency": regexp.MustCompile(`^[A-Z]{3}$`),
	"amount":   regexp.MustCompile(`^[0-9]{1,9}\.[0-9]{2}$`),
	"creditor": regexp.MustCompile(`^\S.{0,69}$`),
}

// adaptDemo opens sign-up, unless something closes it, and adds what the sample application needs: for the settings and
// for each version of the stored policy.
func adaptDemo(c *config.Config) {
	c.SignUp = c.SignUp || slices.ContainsFunc(c.Sections(), func(s config.Section) bool {
		return s.Key == "sign-up" && s.Source == "default"
	})
	c.Policy = DemoPolicy(c.Policy)
}

// NewDemo opens the stores and the listeners of a demo.
func NewDemo(ctx context.Context, cfg *config.Config, appListen string, log *slog.Logger) (_ *Demo, err error) {
	cfg.Adapt = adaptDemo
	cfg.Adapt(cfg)
	d := &Demo{}
	if d.Server, err = New(ctx, cfg, log, &mail.Mailbox{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.provider, err = d.Listen(); err != nil {
		return nil, err
	}
	if d.app, err = net.Listen("tcp", appListen); err != nil {
		return nil, fmt.Errorf("--app-listen %s: %s; give an address and a port that is free, such as localhost:8090",
			appListen, outage.Reason(err))
	}
	_, port, err := net.SplitHostPort(d.app.Addr().String())
	if err != nil {
		return nil, err
	}
	d.AppURL = "http://localhost:" + port

	now := time.Now()
	client := idp.Client{
		ID: "acme-bank", Name: "Acme Bank", URI: d.AppURL, Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic,
		RedirectURIs: []string{d.AppURL + "/callback"}, PostLogoutRedirectURIs: []string{d.AppURL + "/"},
		GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid", "profile", "email", "payouts"},
		DetailTypes: []string{sample.DetailPayout},
		Audience:    []string{d.AppURL + "/api"}, CreatedAt: now, UpdatedAt: now,
	}
	secret := client.AddSecret(now)
	if err := d.DB.PutClient(ctx, client); err != nil {
		return nil, fmt.Errorf("register the sample application: %w", err)
	}
	d.appHandler, err = sample.New(sample.Config{
		Issuer: cfg.Issuer.String(), ClientID: client.ID, ClientSecret: secret.Reveal(), BaseURL: d.AppURL,
		MailURL: cfg.Issuer.String() + "/demo/mail",
	})
	if err != nil {
		return nil, fmt.Errorf("sample application: %w", err)
	}
	return d, nil
}

// Serve runs both until ctx ends.
func (d *Demo) Serve(ctx context.Context) error {
	app := &http.Server{Handler: d.appHandler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = app.Serve(d.app) }()
	err := d.Server.Serve(ctx, d.provider)
	_ = app.Close()
	return err
}

// Close stops listening and closes the stores.
func (d *Demo) Close() {
	for _, l := range []net.Listener{d.provider, d.app} {
		if l != nil {
			_ = l.Close()
		}
	}
	d.Server.Close()
}
