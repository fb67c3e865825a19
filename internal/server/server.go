// Package server is the assembled program: it opens the stores, wires every feature by hand, and serves until it is
// stopped. The commands of cmd/stepward and the tests use it.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/adminapi"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/outage"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/provider"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// Server is the assembled program: all wiring is in this file, by hand.
type Server struct {
	Config    *config.Config
	log       *slog.Logger
	DB        *store.DB
	Ephemeral ephemeral.Store
	Keys      *keys.Ring
	op        *provider.Provider
	accounts  *account.Account
	clocks    *clocks
	mailer    *mail.Mailer
	used      *registry.Recorder
	remind    func(context.Context, time.Time) error // of recoveries that wait
	shell     *web.Shell
	Handler   http.Handler
	mtls      http.Handler // for mtls-listen
	drain     drain
	health    health
	observed
}

// New opens and migrates the stores and wires every feature. If mailbox is set, it receives the e-mails instead of a
// mail server (the demo).
func New(ctx context.Context, cfg *config.Config, log *slog.Logger, mailbox *mail.Mailbox) (_ *Server, err error) {
	slog.SetDefault(slog.New(provider.DropLibraryRecords(log.Handler())))
	s := &Server{Config: cfg, log: log}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.observe(ctx, cfg); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	p, err := read(cfg, mailbox, s.fetches)
	if err != nil {
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
	operator, err := OperatorKeys(ctx, cfg)
	if err != nil {
		return nil, err
	}
	secrets, err := keys.LoadSecrets(ctx, s.DB, operator)
	if err != nil {
		return nil, keysFault(cfg, err)
	}

	shell, err := web.New(web.Config{
		Issuer: cfg.Issuer, ProductName: cfg.ProductName, LogoURL: cfg.LogoURL, Accent: cfg.Accent, Footer: footer(cfg),
		TrustedProxies: cfg.TrustedProxies, ProxyCertificates: cfg.MTLSOrigin != nil && cfg.MTLSListen == "", Logger: log,
		Insecure: cfg.Insecure(), Trace: s.trace(), Answered: s.passOn(s.used),
	})
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	sessions := session.New(session.Config{
		Store: s.Ephemeral, Idle: cfg.SessionIdle, Absolute: cfg.SessionAbsolute, Insecure: cfg.Insecure(),
		Agent: web.Agent, Address: web.ClientAddress,
	})
	ceremonies, err := passkey.New(passkey.Config{
		RPID: cfg.Issuer.Hostname(), RPName: cfg.ProductName, Origins: []string{cfg.Issuer.String()},
		Store: s.Ephemeral, Attestation: cfg.Attestation, Metadata: p.metadata, DecoyKey: secrets.Key("decoy"), Logger: log,
		Rules: passkey.Rules{
			DeviceBound: cfg.DeviceBound, Allowed: cfg.AllowedModels, Forbidden: cfg.ForbiddenModels,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if s.Keys, err = SigningKeys(cfg, s.DB, operator); err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if err := s.Keys.Prepare(ctx); err != nil {
		return nil, keysFault(cfg, err)
	}
	if s.mailer, err = mail.New(mail.Config{
		DB: s.DB, Transport: p.transport, From: cfg.From, Product: cfg.ProductName,
		Logger: log,
	}); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}

	// login and provider never import each other. Each gets funcs of the other, and they share the stored interaction.
	var op *provider.Provider
	var accounts *account.Account
	logins, err := login.New(login.Config{
		Shell: shell, Sessions: sessions, Ceremonies: ceremonies, DB: s.DB, Ephemeral: s.Ephemeral, Policy: cfg.Policy,
		SignUp: cfg.SignUp,
		Respond: func(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
			return op.Respond(w, r, i, o)
		},
		Answer: func(r *http.Request, i idp.Interaction, o idp.Outcome) ([]*ephemeral.Op, func() (string, error), error) {
			return op.Answer(r, i, o)
		},
		Notify: s.notify,
		SignedIn: func(w http.ResponseWriter, r *http.Request, u idp.User, k idp.Passkey) {
			accounts.Notices().SignedIn(w, r, u, k)
		},
		Allowed: func(r *http.Request, userID, client string) { accounts.Notices().Allowed(r, userID, client) },
		Leaving: func(w http.ResponseWriter, r *http.Request, u idp.User, passkeyID, interaction string) (string, error) {
			return accounts.Deletions().Offer(w, r, u, passkeyID, interaction)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	var mtlsOrigin string
	if cfg.MTLSOrigin != nil {
		mtlsOrigin = cfg.MTLSOrigin.String()
	}
	op, err = provider.New(provider.Config{
		Issuer: cfg.Issuer.String(), DB: s.DB, Ephemeral: s.Ephemeral, Sessions: sessions, Shell: shell, Policy: cfg.Policy,
		Keys:  s.Keys,
		Begin: logins.Begin, Lifetimes: token.Lifetimes{Access: cfg.AccessTokenTTL, Refresh: cfg.RefreshTokenTTL},
		RefreshKey: secrets.Key("refresh"),
		RequirePAR: cfg.RequirePAR,
		Outbound:   p.outbound, SubjectKey: secrets.Key("subject"), MTLSOrigin: mtlsOrigin, ClientCAs: p.clientCAs,
		Logger: log, Registration: p.registration,
		ClientDocuments: cfg.ClientDocuments,
	})
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	accounts, err = account.New(account.Config{
		Shell: shell, Sessions: sessions, Ceremonies: ceremonies, DB: s.DB, Ephemeral: s.Ephemeral, Mailer: s.mailer,
		Issuer: cfg.Issuer.String(), RPID: cfg.Issuer.Hostname(), Policy: cfg.Policy, SignUp: cfg.SignUp,
		Insecure: cfg.Insecure(),
		Require:  logins.Require, Client: logins.Asking, SignedUp: logins.SignedUp,
		Recovery: recovery.Mode(cfg.Recovery), RecoveryHold: cfg.RecoveryHold, RecoveryKey: secrets.Key("recovery-codes"),
		HelpURL: cfg.HelpURL, Passkeys: cfg.PasskeyRules,
	})
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}

	operations := s.operations(cfg, p)
	pages, err := s.console(cfg, shell, sessions, operations, op, logins.Require)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	api, err := adminapi.New(adminapi.Config{
		Issuer: cfg.Issuer.String(), Policy: cfg.Policy, Ephemeral: s.Ephemeral, Version: cfg.Version, Accept: op.Accept,
		Nonce: op.Nonce, MTLS: cfg.MTLSOrigin != nil, Key: secrets.Key("admin-api"), Operations: operations,
	})
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}

	browser, protocol := http.NewServeMux(), http.NewServeMux()
	shell.Mount(browser)
	logins.Mount(browser)
	accounts.Mount(browser)
	pages.Mount(browser)
	op.Mount(protocol, browser)
	if mailbox != nil {
		if err := mailbox.Mount(browser, shell); err != nil {
			return nil, err
		}
	}
	outer := http.NewServeMux()
	ours := func(h http.Handler) http.Handler { return shell.OnlyFor(h, cfg.Issuer, cfg.MTLSOrigin) }
	outer.Handle("/", ours(shell.Browser(browser)))
	for _, path := range []string{
		"/oauth2/", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/",
	} {
		outer.Handle(path, ours(shell.Protocol(protocol)))
	}
	for _, path := range []string{adminapi.Prefix, adminapi.PathMetadata} {
		outer.Handle(path, ours(adminapi.Undeclared(shell.Protocol(api))))
	}
	outer.HandleFunc("GET /healthz", healthz)
	outer.HandleFunc("GET /readyz", s.readyz)
	mtls := http.NewServeMux()
	op.MountMTLS(mtls)
	mtls.Handle(adminapi.Prefix, api) // for tokens that are bound to a certificate
	s.op, s.accounts, s.shell, s.Handler, s.mtls = op, accounts, shell, outer, shell.Protocol(mtls)
	s.remind = accounts.Remind
	return s, nil
}

// notify sends the e-mail for an event of a sign-in.
func (s *Server) notify(ctx context.Context, user idp.User, kind string, data map[string]string) {
	if idp.EventKind(kind) != idp.EventPasskeyRegressed {
		return
	}
	email := s.mailer.In(words.Choose(user.Profile.Locale)).CounterWarning(user.Email, mail.Notice{
		Passkey: data["passkey"], Accepted: data["accepted"] == "true", At: time.Now(), Agent: web.AgentWords(data["agent"]),
		Link: s.Config.Issuer.String() + "/account/passkeys",
	})
	if err := s.mailer.Send(ctx, email); err != nil {
		s.log.Error("notice not queued", "kind", kind, "error", err)
	}
}

func (s *Server) Listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", s.Config.Listen)
	if err != nil {
		return nil, cannotListen(s.Config, "listen", s.Config.Listen, err)
	}
	return listener, nil
}

func cannotListen(cfg *config.Config, setting, address string, err error) error {
	message := fmt.Sprintf("cannot listen on %s: %s; another program may be using it", address, outage.Reason(err))
	return config.Faults{cfg.Fault(setting, message, err)}
}

func footer(cfg *config.Config) []web.Link {
	if cfg.HelpURL == "" {
		return nil
	}
	return []web.Link{{Text: words.T("layout.help"), URL: cfg.HelpURL}}
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
