// Package sample is Acme Bank: the relying party of `stepward demo`, and the example code of docs/integrate. It is an
// ordinary application, written only with pkg/stepup, go-oidc and x/oauth2. It imports nothing of the provider.
//
//	browser ── GET / ─────────────► home
//	        ── POST /signin ──────► authorization request ──► provider ──► GET /callback ──► /me
//	        ── POST /payout ──────► POST /api/payouts with the user's access token
//	                                   │ 200: /payout shows the result
//	                                   │ 401 insufficient_user_authentication (RFC 9470):
//	                                   └► authorization request ──► provider ──► GET /callback
//	                                         └► POST /api/payouts again ──► /payout shows the result
//	        ── POST /signout ─────► end of the session here, then at the provider ──► GET /
//
// The process has two roles that communicate only over HTTP. The application (oidc.go, payout.go, pages.go) keeps
// tokens in a session on the server. The API (api.go) knows no session and trusts only the token.
package sample

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Paths and names for registering the client.
const (
	CallbackPath  = "/callback" // redirect_uri is BaseURL + CallbackPath
	SignedOutPath = "/"         // post_logout_redirect_uri is BaseURL + SignedOutPath
	APIPath       = "/api"      // the API's identifier, and so the audience of access tokens, is BaseURL + APIPath
	ScopePayouts  = "payouts"   // the scope whose action class has the window PayoutWindow
	PayoutWindow  = 5 * time.Minute
	DetailPayout  = "payout" // the type of authorization_details with currency, amount and creditor
)

// Config configures the sample: its provider, and its own address.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret string // client_secret_basic; empty: a public client
	BaseURL      string // its own origin, such as "http://localhost:8090"
	MailURL      string // page with the provider's e-mails; empty: no link
	// Audience is the API's identifier, required in the aud of access tokens; empty: BaseURL + APIPath.
	Audience string
	// Client sends requests to the provider and the API; nil: a client with a timeout of 10 seconds.
	Client *http.Client
	Logger *slog.Logger // nil: slog.Default
}

// New returns the application. It contacts the provider only when a request needs it, so both may start in any order.
func New(c Config) (http.Handler, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" {
		return nil, fmt.Errorf("sample: issuer %q is not an absolute URL", c.Issuer)
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Path != "" {
		return nil, fmt.Errorf("sample: base URL %q is not an origin", c.BaseURL)
	}
	if c.ClientID == "" {
		return nil, errors.New("sample: ClientID is required")
	}
	if c.Audience == "" {
		c.Audience = c.BaseURL + APIPath
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	a := &app{Config: c, sessions: newSessions(base.Scheme == "https")}
	return a.routes(issuer.Scheme + "://" + issuer.Host), nil
}

type app struct {
	Config
	sessions *sessions
	discovery
}

func (a *app) routes(issuerOrigin string) http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", a.home)
	pages.HandleFunc("POST /signin", a.signIn)
	pages.HandleFunc("GET "+CallbackPath, a.callback)
	pages.HandleFunc("GET /me", a.me)
	pages.HandleFunc("GET /payout", a.payoutPage)
	pages.HandleFunc("POST /payout", a.payout)
	pages.HandleFunc("POST /signout", a.signOut)
	pages.HandleFunc("GET /static/{file}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "static/"+r.PathValue("file"))
	})
	pages.HandleFunc("/", a.notFound)

	// Forms may lead to the provider: Chromium also applies form-action to redirects after a form.
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' " + issuerOrigin +
		"; frame-ancestors 'none'; base-uri 'none'"
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(a.crossOrigin))
	protected := sameOrigin.Handler(pages)

	all := http.NewServeMux()
	all.Handle("POST "+APIPath+"/payouts", a.payoutsAPI())
	all.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(r.URL.Path, "/static/") {
			h.Set("Cache-Control", "public, max-age=300")
		}
		protected.ServeHTTP(w, r)
	})
	return http.MaxBytesHandler(all, 64<<10)
}
