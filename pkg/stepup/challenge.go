package stepup

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes of a [Challenge].
const (
	// InsufficientUserAuthentication: the authentication behind the token is too weak or too old (RFC 9470 §3).
	InsufficientUserAuthentication = "insufficient_user_authentication"
	InsufficientScope              = "insufficient_scope" // RFC 6750 §3.1
	InvalidToken                   = "invalid_token"      // RFC 6750 §3.1
	InvalidRequest                 = "invalid_request"    // RFC 6750 §3.1
)

// A Challenge is a WWW-Authenticate challenge of an OAuth scheme. It says what was wrong and, in the embedded
// Requirement, what a new token needs.
//
// A resource that needs a scope which only a step-up grants names it in the scope parameter of the challenge with
// acr_values and max_age (allowed by RFC 9470 §3 and RFC 6750 §3). Then one authorization request gets everything;
// separate challenges for scope and authentication would send the user twice.
type Challenge struct {
	Scheme      string // "Bearer" (also when empty) or "DPoP"
	Realm       string
	Error       string // empty: the request had no token
	Description string // for developers, never shown to users (RFC 6750 §3)
	Requirement
}

// Status returns the HTTP status of the error (RFC 6750 §3.1): 400, 401 or 403.
func (c Challenge) Status() int {
	switch c.Error {
	case InvalidRequest:
		return http.StatusBadRequest
	case InsufficientScope:
		return http.StatusForbidden
	default:
		return http.StatusUnauthorized
	}
}

// String returns the value of a WWW-Authenticate header. It omits characters that are not allowed in a parameter, above
// all line breaks (RFC 6750 §3).
func (c Challenge) String() string {
	scheme, separator := c.Scheme, " "
	if scheme == "" {
		scheme = "Bearer"
	}
	var b strings.Builder
	b.WriteString(scheme)
	add := func(name, value string) {
		if value != "" {
			b.WriteString(separator + name + `="` + value + `"`)
			separator = ", "
		}
	}
	add("realm", keep(c.Realm, isText))
	add("error", keep(c.Error, isText))
	add("error_description", keep(c.Description, isText))
	add("acr_values", join(c.ACRValues))
	if c.MaxAge != nil {
		add("max_age", strconv.FormatInt(int64(max(0, *c.MaxAge)/time.Second), 10))
	}
	add("scope", join(c.Scopes))
	if separator == " " {
		b.WriteString(` realm=""`) // the scheme must not stand alone (RFC 6750 §3)
	}
	return b.String()
}

// Write sends the challenge as the response: the status, WWW-Authenticate, and the error again as a small JSON object
// for people who read the body.
func (c Challenge) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Add("WWW-Authenticate", c.String())
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	w.WriteHeader(c.Status())
	_ = json.NewEncoder(w).Encode(struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description,omitempty"`
	}{c.Error, c.Description})
}

// isText reports whether RFC 6750 §3 allows r in error_description: printable ASCII without quote and backslash, so
// that nothing needs escaping.
func isText(r rune) bool { return r >= 0x20 && r <= 0x7E && r != '"' && r != '\\' }

// join writes a list as in RFC 6749 §3.3: values without spaces, separated by one space.
func join(values []string) string {
	clean := make([]string, len(values))
	for i, v := range values {
		clean[i] = keep(v, isText)
	}
	return strings.Join(fields(strings.Join(clean, " ")), " ")
}

func keep(s string, allowed func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if allowed(r) {
			return r
		}
		return -1
	}, s)
}
