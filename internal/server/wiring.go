package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/adminapi"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/geoip"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/provider"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/scim"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/tryout"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A wiring is everything that answers requests, put together for one version of the policy. It never changes: another
// version gets a wiring of its own, and a request ends in the one where it began. So no request sees two versions, and
// no part has to ask which one counts.
type wiring struct {
	cfg      *config.Config // the settings with this version of the policy
	shell    *web.Shell
	mailer   *mail.Mailer
	op       *provider.Provider
	accounts *account.Account
	tries    *tryout.Tryout
	handler  http.Handler
	mtls     http.Handler
	sends    *provision.Service
}

// take builds a wiring for the settings, and lets it answer all requests that begin from now on.
func (s *Server) take(cfg *config.Config) error {
	h, err := s.build(cfg, s.current.Load())
	if err != nil {
		return err
	}
	if s.metrics != nil {
		for name := range cfg.Policy.ActionClasses {
			s.metrics.AddClass(name)
		}
	}
	s.current.Store(h)
	return nil
}

// build wires every feature. before is the wiring that answers so far; nil: none.
func (s *Server) build(cfg *config.Config, before *wiring) (_ *wiring, err error) {
	h := &wiring{cfg: cfg, mailer: s.mailer.Named(cfg.ProductName)}
	if h.shell, err = web.New(web.Config{
		Issuer: cfg.Issuer, ProductName: cfg.ProductName, LogoURL: cfg.LogoURL, Accent: cfg.Accent, Footer: footer(cfg),
		Languages:      cfg.Languages,
		TrustedProxies: cfg.TrustedProxies, ProxyCertificates: cfg.MTLSOrigin != nil && cfg.MTLSListen == "", Logger: s.log,
		Insecure: cfg.Insecure(), Trace: s.trace(), Answered: s.passOn(s.used), PolicyVersion: cfg.Policy.Version,
		Rate: s.parts.networks, Place: place(s.parts.places), Bodies: bodies(),
	}); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	ceremonies, err := passkey.New(passkey.Config{
		RPID: cfg.PasskeyHost(), RPName: cfg.ProductName, Origins: []string{cfg.Issuer.String()},
		Store: s.Ephemeral, Attestation: cfg.Attestation, Metadata: s.parts.metadata, DecoyKey: s.secrets.Key("decoy"),
		Logger: s.log,
		Rules:  passkey.Rules{DeviceBound: cfg.DeviceBound, Allowed: cfg.AllowedModels, Forbidden: cfg.ForbiddenModels},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}

	// login and provider never import each other. Each gets funcs of the other, and they share the stored interaction.
	logins, err := login.New(login.Config{
		Shell: h.shell, Sessions: s.sessions, Ceremonies: ceremonies, DB: s.DB, Ephemeral: s.Ephemeral, Policy: cfg.Policy,
		Room: &s.room, SignUp: cfg.SignUp,
		Respond: func(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
			if i.Request.Try != "" {
				return h.tries.Respond(w, r, i, o)
			}
			return h.op.Respond(w, r, i, o)
		},
		Answer: func(r *http.Request, i idp.Interaction, o idp.Outcome) ([]*ephemeral.Op, func() (string, error), error) {
			if i.Request.Try != "" { // left to Respond
				return nil, nil, nil
			}
			return h.op.Answer(r, i, o)
		},
		Notify: h.notify(s),
		SignedIn: func(w http.ResponseWriter, r *http.Request, u idp.User, k idp.Passkey) {
			h.accounts.Notices().SignedIn(w, r, u, k)
		},
		Allowed: func(r *http.Request, userID, client string) { h.accounts.Notices().Allowed(r, userID, client) },
		Used:    func(r *http.Request, userID string, c idp.Client) { h.accounts.Notices().Used(r, userID, c) },
		Leaving: func(w http.ResponseWriter, r *http.Request, u idp.User, passkeyID, interaction string) (string, error) {
			return h.accounts.Deletions().Offer(w, r, u, passkeyID, interaction)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	var mtlsOrigin string
	if cfg.MTLSOrigin != nil {
		mtlsOrigin = cfg.MTLSOrigin.String()
	}
	var known *provider.Provider
	if before != nil {
		known = before.op
	}
	h.op, err = provider.New(provider.Config{
		Issuer: cfg.Issuer.String(), DB: s.DB, Ephemeral: s.Ephemeral, Sessions: s.sessions, Shell: h.shell,
		Policy: cfg.Policy, Keys: s.Keys,
		Begin: logins.Begin, Lifetimes: token.Lifetimes{Access: cfg.AccessTokenTTL, Refresh: cfg.RefreshTokenTTL},
		RefreshKey: s.secrets.Key("refresh"),
		RequirePAR: cfg.RequirePAR,
		Outbound:   s.parts.outbound, SubjectKey: s.secrets.Key("subject"), MTLSOrigin: mtlsOrigin,
		ClientCAs: s.parts.clientCAs, ClientRate: s.parts.clients, Room: &s.room, Logger: s.log,
		Registration: s.parts.registration, ClientDocuments: cfg.ClientDocuments, Before: known,
	})
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	h.accounts, err = account.New(account.Config{
		Shell: h.shell, Sessions: s.sessions, Ceremonies: ceremonies, DB: s.DB, Ephemeral: s.Ephemeral, Mailer: h.mailer,
		Issuer: cfg.Issuer.String(), RPID: cfg.PasskeyHost(), Policy: cfg.Policy, SignUp: cfg.SignUp,
		Insecure: cfg.Insecure(),
		Require:  logins.Require, Client: logins.Asking, SignedUp: logins.SignedUp,
		Recovery: recovery.Mode(cfg.Recovery), RecoveryHold: cfg.RecoveryHold,
		RecoveryKey: s.secrets.Key("recovery-codes"), HelpURL: cfg.HelpURL, Passkeys: cfg.PasskeyRules,
	})
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}

	operations := s.operations(h)
	if h.sends, err = provision.Of(operations, s.secrets, s.parts.outbound, s.log); err != nil {
		return nil, fmt.Errorf("provisioning: %w", err)
	}
	api, err := adminapi.New(adminapi.Config{
		Issuer: cfg.Issuer.String(), Policy: cfg.Policy, Ephemeral: s.Ephemeral, Version: cfg.Version, Accept: h.op.Accept,
		Nonce: h.op.Nonce, MTLS: cfg.MTLSOrigin != nil, Key: s.secrets.Key("admin-api"), Operations: operations,
		Explain: s.explainer(h), Hardware: cfg.MetadataPath != "", Provisioning: h.sends,
	})
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}

	provisioning, err := scim.New(scim.Config{
		Issuer: cfg.Issuer.String(), Policy: cfg.Policy, DB: s.DB, Ephemeral: s.Ephemeral, Accept: h.op.Accept,
		Authenticate: h.op.Authenticate, Nonce: h.op.Nonce, MTLS: cfg.MTLSOrigin != nil, Mails: h.mailer.Delivers(),
		Operations: operations,
	})
	if err != nil {
		return nil, fmt.Errorf("SCIM: %w", err)
	}

	browser, protocol := http.NewServeMux(), http.NewServeMux()
	h.shell.Mount(browser)
	logins.Mount(browser)
	h.accounts.Mount(browser)
	if err := s.mountConsole(browser, h, operations, logins); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	h.op.Mount(protocol, browser)
	if s.mailbox != nil {
		if err := s.mailbox.Mount(browser, h.shell); err != nil {
			return nil, err
		}
	}
	outer := http.NewServeMux()
	ours := func(next http.Handler) http.Handler { return h.shell.OnlyFor(next, cfg.Issuer, cfg.MTLSOrigin) }
	outer.Handle("/", ours(h.shell.Browser(browser)))
	for _, path := range []string{
		"/oauth2/", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/",
	} {
		outer.Handle(path, ours(h.shell.Protocol(protocol)))
	}
	for _, path := range []string{adminapi.Prefix, adminapi.PathMetadata} {
		outer.Handle(path, ours(adminapi.Undeclared(h.shell.Protocol(api))))
	}
	for _, path := range []string{scim.Prefix, scim.PathMetadata} {
		outer.Handle(path, ours(adminapi.Undeclared(h.shell.Protocol(provisioning))))
	}
	if origins := cfg.PublishedOrigins(); len(origins) > 0 {
		host := &url.URL{Scheme: "https", Host: cfg.PasskeyHost()}
		outer.Handle("GET "+web.PathRelated, h.shell.Related(origins, cfg.Issuer, host))
	}
	outer.HandleFunc("GET /healthz", healthz)
	outer.HandleFunc("GET /readyz", s.readyz)
	mtls := http.NewServeMux()
	h.op.MountMTLS(mtls)
	mtls.Handle(adminapi.Prefix, api) // for tokens that are bound to a certificate
	mtls.Handle(scim.Prefix, provisioning)
	h.handler, h.mtls = outer, h.shell.Protocol(mtls)
	return h, nil
}

// notify returns what sends the e-mail for an event of a sign-in.
func (h *wiring) notify(s *Server) func(context.Context, idp.User, string, map[string]string) {
	return func(ctx context.Context, user idp.User, kind string, data map[string]string) {
		if idp.EventKind(kind) != idp.EventPasskeyRegressed {
			return
		}
		email := h.mailer.For(user.Profile.Locale, nil).CounterWarning(user.Email, mail.Notice{
			Passkey: data["passkey"], Accepted: data["accepted"] == "true", At: time.Now(), Agent: web.AgentWords(data["agent"]),
			Link: s.Config.Issuer.String() + "/account/passkeys",
		})
		if err := h.mailer.Send(ctx, email); err != nil {
			s.log.Error("notice not queued", "kind", kind, "error", err)
		}
	}
}

// place returns what says roughly where an address is; nil without a file.
func place(places *geoip.File) func(address string, l *words.Language) words.Text {
	if places == nil {
		return nil
	}
	return func(address string, l *words.Language) words.Text {
		switch p := places.Of(address, l.Tag); {
		case p.Country == "":
			return words.Text{}
		case p.City == "":
			return words.T("place.country", "country", p.Country)
		default:
			return words.T("place.city", "city", p.City, "country", p.Country)
		}
	}
}

func footer(cfg *config.Config) []web.Link {
	if cfg.HelpURL == "" {
		return nil
	}
	return []web.Link{{Text: words.T("layout.help"), URL: cfg.HelpURL}}
}
