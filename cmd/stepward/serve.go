package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/provider"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

type serveCmd struct{}

func (serveCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	log := logger(cfg)
	s, err := newServer(e.ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	link, err := firstAdmin(e.ctx, s.db, cfg)
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	listener, err := s.listen()
	if err != nil {
		return err
	}
	log.Info("serving", "issuer", cfg.Issuer.String(), "listen", listener.Addr().String(), "stores", s.db.Backend(), "version", version())
	if link != "" {
		fmt.Printf("\nThere is no admin yet. Whoever opens this link first becomes one (it works once, for 24 hours):\n\n  %s\n\n", link.Reveal())
	}
	return s.serve(e.ctx, listener)
}

// server is the assembled program: all wiring is here, by hand.
type server struct {
	cfg       *config.Config
	log       *slog.Logger
	db        *store.DB
	ephemeral ephemeral.Store
	keys      *keys.Ring
	op        *provider.Provider
	mailer    *mail.Mailer
	shell     *web.Shell
	handler   http.Handler
	mtls      http.Handler // of mtls-listen
}

// newServer opens the stores, migrates, and wires every feature. mailbox, if given, receives the mail instead of a mail
// server (the demo).
func newServer(ctx context.Context, cfg *config.Config, log *slog.Logger, mailbox *mail.Mailbox) (_ *server, err error) {
	slog.SetDefault(slog.New(provider.DropLibraryRecords(log.Handler())))
	s := &server{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if cfg.Embedded() {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
	}
	if s.db, err = openStore(ctx, cfg, true); err != nil {
		return nil, err
	}
	if err := s.db.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if s.ephemeral, err = openEphemeral(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open ephemeral store: %w", err)
	}
	key, err := operatorKey(cfg)
	if err != nil {
		return nil, err
	}

	shell, err := web.New(web.Config{
		Issuer: cfg.Issuer, ProductName: cfg.ProductName, LogoURL: cfg.LogoURL, Accent: cfg.Accent, Footer: footer(cfg),
		TrustedProxies: cfg.TrustedProxies, ProxyCertificates: cfg.MTLSOrigin != nil && cfg.MTLSListen == "", Logger: log, Insecure: cfg.Insecure(),
	})
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	sessions := session.New(session.Config{
		Store: s.ephemeral, Idle: cfg.SessionIdle, Absolute: cfg.SessionAbsolute, Insecure: cfg.Insecure(),
		Agent: web.Agent, Address: web.ClientAddress,
	})
	var metadata passkey.Metadata
	if cfg.MetadataPath != "" {
		if metadata, err = passkey.LoadMetadata(cfg.MetadataPath); err != nil {
			return nil, err
		}
	}
	ceremonies, err := passkey.New(passkey.Config{
		RPID: cfg.Issuer.Hostname(), RPName: cfg.ProductName, Origins: []string{cfg.Issuer.String()},
		Store: s.ephemeral, Attestation: cfg.Attestation, Metadata: metadata, DecoyKey: derive(key, "decoy"),
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if s.keys, err = signingKeys(cfg, s.db, key); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if err := s.keys.Prepare(ctx); err != nil {
		return nil, fmt.Errorf("signing keys (is this the operator's key they were sealed under?): %w", err)
	}
	transport, err := mailTransport(cfg, mailbox)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	if s.mailer, err = mail.New(mail.Config{DB: s.db, Transport: transport, From: cfg.From, Product: cfg.ProductName, Logger: log}); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}

	// login and provider never import each other: each gets the other's one func. They meet in the stored interaction.
	var op *provider.Provider
	logins, err := login.New(login.Config{
		Shell: shell, Sessions: sessions, Ceremonies: ceremonies, DB: s.db, Ephemeral: s.ephemeral, Policy: cfg.Policy, SignUp: cfg.SignUp,
		Respond: func(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
			return op.Respond(w, r, i, o)
		},
		Notify: s.notify,
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	registration, err := registrationOf(cfg)
	if err != nil {
		return nil, err
	}
	cas, err := clientCAs(cfg.ClientCAPath)
	if err != nil {
		return nil, err
	}
	var mtlsOrigin string
	if cfg.MTLSOrigin != nil {
		mtlsOrigin = cfg.MTLSOrigin.String()
	}
	op, err = provider.New(provider.Config{
		Issuer: cfg.Issuer.String(), DB: s.db, Ephemeral: s.ephemeral, Sessions: sessions, Shell: shell, Policy: cfg.Policy, Keys: s.keys,
		Begin: logins.Begin, Lifetimes: token.Lifetimes{Access: cfg.AccessTokenTTL, Refresh: cfg.RefreshTokenTTL}, RefreshKey: derive(key, "refresh"),
		RequirePAR: cfg.RequirePAR,
		Outbound:   outboundOf(cfg), SubjectKey: derive(key, "subject"), MTLSOrigin: mtlsOrigin, ClientCAs: cas, Logger: log, Registration: registration,
		ClientDocuments: cfg.ClientDocuments,
	})
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	accounts, err := account.New(account.Config{
		Shell: shell, Sessions: sessions, Ceremonies: ceremonies, DB: s.db, Ephemeral: s.ephemeral, Mailer: s.mailer,
		Issuer: cfg.Issuer.String(), RPID: cfg.Issuer.Hostname(), Policy: cfg.Policy, SignUp: cfg.SignUp, Insecure: cfg.Insecure(),
		Require: logins.Require, Client: logins.Asking, SignedUp: logins.SignedUp,
	})
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}

	browser, protocol := http.NewServeMux(), http.NewServeMux()
	shell.Mount(browser)
	logins.Mount(browser)
	accounts.Mount(browser)
	op.Mount(protocol, browser)
	if mailbox != nil {
		if err := mailbox.Mount(browser, shell); err != nil {
			return nil, err
		}
	}
	outer := http.NewServeMux()
	outer.Handle("/", shell.Browser(browser))
	for _, path := range []string{"/oauth2/", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/"} {
		outer.Handle(path, shell.Protocol(protocol))
	}
	outer.HandleFunc("GET /healthz", healthz)
	outer.HandleFunc("GET /readyz", readyz(s.db, s.ephemeral))
	mtls := http.NewServeMux()
	op.MountMTLS(mtls)
	s.op, s.shell, s.handler, s.mtls = op, shell, outer, shell.Protocol(mtls)
	return s, nil
}

// Close closes what newServer opened.
func (s *server) Close() {
	if s.ephemeral != nil {
		_ = s.ephemeral.Close()
	}
	if s.db != nil {
		_ = s.db.Close()
	}
}

// notify sends the letter that an event of a sign-in deserves.
func (s *server) notify(ctx context.Context, user idp.User, kind string, data map[string]string) {
	if idp.EventKind(kind) != idp.EventPasskeyRegressed {
		return
	}
	letter := s.mailer.CounterWarning(user.Email, mail.Notice{
		Passkey: data["passkey"], At: time.Now(), Agent: data["agent"], Link: s.cfg.Issuer.String() + "/account/passkeys",
	})
	if err := s.mailer.Send(ctx, letter); err != nil {
		s.log.Error("notice not queued", "kind", kind, "err", err)
	}
}

func (s *server) listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s (another program may be using it; --listen names another address): %w", s.cfg.Listen, err)
	}
	return listener, nil
}

// serve answers until ctx ends, then lets requests under way finish (10 s at the most).
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	fronts, err := s.fronts(listener)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // the live heap is some megabytes: rarer collections cost little memory and save a tenth of the work
	}
	go debug.FreeOSMemory() // what migrating and parsing pages needed is not needed again

	jobsCtx, stopJobs := context.WithCancel(ctx)
	var jobs sync.WaitGroup
	jobs.Go(func() { s.runJobs(jobsCtx) })
	defer jobs.Wait()
	defer stopJobs()

	done := make(chan error, len(fronts))
	for _, f := range fronts {
		go func() { done <- f.serve() }()
	}
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("stopping")
	graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, f := range fronts {
		if err := f.Shutdown(graceCtx); err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
	}
	return nil
}

// outboundOf is the one way by which we fetch what clients name.
func outboundOf(cfg *config.Config) *outbound.Client {
	return outbound.New(outbound.Config{Networks: cfg.OutboundNetworks, Hosts: cfg.OutboundHosts})
}

func footer(cfg *config.Config) []web.Link {
	if cfg.HelpURL == "" {
		return nil
	}
	return []web.Link{{Text: "Help", URL: cfg.HelpURL}}
}

// mailTransport is the mailbox of the demo, the mail server, or nil: then no mail is sent, and nothing needs any.
func mailTransport(cfg *config.Config, mailbox *mail.Mailbox) (mail.Transport, error) {
	switch {
	case mailbox != nil:
		return mailbox, nil
	case cfg.SMTPURL == "":
		return nil, nil
	default:
		return mail.NewSMTP(cfg.SMTPURL.Reveal())
	}
}
