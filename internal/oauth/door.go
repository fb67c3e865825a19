package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/web"
)

// An Endpoint answers a call, or returns the error to send.
type Endpoint func(w http.ResponseWriter, r *http.Request, call *Call) error

// A Door does what all machine endpoints have in common: the guard, error responses with challenges, DPoP nonces, and
// cross-origin access for scripts.
//
//	request ──▶ Guard ──▶ Endpoint ──▶ response
//	              └── *Error ──▶ challenge, JSON
type Door struct {
	Issuer string
	// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
	Nonce func(now time.Time) string
	// OwnsOrigin reports whether scripts of this origin belong to the client.
	OwnsOrigin func(ctx context.Context, clientID, origin string) bool
}

// Handle returns a handler that runs the guard and then the endpoint.
func (d Door) Handle(g Guard, endpoint Endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		oneBlank(r)
		call := &Call{Sender: SenderOf(r)}
		if origin := r.Header.Get("Origin"); g.Scripts && origin != "" {
			if preflight(w, r) {
				return
			}
			w = d.letScriptsRead(w, r, call, origin)
		}
		NoStore(w)
		if len(call.Sender.Proofs) > 0 {
			w.Header().Set("DPoP-Nonce", d.Nonce(time.Now()))
		}
		bad := g.admit(w, r, call)
		if bad == nil {
			if err := endpoint(w, r, call); err != nil {
				bad = ErrorOf(r.Context(), r.URL.Path, err)
			}
		}
		if bad != nil {
			d.Fail(w, r, g, call.Sender, bad)
		}
	}
}

// oneBlank leaves one blank after the scheme of the Authorization header. Any number is allowed (RFC 9110 §11.4), and
// neither the library nor net/http takes more than one.
func oneBlank(r *http.Request) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return
	}
	if scheme, rest, ok := strings.Cut(values[0], " "); ok && strings.HasPrefix(rest, " ") {
		r.Header.Set("Authorization", scheme+" "+strings.TrimLeft(rest, " "))
	}
}

// NoStore keeps an answer out of caches (RFC 6749 §5.1).
func NoStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

// Fail writes an error response with its challenge.
func (d Door) Fail(w http.ResponseWriter, r *http.Request, g Guard, sender Sender, e *Error) {
	bad := *e
	bad.Description = Describable(bad.Description)
	h := w.Header()
	if bad.limit.Name != "" {
		bad.limit.Refuse(h)
	}
	switch {
	case g.Bearer && bad.Status >= 400 && bad.Status < 500 && bad.Status != http.StatusMethodNotAllowed: // RFC 6750 §3
		d.challenge(h, sender, bad)
	case bad.Status == http.StatusUnauthorized: // RFC 6749 §5.2
		h.Set("WWW-Authenticate", `Basic realm="`+d.Issuer+`"`)
	case bad.Status == http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	}
	web.Note(r.Context(), slog.String("oauth_error", bad.Code), slog.String("oauth_error_description", bad.Description))
	_ = web.WriteJSON(w, bad.Status, bad) // two strings: cannot fail
}

// challenge says how to present a token. The scheme of the request comes first, with the reason for the error (RFC 6750
// §3, RFC 9449 §7.1).
func (d Door) challenge(h http.Header, sender Sender, bad Error) {
	reason := ""
	if sender.Path == PathUserInfo { // RFC 9728 §5.1
		reason = `, resource_metadata="` + d.Issuer + PathResource + PathUserInfo + `"`
	}
	if !bad.Bare {
		reason += `, error="` + bad.Code + `", error_description="` + bad.Description + `"`
	}
	if bad.Code == "insufficient_scope" {
		reason += `, scope="openid"`
	}
	algorithms := `, algs="` + strings.Join(dpop.Algorithms, " ") + `"`
	if sender.Scheme == "dpop" {
		h.Add("WWW-Authenticate", `DPoP realm="`+d.Issuer+`"`+reason+algorithms)
		return
	}
	h.Add("WWW-Authenticate", `Bearer realm="`+d.Issuer+`"`+reason)
	if bad.Status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `DPoP realm="`+d.Issuer+`"`+algorithms)
	}
}
