// Package sample is Acme Bank: the relying party of `stepward demo`, and the code that docs/integrate points to. It is
// an ordinary application, written only against pkg/stepup, go-oidc and x/oauth2; nothing of the provider is imported.
//
//	browser ── GET / ─────────────► home
//	        ── POST /signin ──────► authorization request ──► provider ──► GET /callback ──► /me
//	        ── POST /payout ──────► POST /api/payouts with the user's access token
//	                                   │ 200: /payout shows the result
//	                                   │ 401 insufficient_user_authentication (RFC 9470):
//	                                   └► authorization request ──► provider ──► GET /callback
//	                                         └► POST /api/payouts once more ──► /payout shows the result
//	        ── POST /signout ─────► end of the session here, then at the provider ──► GET /
//
// Two roles live in one process and talk only HTTP to each other: the application (oidc.go, payout.go, pages.go) keeps
// tokens in a session on the server; the API (api.go) knows no session and trusts nothing but the token.
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

// Paths and names to register the client with.
const (
	CallbackPath  = "/callback" // redirect_uri is BaseURL + CallbackPath
	SignedOutPath = "/"         // post_logout_redirect_uri is BaseURL + SignedOutPath
	APIPath       = "/api"      // the API's identifier, and so the audience of access tokens, is BaseURL + APIPath
	ScopePayouts  = "payouts"   // the scope whose action class has the window PayoutWindow
	PayoutWindow  = 5 * time.Minute
	DetailPayout  = "payout" // the type of authorization_details with currency, amount and creditor
)

// Config names the provider and where the sample itself is reached.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret string // client_secret_basic; empty: a public client
	BaseURL      string // own origin, as "http://localhost:8090"
	MailURL      string // page with the mail that the provider sent; empty: no link to it
	// Audience is the API's identifier, which must be among the aud of access tokens; empty: BaseURL + APIPath.
	Audience string
	// Client sends what goes to the provider and to the own API; nil: one with a timeout of 10 seconds.
	Client *http.Client
	Logger *slog.Logger // nil: slog.Default
}

// New returns the application. It does not contact the provider before the first request that needs it, so both may
// start in any order.
func New(c Config) (http.Handler, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" {
		return nil, fmt.Errorf("sample: issuer %q is no absolute URL", c.Issuer)
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Path != "" {
		return nil, fmt.Errorf("sample: base URL %q is no origin", c.BaseURL)
	}
	if c.ClientID == "" {
		return nil, errors.New("sample: no client id")
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

	// Forms may lead to the provider: Chromium applies form-action to the redirects that answer a form as well.
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
