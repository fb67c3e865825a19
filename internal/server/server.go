// Package server is the assembled program: it opens the stores, wires every feature by hand, and serves until it is
// stopped. The commands of cmd/stepward and the tests use it.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/drain"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/outage"
	"github.com/stepward/stepward/internal/provider"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/internal/web"
)

// Server is the assembled program: all wiring is here and in wiring.go, by hand.
type Server struct {
	Config    *config.Config // as the program was started, without the policy of the store
	log       *slog.Logger
	DB        *store.DB
	Ephemeral ephemeral.Store
	Keys      *keys.Ring
	clocks    *clocks
	mailbox   *mail.Mailbox // takes the place of a mail server; nil: does not
	parts     parts
	secrets   *keys.Secrets
	sessions  *session.Sessions
	mailer    *mail.Mailer // runs the outbox
	used      *registry.Recorder
	current   atomic.Pointer[wiring]
	policy    policyWatch
	room      limit.Room // of the ephemeral store
	Handler   http.Handler
	mtls      http.Handler // for mtls-listen
	drain     stopping
	health    health
	observed
}

// New opens and migrates the stores and wires every feature. If mailbox is set, it receives the e-mails instead of a
// mail server (the demo).
func New(ctx context.Context, cfg *config.Config, log *slog.Logger, mailbox *mail.Mailbox) (_ *Server, err error) {
	slog.SetDefault(slog.New(provider.DropLibraryRecords(log.Handler())))
	s := &Server{Config: cfg, log: log, mailbox: mailbox}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.observe(ctx, cfg); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	if s.parts, err = read(cfg, mailbox, s.fetches); err != nil {
		return nil, err
	}
	if cfg.Issuer.Scheme == "https" && cfg.TLSCertPath == "" && len(cfg.TrustedProxies) == 0 {
		log.Warn("the issuer is https but this process serves http, so there must be a proxy: add it to trusted-proxies, " +
			"or all limits count for its address")
	}
	if s.DB, err = openStore(ctx, cfg, true, s.asked(databaseName(cfg))); err != nil {
		return nil, err
	}
	if err := Migrate(ctx, cfg, s.DB); err != nil {
		return nil, err
	}
	if err := claimRPID(ctx, cfg, s.DB); err != nil {
		return nil, err
	}
	s.used = registry.NewRecorder(s.DB)
	if s.Ephemeral, err = OpenEphemeral(ctx, cfg, s.DB, log); err != nil {
		return nil, err
	}
	s.Ephemeral = s.watched(s.Ephemeral, ephemeralName(cfg))
	s.clocks = newClocks(log, clock{s.DB.Backend(), s.DB.Now}, clock{"ephemeral", s.Ephemeral.Now})
	s.clocks.compare(ctx)
	operator, err := operatorkey.Load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if s.secrets, err = keys.LoadSecrets(ctx, s.DB, operator); err != nil {
		return nil, keysFault(cfg, err)
	}

	s.sessions = session.New(session.Config{
		Store: s.Ephemeral, Idle: cfg.SessionIdle, Absolute: cfg.SessionAbsolute, Insecure: cfg.Insecure(),
		Agent: web.Agent, Address: web.ClientAddress,
	})
	if s.Keys, err = SigningKeys(cfg, s.DB, operator); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if err := s.Keys.Prepare(ctx); err != nil {
		return nil, keysFault(cfg, err)
	}
	if s.mailer, err = mail.New(mail.Config{
		DB: s.DB, Transport: s.parts.transport, From: cfg.From, Product: cfg.ProductName,
		Languages: cfg.Languages, Logger: log,
	}); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}

	effective, err := policies.New(s.DB).Effective(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.take(effective); err != nil {
		return nil, err
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.current.Load().handler.ServeHTTP(w, r) })
	s.mtls = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.current.Load().mtls.ServeHTTP(w, r) })
	return s, nil
}

func (s *Server) Listen() (net.Listener, error) {
	listener, err := drain.Listen(s.Config.Listen)
	if err != nil {
		return nil, cannotListen(s.Config, "listen", s.Config.Listen, err)
	}
	return listener, nil
}

func cannotListen(cfg *config.Config, setting, address string, err error) error {
	message := fmt.Sprintf("cannot listen on %s: %s; another program may be using it", address, outage.Reason(err))
	return config.Faults{cfg.Fault(setting, message, err)}
}

// mailTransport returns the demo's mailbox, the mail server, or nil, which disables e-mail.
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
