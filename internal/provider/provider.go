// Package provider puts the protocol endpoints together, publishes the metadata, and is the only one that knows zitadel/oidc.
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

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/authorize"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/device"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
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

// Config wires a Provider. Durations of zero mean the defaults.
type Config struct {
	Issuer    string // https://host, without a path; http for localhost only
	DB        *store.DB
	Ephemeral ephemeral.Store
	Sessions  *session.Sessions
	Shell     *web.Shell
	Policy    idp.Policy
	Keys      *keys.Ring
	// Begin stores an interaction and returns the path that shows it, or answers it at once and returns "" (login.Begin).
	Begin oauth.Begin
	// Lifetimes of tokens; zero durations mean the defaults.
	Lifetimes token.Lifetimes
	// RefreshKey, 32 random bytes shared by all replicas, derives the successors of refresh tokens and the nonces of DPoP proofs.
	RefreshKey []byte
	// MTLSOrigin is the origin at which clients are asked for a certificate (RFC 8705 §5); empty: nowhere.
	MTLSOrigin string
	// ClientCAs issue the certificates of clients with tls_client_auth; nil: there are no such clients.
	ClientCAs *x509.CertPool
	// RequirePAR refuses every authorization request that was not pushed, whatever the client's policy.
	RequirePAR bool
	// Outbound fetches what clients name, keys and request objects, and tells them of logouts.
	Outbound *outbound.Client
	Logger   *slog.Logger // of what happens outside of requests; nil: slog.Default
	// SubjectKey, 32 random bytes shared by all replicas, derives the names that pairwise clients know users by. Another key
	// gives every user another sub at all of them.
	SubjectKey []byte
	// Registration lets clients register themselves, ClientDocuments those that need not: their ID is where they describe
	// themselves. These get the scopes of Registration, too.
	Registration    client.Registration
	ClientDocuments bool
}

// Provider answers the protocol endpoints. It may be used by any number of goroutines.
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
	metadata     []byte // both discovery documents
}

// New checks the configuration, and puts the parts together.
func New(c Config) (*Provider, error) {
	issuer, err := url.Parse(c.Issuer)
	switch {
	case err != nil || issuer.Host == "" || issuer.Path != "" || issuer.RawQuery != "" || issuer.Fragment != "":
		return nil, fmt.Errorf("issuer %q is not of the form https://host", c.Issuer)
	case c.DB == nil, c.Ephemeral == nil, c.Sessions == nil, c.Shell == nil, c.Keys == nil, c.Begin == nil, c.Outbound == nil:
		return nil, errors.New("provider needs stores, sessions, shell, keys, Begin and Outbound")
	case len(c.RefreshKey) < 32, len(c.SubjectKey) < 32:
		return nil, errors.New("the refresh key or the subject key is shorter than 32 bytes")
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	names, err := subject.NewNames(c.SubjectKey)
	if err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	binder := sender.NewBinder(sender.BinderConfig{Issuer: c.Issuer, MTLSOrigin: c.MTLSOrigin, Ephemeral: c.Ephemeral, Secret: c.RefreshKey})
	p := &Provider{cfg: c, catalog: access.Catalog{Issuer: c.Issuer, Policy: c.Policy}}
	p.libraryCalls.New = func() any { return p.newLibraryCall() }
	p.door = oauth.Door{Issuer: c.Issuer, Nonce: binder.Nonce, OwnsOrigin: p.runs}
	p.clients = client.NewAuthenticator(client.AuthenticatorConfig{
		Issuer: c.Issuer, DB: c.DB, Ephemeral: c.Ephemeral, Outbound: c.Outbound, CAs: c.ClientCAs,
	})
	p.registrar = client.NewRegistrar(client.RegistrarConfig{
		Door: p.door, Clients: p.clients, DB: c.DB, Ephemeral: c.Ephemeral, Outbound: c.Outbound, Policy: c.Policy,
		Algorithms: c.Keys.Algorithms, Registration: c.Registration, Documents: c.ClientDocuments,
	})
	p.tokens = token.New(token.Config{
		DB: c.DB, Ephemeral: c.Ephemeral, Keys: c.Keys, Names: names, Catalog: p.catalog, Binder: binder, Clients: p.registrar,
		Lifetimes: c.Lifetimes, RefreshKey: c.RefreshKey,
	})
	p.authorize, err = authorize.New(authorize.Config{
		DB: c.DB, Ephemeral: c.Ephemeral, Shell: c.Shell, Keys: c.Keys, Outbound: c.Outbound, Clients: p.clients, Registrar: p.registrar,
		Binder: binder, Tokens: p.tokens, Names: names, Catalog: p.catalog, Begin: c.Begin, RequirePAR: c.RequirePAR,
	})
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	p.devices, err = device.New(device.Config{
		DB: c.DB, Ephemeral: c.Ephemeral, Shell: c.Shell, Sessions: c.Sessions, Registrar: p.registrar, Tokens: p.tokens,
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

// runs reports whether a script of this origin is the client's own. The client is in the cache: the call looked it up a moment
// ago.
func (p *Provider) runs(ctx context.Context, clientID, origin string) bool {
	c, err := p.cfg.DB.Client(ctx, clientID)
	return err == nil && c.OwnsOrigin(origin)
}

// Mount adds the endpoints: those that applications call, or send browsers to from outside, to protocol; the pages that
// people see to browser.
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

// MountMTLS adds the endpoints at which clients are asked for a certificate (RFC 8705 §5). There is nothing else at that
// origin: a page there would make browsers ask people to choose a certificate.
func (p *Provider) MountMTLS(protocol *http.ServeMux) { p.mountMachines(protocol, false) }

// mountMachines adds the endpoints that applications call. scripts: browsers may, too.
func (p *Provider) mountMachines(protocol *http.ServeMux, scripts bool) {
	post := []string{http.MethodPost}
	for _, e := range []struct {
		path     string
		guard    oauth.Guard
		endpoint oauth.Endpoint
	}{
		{oauth.PathPAR, authorize.PushGuard, p.authorize.Push},
		{oauth.PathDeviceAuthorization, device.Guard, p.devices.Authorize},
		{oauth.PathToken, oauth.Guard{Methods: post, Credentials: true, Scripts: true, Several: []string{"resource", "audience"}, Check: knownGrant}, p.throughLibrary}, // RFC 8707 §2, RFC 8693 §2.1
		{oauth.PathIntrospect, oauth.Guard{Methods: post, Credentials: true, Check: hasToken}, p.tokens.Introspect},
		{oauth.PathRevoke, oauth.Guard{Methods: post, Credentials: true, Scripts: true, Check: hasToken}, p.throughLibrary},
		{oauth.PathUserInfo, oauth.Guard{Methods: []string{http.MethodGet, http.MethodPost}, Bearer: true, Scripts: true}, p.throughLibrary},
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

// Respond ends a client's interaction and answers the client, or lets the device that waits have its answer.
func (p *Provider) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	if i.Request.Device != "" {
		return p.devices.Respond(w, r, i, o)
	}
	return p.authorize.Respond(w, r, i, o)
}

// DeliverLogouts tells clients of ended sessions until ctx ends (logout.Service.Deliver).
func (p *Provider) DeliverLogouts(ctx context.Context) { p.logouts.Deliver(ctx) }

// SettleLogouts finds the sessions that have ended by themselves (logout.Service.Settle).
func (p *Provider) SettleLogouts(ctx context.Context) error { return p.logouts.Settle(ctx) }
