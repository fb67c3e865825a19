package provider

import (
	"context"
	"net/http"
)

// cors lets scripts of a client that lives in browsers read the answers to their own requests (Fetch §3.3; OAuth 2.0 for
// Browser-Based Applications §6.2): of the origins of its redirect URIs, to itself, and never with cookies, which none of
// these endpoints looks at. A preflight says nothing of who asks; so it allows everybody the same, and reveals nothing.
func (p *Provider) cors(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" {
			next(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
			h.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		asker := new(string)
		r = r.WithContext(context.WithValue(r.Context(), askerKey{}, asker))
		next(&crossOrigin{ResponseWriter: w, allow: func() {
			if *asker == "" {
				return
			}
			if c, err := p.DB.Client(r.Context(), *asker); err == nil && c.Runs(origin) { // in the cache: it was looked at a moment ago
				h.Set("Access-Control-Allow-Origin", origin)
				h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce")
			}
		}}, r)
	}
}

type askerKey struct{}

// asks notes whose request this is: the client that authenticated, or whose token it is, even if the token has ended: a
// script has to see that it has. The first counts: who authenticates may send somebody else's token (RFC 8693).
func asks(ctx context.Context, clientID string) {
	if asker, ok := ctx.Value(askerKey{}).(*string); ok && *asker == "" {
		*asker = clientID
	}
}

// crossOrigin adds its headers when the answer begins: by then it is known who asked.
type crossOrigin struct {
	http.ResponseWriter
	allow func()
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (c *crossOrigin) WriteHeader(status int) {
	c.begin()
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *crossOrigin) Write(b []byte) (int, error) {
	c.begin()
	return c.ResponseWriter.Write(b)
}

func (c *crossOrigin) begin() {
	if !c.begun {
		c.begun = true
		c.allow()
	}
}

// Unwrap serves http.ResponseController.
func (c *crossOrigin) Unwrap() http.ResponseWriter { return c.ResponseWriter }
