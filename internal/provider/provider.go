// Package provider assembles the protocol endpoints and publishes the metadata. Only this package uses zitadel/oidc.
//
//	application ──▶ /oauth2/authorize, par ─────────────▶ authorize ──▶ login ──▶ Respond
//	application ──▶ /oauth2/token, userinfo, revoke ────▶ zitadel.go ──▶ token, device
//	application ──▶ /oauth2/introspect ─────────────────▶ token
//	application ──▶ /oauth2/device_authorization ───────▶ device
//	application ──▶ /oauth2/register ───────────────────▶ client
//	browser ──────▶ /device, /logout ───────────────────▶ device, logout
//
// See docs/decisions/0001 for the library's part.
package provider

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/authorize"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/device"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/logout"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/sender"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/subject"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// Config configures a Provider. Zero durations mean the defaults.
type Config struct {
	Issuer    string // https://host, without a path; http for localhost only
	DB        *store.DB
	Ephemeral ephemeral.Store
	Sessions  *session.Sessions
	Shell     *web.Shell
	Policy    idp.Policy
	Keys      *keys.Ring
	// Begin stores an interaction and returns the path of its first page. If it answers the request itself, it returns ""
	// (login.Begin).
	Begin oauth.Begin
	// Lifetimes are the lifetimes of tokens; zero durations mean the defaults.
	Lifetimes token.Lifetimes
	// RefreshKey derives the successors of refresh tokens and the nonces of DPoP proofs: 32 random bytes shared by all
	// replicas.
	RefreshKey []byte
	// MTLSOrigin is the origin where clients are asked for a certificate (RFC 8705 §5); empty: none.
	MTLSOrigin string
	// ClientCAs issue the certificates for tls_client_auth; nil disables the method.
	ClientCAs *x509.CertPool
	// ClientRate limits the requests of each client that proves who it is; nil: it does not.
	ClientRate *limit.Rate[string]
	Room       *limit.Room // for requests of strangers; nil: always space
	// RequirePAR rejects every authorization request that was not pushed, whatever the client's policy.
	RequirePAR bool
	// Outbound fetches keys and request objects of clients, and delivers logouts.
	Outbound *outbound.Client
	Logger   *slog.Logger // for work outside of requests; nil: slog.Default
	// SubjectKey derives the names by which pairwise clients know users: 32 random bytes shared by all replicas. With
	// another key, every user gets a new sub at all of these clients.
	SubjectKey []byte
	// Registration lets clients register themselves. ClientDocuments also accepts client IDs that are URLs of a metadata
	// document; such clients get the scopes of Registration too.
	Registration    client.Registration
	ClientDocuments bool
	// Before is the provider of another policy that this one follows, and whose fetched keys of clients it goes on using.
	// nil: it is the first.
	Before *Provider
}

// Provider serves the protocol endpoints. It is safe for concurrent use.
type Provider struct {
	cfg          Config
	door         oauth.Door
	catalog      access.Catalog
	clients      *client.Authenticator
	registrar    *client.Registrar
	tokens       *token.Service
	authorize    *authorize.Service
	devices      *device.Service
	logouts      *logout.Service
	libraryCalls sync.Pool
	metadata     *web.Document // served at both discovery paths
	keySet       atomic.Pointer[keySet]
}

// New checks the configuration and assembles the parts.
func New(c Config) (*Provider, error) {
	issuer, err := url.Parse(c.Issuer)
	switch {
	case err != nil || issuer.Host == "" || issuer.Path != "" || issuer.RawQuery != "" || issuer.Fragment != "":
		return nil, fmt.Errorf("issuer %q must have the form https://host", c.Issuer)
	case c.DB == nil, c.Ephemeral == nil, c.Sessions == nil, c.Shell == nil, c.Keys == nil, c.Begin == nil,
		c.Outbound == nil:
		return nil, errors.New("provider needs stores, sessions, shell, keys, Begin and Outbound")
	case len(c.RefreshKey) < 32, len(c.SubjectKey) < 32:
		return nil, errors.New("the refresh key or the subject key is shorter than 32 bytes")
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	names, err := subject.NewNames(c.SubjectKey)
	if err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	binder := sender.NewBinder(
		sender.BinderConfig{Issuer: c.Issuer, MTLSOrigin: c.MTLSOrigin, Ephemeral: c.Ephemeral, Secret: c.RefreshKey},
	)
	p := &Provider{cfg: c, catalog: access.Catalog{Issuer: c.Issuer, Policy: c.Policy}}
	p.libraryCalls.New = func() any { return p.newLibraryCall() }
	p.door = oauth.Door{Issuer: c.Issuer, Nonce: binder.Nonce, OwnsOrigin: p.runs}
	if c.Before != nil { // clients authenticate alike under every policy
		p.clients, p.cfg.Before = c.Before.clients, nil
	} else {
		p.clients = client.NewAuthenticator(client.AuthenticatorConfig{
			Issuer: c.Issuer, DB: c.DB, Ephemeral: c.Ephemeral, Outbound: c.Outbound, CAs: c.ClientCAs,
			Rate: c.ClientRate,
		})
	}
	p.registrar = client.NewRegistrar(client.RegistrarConfig{
		Door: p.door, Clients: p.clients, DB: c.DB, Ephemeral: c.Ephemeral, Outbound: c.Outbound, Policy: c.Policy,
		Algorithms: c.Keys.Algorithms, Registration: c.Registration, Documents: c.ClientDocuments,
	})
	p.tokens = token.New(token.Config{
		DB: c.DB, Ephemeral: c.Ephemeral, Keys: c.Keys, Names: names, Catalog: p.catalog, Binder: binder,
		Clients:   p.registrar,
		Lifetimes: c.Lifetimes, RefreshKey: c.RefreshKey,
	})
	p.authorize, err = authorize.New(authorize.Config{
		Room: c.Room,
		DB:   c.DB, Ephemeral: c.Ephemeral, Shell: c.Shell, Keys: c.Keys, Outbound: c.Outbound, Clients: p.clients,
		Registrar: p.registrar,
		Binder:    binder, Tokens: p.tokens, Names: names, Catalog: p.catalog, Begin: c.Begin, RequirePAR: c.RequirePAR,
	})
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	p.devices, err = device.New(device.Config{
		Room: c.Room,
		DB:   c.DB, Ephemeral: c.Ephemeral, Shell: c.Shell, Sessions: c.Sessions, Registrar: p.registrar, Tokens: p.tokens,
		Catalog: p.catalog, Begin: c.Begin, Read: p.authorize.ReadAccess,
	})
	if err != nil {
		return nil, fmt.Errorf("device: %w", err)
	}
	p.logouts, err = logout.New(logout.Config{
		Issuer: c.Issuer, DB: c.DB, Ephemeral: c.Ephemeral, Shell: c.Shell, Sessions: c.Sessions, Keys: c.Keys, Names: names,
		Tokens: p.tokens, Outbound: c.Outbound, Logger: c.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("logout: %w", err)
	}
	if p.metadata, err = p.describe(); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return p, nil
}

// runs reports whether scripts of this origin belong to the client. The client is cached, because the call has just
// looked it up.
func (p *Provider) runs(ctx context.Context, clientID, origin string) bool {
	c, err := p.cfg.DB.Client(ctx, clientID)
	return err == nil && c.OwnsOrigin(origin)
}

// Mount adds the endpoints for applications, and for browsers that they redirect, to protocol, and the pages to
// browser.
func (p *Provider) Mount(protocol, browser *http.ServeMux) {
	p.authorize.Mount(protocol)
	p.devices.Mount(browser)
	p.logouts.Mount(protocol, browser)
	p.registrar.Mount(protocol)
	p.mountMachines(protocol, true)
	p.mountResources(protocol)
	p.cfg.Shell.Handle(protocol, "GET "+oauth.PathJWKS, p.jwks)
	p.cfg.Shell.Handle(protocol, "GET /.well-known/openid-configuration", p.discovery)
	p.cfg.Shell.Handle(protocol, "GET /.well-known/oauth-authorization-server", p.discovery) // RFC 8414 §3
}

// MountMTLS adds the endpoints where clients are asked for a certificate (RFC 8705 §5). Nothing else may be at that
// origin: on a page there, browsers would ask people to choose a certificate.
func (p *Provider) MountMTLS(protocol *http.ServeMux) { p.mountMachines(protocol, false) }

// mountMachines adds the endpoints for applications. With scripts, browsers may call them too.
func (p *Provider) mountMachines(protocol *http.ServeMux, scripts bool) {
	post := []string{http.MethodPost}
	for _, e := range []struct {
		path     string
		guard    oauth.Guard
		endpoint oauth.Endpoint
	}{
		{oauth.PathPAR, authorize.PushGuard, p.authorize.Push},
		{oauth.PathDeviceAuthorization, device.Guard, p.devices.Authorize},
		// RFC 8707 §2, RFC 8693 §2.1
		{
			oauth.PathToken,
			oauth.Guard{
				Methods: post, Credentials: true, Scripts: true, Several: []string{"resource", "audience"}, Check: knownGrant,
			},
			p.throughLibrary,
		},
		{oauth.PathIntrospect, oauth.Guard{Methods: post, Credentials: true, Check: hasToken}, p.tokens.Introspect},
		{oauth.PathRevoke, oauth.Guard{Methods: post, Credentials: true, Scripts: true, Check: hasToken}, p.throughLibrary},
		{
			oauth.PathUserInfo,
			oauth.Guard{Methods: []string{http.MethodGet, http.MethodPost}, Bearer: true, Scripts: true},
			p.throughLibrary,
		},
	} {
		e.guard.Scripts = e.guard.Scripts && scripts
		protocol.HandleFunc(e.path, p.door.Handle(e.guard, e.endpoint))
	}
}

func knownGrant(form url.Values) *oauth.Error {
	switch grant := form.Get("grant_type"); {
	case slices.Contains(idp.GrantTypes, grant):
		return nil
	case grant == "":
		return oauth.InvalidRequest("grant_type is missing")
	default:
		return oauth.Refuse("unsupported_grant_type", "unsupported grant_type; see grant_types_supported")
	}
}

func hasToken(form url.Values) *oauth.Error {
	if form.Get("token") == "" {
		return oauth.InvalidRequest("token is missing")
	}
	return nil
}

// Respond ends a client's interaction: it answers the client, or stores the answer for the waiting device.
func (p *Provider) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	if i.Request.Device != "" {
		return p.devices.Respond(w, r, i, o)
	}
	return p.authorize.Respond(w, r, i, o)
}

// Understand reads an authorization request and begins nothing (authorize.Service.Understand).
func (p *Provider) Understand(r *http.Request, form url.Values, own bool) (authorize.Reading, error) {
	return p.authorize.Understand(r, form, own)
}

// Preview returns what a client would get after an interaction, and issues nothing (token.Service.Preview).
func (p *Provider) Preview(ctx context.Context, c idp.Client, req idp.Request, o idp.Outcome) (token.Preview, error) {
	return p.tokens.Preview(ctx, c, req, o)
}

// Answer is Respond for a script (authorize.Service.Answer). A device's outcome is left to Respond.
func (p *Provider) Answer(r *http.Request, i idp.Interaction, o idp.Outcome) (
	ops []*ephemeral.Op, location func() (string, error), err error,
) {
	if i.Request.Device != "" {
		return nil, nil, nil
	}
	return p.authorize.Answer(r, i, o)
}

// DeliverLogouts notifies clients of ended sessions until ctx ends (logout.Service.Deliver).
func (p *Provider) DeliverLogouts(ctx context.Context) { p.logouts.Deliver(ctx) }

// SettleLogouts finds sessions that ended by themselves (logout.Service.Settle).
func (p *Provider) SettleLogouts(ctx context.Context) error { return p.logouts.Settle(ctx) }
