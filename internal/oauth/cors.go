package oauth

import (
	"net/http"
	"slices"
	"strings"
)

// Cross-origin access (Fetch §3.3; OAuth 2.0 for Browser-Based Applications §6.2): a script may read the responses to
// its own requests if its origin is that of a redirect URI of the client it acts for. Cookies are not involved: none of
// these endpoints reads any.

// Bounds of the header names that a preflight request may name.
const (
	maxHeaders    = 32
	maxHeaderName = 64      // bytes
	maxHeaderList = 4 << 10 // bytes
)

// allowedHeaders are those that a script may send: ours, and whatever else it names (traceparent, baggage), which
// nothing here reads. A list without them would stop the whole request.
func allowedHeaders(asked []string) []string {
	allowed := []string{"Authorization", "Content-Type", "DPoP"}
	list := strings.Join(asked, ",")
	for name := range strings.SplitSeq(list[:min(len(list), maxHeaderList)], ",") {
		name = strings.Trim(name, " \t")
		known := slices.ContainsFunc(allowed, func(have string) bool { return strings.EqualFold(have, name) })
		if !known && headerName(name) && len(allowed) < 3+maxHeaders {
			allowed = append(allowed, name)
		}
	}
	return allowed
}

// headerName reports whether s is a token (RFC 9110 §5.6.2) of a sensible length.
func headerName(s string) bool {
	return s != "" && len(s) <= maxHeaderName && strings.IndexFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	}) < 0
}

// preflight answers a preflight request. It cannot know who will ask, so the answer depends on the question alone and
// reveals nothing.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Add("Vary", "Access-Control-Request-Headers")
	asked := r.Header.Values("Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Headers", strings.Join(allowedHeaders(asked), ", "))
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// letScriptsRead adds the CORS headers when the response starts, because by then the client is known.
func (d Door) letScriptsRead(w http.ResponseWriter, r *http.Request, call *Call, origin string) http.ResponseWriter {
	w.Header().Add("Vary", "Origin")
	return &crossOrigin{ResponseWriter: w, begin: func() {
		if call.client != "" && d.OwnsOrigin(r.Context(), call.client, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce")
		}
	}}
}

type crossOrigin struct {
	http.ResponseWriter
	begin func() // nil once the response has started
}

// WriteHeader implements http.ResponseWriter.
func (c *crossOrigin) WriteHeader(status int) {
	c.beginOnce()
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *crossOrigin) Write(b []byte) (int, error) {
	c.beginOnce()
	return c.ResponseWriter.Write(b)
}

func (c *crossOrigin) beginOnce() {
	if c.begin != nil {
		c.begin()
		c.begin = nil
	}
}

// Unwrap lets http.ResponseController find the ResponseWriter.
func (c *crossOrigin) Unwrap() http.ResponseWriter { return c.ResponseWriter }
