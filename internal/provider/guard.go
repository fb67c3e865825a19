package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/web"
)

// A guard is what an endpoint demands of a request before the library sees it. The library takes any method, reads
// credentials from the query, and of a repeated parameter the first here and the last there.
type guard struct {
	methods []string
	// credentials: the client authenticates itself.
	credentials bool
	// bearer: errors are those of RFC 6750, and the token may not come twice.
	bearer bool
	// several are the parameters that may come several times; no others may.
	several []string
	// check looks at the parsed form; nil: nothing more.
	check func(form url.Values) *fault
}

var (
	tokenGuard      = guard{methods: []string{http.MethodPost}, credentials: true, several: []string{"resource", "audience"}, check: knownGrant} // RFC 8707 §2, RFC 8693 §2.1
	introspectGuard = guard{methods: []string{http.MethodPost}, credentials: true, check: hasToken}
	revokeGuard     = guard{methods: []string{http.MethodPost}, credentials: true, check: hasToken}
	userInfoGuard   = guard{methods: []string{http.MethodGet, http.MethodPost}, bearer: true}
)

// A fault is an OAuth error answer of an endpoint that machines call (RFC 6749 §5.2).
type fault struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
	status      int
	bare        bool // no error in the challenge: nothing was presented (RFC 6750 §3.1)
}

func invalidRequest(description string) *fault {
	return &fault{Error: "invalid_request", Description: description, status: http.StatusBadRequest}
}

func invalidClient() *fault {
	return &fault{Error: "invalid_client", Description: "client authentication failed", status: http.StatusUnauthorized}
}

// serve puts a guard before the library and an answer around it.
func (p *Provider) serve(g guard) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		noStore(w)
		r = p.withSender(w, r)
		if bad := g.admit(w, r); bad != nil {
			p.fail(w, r, g, bad)
			return
		}
		if s := senderOf(r.Context()); g.bearer && s.scheme == "dpop" { // the library knows one scheme; held knows which it was
			r.Header.Set("Authorization", "Bearer"+r.Header.Get("Authorization")[len(s.scheme):])
		}
		a := &answer{ResponseWriter: w}
		p.library.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), answerKey{}, a)))
		if a.held != nil {
			p.fail(w, r, g, a.fault())
		}
	}
}

// own puts a guard before an endpoint that the library does not know, and answers its errors in the same way.
func (p *Provider) own(g guard, endpoint web.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		noStore(w)
		r = p.withSender(w, r)
		bad := g.admit(w, r)
		if bad == nil {
			if err := endpoint(w, r); err != nil {
				bad = faultOf(w, r, err)
			}
		}
		if bad != nil {
			p.fail(w, r, g, bad)
		}
	}
}

// noStore keeps an answer out of caches (RFC 6749 §5.1; of userinfo, introspection and par likewise).
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// admit parses the request's form and says what is wrong with it.
func (g guard) admit(w http.ResponseWriter, r *http.Request) *fault {
	if !slices.Contains(g.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(g.methods, ", "))
		return &fault{Error: "invalid_request", Description: "method not allowed", status: http.StatusMethodNotAllowed}
	}
	if r.URL.RawQuery != "" { // it would stand in logs and histories (RFC 6749 §2.3.1, RFC 9700 §4.3.2)
		return invalidRequest("parameters belong in the body, not in the address")
	}
	if r.Method == http.MethodPost {
		t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || t != "application/x-www-form-urlencoded" {
			if !g.bearer || r.ContentLength != 0 {
				return invalidRequest("the body must be application/x-www-form-urlencoded")
			}
		}
	}
	if err := r.ParseForm(); err != nil {
		if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return &fault{Error: "invalid_request", Description: fmt.Sprintf("the body is longer than %d bytes", big.Limit), status: http.StatusRequestEntityTooLarge}
		}
		return invalidRequest("the body is not a form")
	}
	for name, values := range r.Form {
		if len(values) > 1 && !slices.Contains(g.several, name) { // RFC 6749 §3.2
			return invalidRequest("a parameter is repeated")
		}
	}
	if len(r.Header.Values("Authorization")) > 1 {
		return invalidRequest("the Authorization header is repeated")
	}
	if g.credentials {
		if bad := credentials(r); bad != nil {
			return bad
		}
	}
	if g.bearer {
		if bad := bearer(r); bad != nil {
			return bad
		}
	}
	if g.check != nil {
		return g.check(r.Form)
	}
	return nil
}

// credentials refuses what is no proper client authentication: two at once, none, or a broken one.
func credentials(r *http.Request) *fault {
	header := r.Header.Get("Authorization")
	if r.Form.Has("client_assertion") || r.Form.Has("client_assertion_type") {
		switch {
		case header != "" || r.Form.Has("client_secret"): // RFC 6749 §2.3
			return invalidRequest("more than one client authentication")
		case r.Form.Get("client_assertion") == "" || r.Form.Get("client_assertion_type") != assertionType:
			return invalidClient()
		}
		return nil
	}
	if header == "" {
		if r.Form.Get("client_id") == "" {
			return invalidClient() // RFC 6749 §5.2: no client authentication included
		}
		return nil
	}
	if r.Form.Has("client_secret") { // RFC 6749 §2.3
		return invalidRequest("more than one client authentication")
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return invalidClient()
	}
	name, err := url.QueryUnescape(id)
	if err != nil || name == "" {
		return invalidClient()
	}
	if _, err := url.QueryUnescape(secret); err != nil {
		return invalidClient()
	}
	if sent := r.Form.Get("client_id"); sent != "" && sent != name {
		return invalidRequest("client_id and the Authorization header name different clients")
	}
	return nil
}

// bearer refuses a request that carries its access token not at all or twice (RFC 6750 §2).
func bearer(r *http.Request) *fault {
	header, body := r.Header.Get("Authorization"), r.PostForm.Get("access_token")
	scheme, token, _ := strings.Cut(header, " ")
	switch {
	case header != "" && body != "":
		return invalidRequest("more than one access token")
	case header == "" && body == "", header != "" && (!strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") || strings.TrimSpace(token) == ""):
		return &fault{Error: "invalid_token", Description: "an access token is needed", status: http.StatusUnauthorized, bare: true}
	}
	return nil
}

func knownGrant(form url.Values) *fault {
	switch form.Get("grant_type") {
	case grantCode, grantRefresh, grantClient, grantDevice, grantExchange:
		return nil
	case "":
		return invalidRequest("grant_type is missing")
	default:
		return &fault{Error: "unsupported_grant_type", Description: "the grants that are supported stand in the metadata, under grant_types_supported", status: http.StatusBadRequest}
	}
}

func hasToken(form url.Values) *fault {
	if form.Get("token") == "" {
		return invalidRequest("token is missing")
	}
	return nil
}

// fail writes an error answer with the challenge that belongs to it.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, g guard, bad *fault) {
	bad.Description = describable(bad.Description)
	h := w.Header()
	switch {
	case g.bearer && bad.status >= 400 && bad.status < 500 && bad.status != http.StatusMethodNotAllowed: // RFC 6750 §3
		p.challenge(h, r.URL.Path, senderOf(r.Context()).scheme, bad)
	case bad.status == http.StatusUnauthorized: // RFC 6749 §5.2
		h.Set("WWW-Authenticate", `Basic realm="`+p.Issuer+`"`)
	case bad.status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	}
	web.Note(r.Context(), slog.String("oauth_error", bad.Error), slog.String("oauth_error_description", bad.Description))
	_ = web.WriteJSON(w, bad.status, bad) // two strings: cannot fail
}

// challenge says how a token is to be presented, first in the manner that was tried and with what was wrong about it (RFC 6750
// §3, RFC 9449 §7.1).
func (p *Provider) challenge(h http.Header, path, scheme string, bad *fault) {
	reason := ""
	if path == pathUserInfo { // RFC 9728 §5.1
		reason = `, resource_metadata="` + p.Issuer + pathResource + pathUserInfo + `"`
	}
	if !bad.bare {
		reason += `, error="` + bad.Error + `", error_description="` + bad.Description + `"`
	}
	if bad.Error == "insufficient_scope" {
		reason += `, scope="openid"`
	}
	algorithms := `, algs="` + strings.Join(dpop.Algorithms, " ") + `"`
	if scheme == "dpop" {
		h.Add("WWW-Authenticate", `DPoP realm="`+p.Issuer+`"`+reason+algorithms)
		return
	}
	h.Add("WWW-Authenticate", `Bearer realm="`+p.Issuer+`"`+reason)
	if bad.status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `DPoP realm="`+p.Issuer+`"`+algorithms)
	}
}

// An answer passes what the library writes, but holds errors back, because the library gives them neither headers nor
// always the right status, and puts the text of a foreign error into the description.
type answer struct {
	http.ResponseWriter
	held    *bytes.Buffer
	status  int
	instead string // a JWT to send in place of the library's JSON
}

// answerKey is where a handler behind the library finds the answer that it writes to.
type answerKey struct{}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status >= 400 {
		a.held, a.status = &bytes.Buffer{}, status
		return
	}
	if a.instead != "" {
		a.Header().Set("Content-Type", "application/jwt")
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.held != nil {
		return a.held.Write(b)
	}
	if a.instead != "" { // the library writes once
		_, err := io.WriteString(a.ResponseWriter, a.instead)
		return len(b), err
	}
	return a.ResponseWriter.Write(b)
}

// fault is the held error as it is to be sent.
func (a *answer) fault() *fault {
	bad := &fault{status: a.status}
	if err := json.Unmarshal(a.held.Bytes(), bad); err != nil || bad.Error == "" {
		return &fault{Error: "server_error", status: http.StatusInternalServerError}
	}
	switch bad.Error {
	case "invalid_client":
		return invalidClient()
	case "server_error":
		return &fault{Error: "server_error", status: http.StatusInternalServerError} // its description may be anything
	}
	return bad
}
