package oauth

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Scopes with effects beyond claims.
const (
	ScopeOpenID  = "openid"
	ScopeOffline = "offline_access"
)

// Limits of a request.
const (
	MaxState = 8 << 10 // bytes of state and of nonce: dashboards put whole URLs into state
	MaxHint  = 256     // bytes of login_hint and of one word
	maxWords = 32      // values of scope, acr_values, ui_locales
	// MaxRequest limits a stored request, in bytes. Encoded it is at most three times as long, which the store accepts.
	MaxRequest = 16 << 10
)

// Words splits a space-separated list, without duplicates and with at most maxWords entries. A word that is too long is
// truncated, so that it matches nothing, but it stays in the list because an empty list has another meaning.
func Words(s string) []string {
	var out []string
	for _, word := range strings.Fields(s) {
		word = word[:min(len(word), MaxHint+1)]
		if !slices.Contains(out, word) && len(out) < maxWords {
			out = append(out, word)
		}
	}
	return out
}

// Beyond reports whether wanted contains more than granted.
func Beyond(wanted, granted []string) bool {
	return slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(granted, s) })
}

// Keep returns the parameters with these names. A parameter without a value counts as omitted (RFC 6749 §3.1).
func Keep(form url.Values, names []string) url.Values {
	out := url.Values{}
	for _, name := range names {
		for _, value := range form[name] {
			if value != "" {
				out.Add(name, value)
			}
		}
	}
	return out
}

// Size returns the total length of a form's names and values, in bytes.
func Size(form url.Values) (size int) {
	for name, values := range form {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	return size
}

// WithParams adds parameters to a registered URI. It keeps the existing query (RFC 6749 §3.1.2).
func WithParams(uri string, params url.Values) string {
	if len(params) == 0 {
		return uri
	}
	u, err := url.Parse(uri)
	if err != nil {
		return uri // cannot happen: it was registered
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += params.Encode()
	return u.String()
}

// NotTooLong rejects a request longer than MaxRequest (RFC 9126 §2.3).
func NotTooLong(form url.Values) *Error {
	if Size(form) > MaxRequest {
		return InvalidRequest(fmt.Sprintf("the request is longer than %d bytes", MaxRequest)).
			With(http.StatusRequestEntityTooLarge)
	}
	return nil
}

// FormTarget marks a URI with a private-use scheme (RFC 8252 §7.1: it contains a dot) as safe for a template. Other
// URIs stay text, so the template neutralises scripts.
func FormTarget(uri string) any {
	scheme, _, _ := strings.Cut(uri, ":")
	if strings.Contains(scheme, ".") {
		return template.URL(uri)
	}
	return uri
}
