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

// A Challenge is a WWW-Authenticate challenge of an OAuth scheme: what was wrong, and in the embedded Requirement what a
// new token must have.
//
// How scopes travel: a resource that demands a scope which only a step-up yields names it in the scope parameter of the
// same challenge that carries acr_values and max_age (allowed by RFC 9470 §3 and RFC 6750 §3). So one authorization
// request gets everything, where answering scope and authentication one after the other would send the user twice.
type Challenge struct {
	Scheme      string // "Bearer" (also when empty) or "DPoP"
	Realm       string
	Error       string // empty: the request had no token at all
	Description string // for developers, never shown to users (RFC 6750 §3)
	Requirement
}

// Status is the HTTP status that belongs to the error (RFC 6750 §3.1): 400, 401 or 403.
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

// String is the value of a WWW-Authenticate header. Characters that the grammar of a parameter does not allow
// (RFC 6750 §3; line breaks above all) are left out.
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

// Write answers a request with the challenge: status, WWW-Authenticate, and the error once more as a small JSON object
// for people who look at the body.
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

// isText is what RFC 6750 §3 allows in error_description: printable ASCII without quote and backslash, so that nothing
// ever needs escaping.
func isText(r rune) bool { return r >= 0x20 && r <= 0x7E && r != '"' && r != '\\' }

// join writes a list as RFC 6749 §3.3 does: one space between values, none in them.
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
