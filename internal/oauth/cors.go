package oauth

import "net/http"

// Cross-origin access (Fetch §3.3; OAuth 2.0 for Browser-Based Applications §6.2): a script may read the responses to
// its own requests if its origin is that of a redirect URI of the client it acts for. Cookies are not involved: none of
// these endpoints reads any.

// preflight answers a preflight request. The client is not known yet, so the answer is the same for everyone and
// reveals nothing.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
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
