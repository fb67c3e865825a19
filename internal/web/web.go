package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/words"
)

const (
	// maxBody is far above the largest legitimate body: a registration with an attestation chain (about 12 KiB).
	maxBody = 64 << 10
	// MaxTime is the longest time that a request may occupy the stores.
	MaxTime = 30 * time.Second
)

// Config describes the operator's service and how requests reach it.
type Config struct {
	Issuer *url.URL
	// Bodies are the paths whose bodies may be longer than 64 KiB, and how long in bytes. What serves them must check who
	// asks before it reads.
	Bodies      map[string]int64
	ProductName string // empty: Stepward
	LogoURL     string // of the operator, https; empty: our logo
	Accent      string // of the operator, #rrggbb; its lightness is adjusted until text has a contrast of 7:1
	Footer      []Link
	Languages   *words.Set // of the pages; nil: all
	// TrustedProxies are the only peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// ProxyCertificates means that the trusted proxies report their client's certificate in Client-Cert (RFC 9440), and
	// remove that header from all incoming requests.
	ProxyCertificates bool
	Logger            *slog.Logger // nil: slog.Default
	// Insecure is for http on localhost: no HSTS.
	Insecure bool
	// Rate limits the requests of a network: an IPv4 address or an IPv6 /64. nil: it does not.
	Rate *limit.Rate[netip.Addr]
	// Trace begins the trace of a request, and returns its context and the ID for the log; "" if it is not recorded.
	// proxied means that the peer is a trusted proxy. nil: no traces.
	Trace func(r *http.Request, proxied bool) (ctx context.Context, traceID string)
	// PolicyVersion is the version of the policy under which requests are answered, for log records and events; 0: none is
	// stored.
	PolicyVersion int64
	// Place says roughly where an IP address is; empty if it does not know. nil: pages show addresses only.
	Place func(address string, l *words.Language) words.Text
	// Answered is told about each request; nil: none is. It must not keep or change the attributes.
	Answered func(context.Context, Answer)
}

// A Link is a text with a URL. Name is for the program.
type Link struct {
	Name string
	Text words.Text
	URL  string
}

// A Handler answers a request or returns an error: a *[Problem] is shown as it is, idp.ErrUnavailable as a page to try
// again, and anything else as one plain page with a request ID.
type Handler func(w http.ResponseWriter, r *http.Request) error

// A Shell holds what all pages and chains share. It is immutable.
type Shell struct {
	config  Config
	log     *slog.Logger
	static  *static
	errors  *Pages
	pages   []*Pages    // of all features
	headers http.Header // of every response
	origins *http.CrossOriginProtection
	address func(http.Handler) http.Handler
}

// New creates a shell: it hashes the static files and reads the error page.
func New(c Config) (*Shell, error) {
	if c.Issuer == nil || c.Issuer.Host == "" {
		return nil, errors.New("web: no issuer")
	}
	if c.ProductName == "" {
		c.ProductName = "Stepward"
	}
	if c.Languages == nil {
		c.Languages = words.All()
	}
	s := &Shell{config: c, log: c.Logger, headers: headersFor(c)}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.address = clientAddress(c.TrustedProxies, s.log)
	var err error
	if s.static, err = newStatic(c.Accent); err != nil {
		return nil, err
	}
	if s.errors, err = s.Parse(ownPages, "pages/error.html"); err != nil {
		return nil, err
	}
	if s.origins, err = s.originCheck(); err != nil {
		return nil, err
	}
	return s, nil
}

// Handle mounts h. Its errors become pages, or JSON for scripts.
func (s *Shell) Handle(mux *http.ServeMux, pattern string, h Handler) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if prefetch(r) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusForbidden) // the browser sends the request again when somebody follows the link
			return
		}
		if err := h(w, r); err != nil {
			s.Fail(w, r, err)
		}
	})
}

// prefetch reports whether a browser only expects that somebody will follow a link. A link may sign out, or answer a
// request that is answered once, so it must not be fetched ahead.
func prefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} { // Fetch, old Chrome and Safari, old Firefox
		if strings.HasPrefix(strings.ToLower(r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// Mount adds the shell's own routes: static files, the icon, the switch of the language, the redirect to the account
// pages, and the URL where password managers find those (W3C passkey-endpoints).
func (s *Shell) Mount(mux *http.ServeMux) {
	mux.Handle("GET /static/{name}", s.static)
	mux.Handle("GET /favicon.ico", s.static.icon)
	mux.Handle("GET /{$}", http.RedirectHandler("/account", http.StatusSeeOther))
	s.Handle(mux, "POST "+pathLanguage, s.switchLanguage)
	account := s.config.Issuer.ResolveReference(&url.URL{Path: "/account"}).String()
	s.Handle(mux, "GET /.well-known/passkey-endpoints", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "public, max-age=86400")
		return WriteJSON(w, http.StatusOK, map[string]string{"enroll": account, "manage": account})
	})
}

// PathRelated is where browsers find the origins that may use the passkeys of a host (WebAuthn L3 §5.11.1).
const PathRelated = "/.well-known/webauthn"

// Related serves the list of origins, at these hosts only.
func (s *Shell) Related(origins []string, hosts ...*url.URL) http.Handler {
	return s.OnlyFor(s.chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer noteRoute(r)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		if err := WriteJSON(w, http.StatusOK, map[string][]string{"origins": origins}); err != nil {
			s.Fail(w, r, err)
		}
	}), true), hosts...)
}

// Server returns a server for h with limits against slow and greedy clients.
func (s *Shell) Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      MaxTime + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10, // a state of 8 KiB, percent-encoded, is 24
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}
