// Package provider holds the OAuth 2.0 and OpenID Connect endpoints, the tokens and the keys that sign them.
//
//	application ──▶ /oauth2/par ──▶ the request is kept (RFC 9126) ──▶ request_uri, for authorize
//	     │
//	application ──▶ /oauth2/authorize ──▶ Config.Begin stores the interaction ──▶ 302 /login   (package login, screens)
//	                                                                                   │
//	application ◀── code, state, iss ◀──────── Respond ◀── how the interaction ended ◀─┘
//	     │
//	     ├──▶ /oauth2/device_authorization ──▶ a person types its code at /device ──▶ the same interaction ──▶ Respond
//	     ├──▶ /oauth2/token        code, device code or refresh token ──▶ family (store) ──▶ access, ID and refresh token
//	     │                        a client in its own name ──▶ access token, of no family
//	     ├──▶ /oauth2/userinfo     access token ──▶ claims
//	     ├──▶ /oauth2/introspect   access token ──▶ what it says, if it still holds
//	     ├──▶ /oauth2/revoke       any token ──▶ its family ends
//	     └──▶ /oauth2/end_session ──▶ /logout asks ──▶ session and its families end ──▶ back, or /logged-out
//	                                                        │
//	application ◀── logout token ◀── DeliverLogouts ◀── outbox ◀── whatever ends a session, in its transaction
//
// What machines call runs through zitadel/oidc (op.RegisterServer) behind guards of our own; what people see, authorize
// and end_session, is answered here alone, because op.Server can only redirect. See docs/decisions/0001.
//
// Every token of a person is derived from one [idp.Family], which is what one authorization code produced and which is revoked as a
// whole. A JWT access token names its family in its jti, so that userinfo and introspection need one read.
package provider

import (
	"cmp"
	"context"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/subject"
	"github.com/stepward/stepward/internal/web"
)

// Paths of the endpoints, below the issuer.
const (
	pathAuthorize   = "/oauth2/authorize"
	pathPAR         = "/oauth2/par"
	pathToken       = "/oauth2/token"
	pathUserInfo    = "/oauth2/userinfo"
	pathJWKS        = "/oauth2/jwks"
	pathIntrospect  = "/oauth2/introspect"
	pathRevoke      = "/oauth2/revoke"
	pathEndSession  = "/oauth2/end_session"
	pathFormPostJS  = "/oauth2/form_post.js"
	pathLoggedOutJS = "/oauth2/logged_out.js"
	pathLogout      = "/logout"
	pathLoggedOut   = "/logged-out"

	pathDeviceAuthorization = "/oauth2/device_authorization"
	pathDevice              = "/device"
	pathDeviceConnected     = "/device/connected"
	pathDeviceRefused       = "/device/refused"
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
	Begin func(ctx context.Context, w http.ResponseWriter, r *http.Request, req idp.Request, need idp.Requirement) (location string, err error)
	// AccessTTL and IDTTL are how long access and ID tokens live: 10 minutes each. A client may have its own AccessTTL.
	AccessTTL, IDTTL time.Duration
	// RefreshTTL is how long a family with refresh tokens lives, however often it is refreshed: 30 days.
	RefreshTTL time.Duration
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
	Registration    Registration
	ClientDocuments bool
}

// Provider answers the protocol endpoints. It may be used by any number of goroutines.
type Provider struct {
	Config
	codes    ephemeral.Bucket[authorization]
	pushes   ephemeral.Bucket[pushed]
	logouts  ephemeral.Bucket[logout]
	names    *subject.Names
	nonces   nonces
	verified verified
	keySets  keySets
	devices  ephemeral.Bucket[device]
	pages    *web.Pages
	library  http.Handler // zitadel/oidc, behind serve
	meta     []byte       // both discovery documents
}

//go:embed pages
var files embed.FS

// New checks the configuration and prepares what does not change.
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
	c.AccessTTL = cmp.Or(c.AccessTTL, 10*time.Minute)
	c.IDTTL = cmp.Or(c.IDTTL, 10*time.Minute)
	c.RefreshTTL = cmp.Or(c.RefreshTTL, 30*24*time.Hour)
	p := &Provider{
		Config:  c,
		codes:   ephemeral.NewBucket[authorization](c.Ephemeral, "code", codeTTL),
		pushes:  ephemeral.NewBucket[pushed](c.Ephemeral, "par", referenceTTL),
		logouts: ephemeral.NewBucket[logout](c.Ephemeral, "logout", logoutTTL),
		keySets: keySets{outbound: c.Outbound, sets: map[string]*keySet{}},
		devices: ephemeral.NewBucket[device](c.Ephemeral, "device", deviceKept),
	}
	p.nonces = newNonces(c.RefreshKey)
	if p.names, err = subject.NewNames(c.SubjectKey); err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	if p.pages, err = c.Shell.Parse(files, "pages/*.html"); err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	if p.meta, err = p.metadata(); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	p.library = op.RegisterServer(server{p: p}, op.Endpoints{
		Token:      op.NewEndpoint(pathToken),
		Userinfo:   op.NewEndpoint(pathUserInfo),
		Revocation: op.NewEndpoint(pathRevoke),
	}, op.WithServerCORSOptions(nil))
	return p, nil
}

// Mount adds the endpoints: those that applications call or send browsers to from outside to protocol, the pages of
// signing out to browser.
func (p *Provider) Mount(protocol, browser *http.ServeMux) {
	p.Shell.Handle(protocol, "GET "+pathAuthorize, p.authorize)
	p.Shell.Handle(protocol, "POST "+pathAuthorize, p.authorize)
	p.Shell.Handle(protocol, "GET "+pathEndSession, p.endSession)
	p.Shell.Handle(protocol, "POST "+pathEndSession, p.endSession)
	protocol.HandleFunc("GET "+pathFormPostJS, p.formPostScript)
	protocol.HandleFunc("GET "+pathLoggedOutJS, p.loggedOutScript)
	protocol.HandleFunc(pathPAR, p.cors(p.own(parGuard, p.push)))
	protocol.HandleFunc(pathDeviceAuthorization, p.own(deviceGuard, p.authorizeDevice))
	p.mountRegistration(protocol)
	p.mountResources(protocol)
	protocol.HandleFunc(pathToken, p.cors(p.serve(tokenGuard)))
	protocol.HandleFunc(pathIntrospect, p.own(introspectGuard, p.inspect))
	protocol.HandleFunc(pathRevoke, p.cors(p.serve(revokeGuard)))
	protocol.HandleFunc(pathUserInfo, p.cors(p.serve(userInfoGuard)))
	p.Shell.Handle(protocol, "GET "+pathJWKS, p.jwks)
	p.Shell.Handle(protocol, "GET /.well-known/openid-configuration", p.discovery)
	p.Shell.Handle(protocol, "GET /.well-known/oauth-authorization-server", p.discovery) // RFC 8414 §3

	p.Shell.Handle(browser, "GET "+pathDevice, p.showDevice)
	p.Shell.Handle(browser, "POST "+pathDevice, p.findDevice)
	p.Shell.Handle(browser, "POST "+pathDevice+"/confirm", p.confirmDevice)
	p.Shell.Handle(browser, "GET "+pathDeviceConnected, p.showDeviceConnected)
	p.Shell.Handle(browser, "GET "+pathDeviceRefused, p.showDeviceRefused)
	p.Shell.Handle(browser, "GET "+pathLogout, p.showLogout)
	p.Shell.Handle(browser, "POST "+pathLogout, p.confirmLogout)
	p.Shell.Handle(browser, "GET "+pathLoggedOut, p.showLoggedOut)
}
