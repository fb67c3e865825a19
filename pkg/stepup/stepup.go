// Package stepup lets an API request stronger or more recent proof of the user's identity, and lets an application
// respond: the OAuth 2.0 Step Up Authentication Challenge Protocol, RFC 9470. It works with any OpenID Connect provider
// and needs only the standard library.
//
//	application                         API                               provider
//	    │ request, access token          │                                    │
//	    ├───────────────────────────────►│ Require: acr, auth_time, scope     │
//	    │ 401 insufficient_user_authentication, acr_values, max_age, scope    │
//	    │◄───────────────────────────────┤                                    │
//	    │ FromResponse, Attempt.Authorize: authorization request              │
//	    ├────────────────────────────────────────────────────────────────────►│ the user proves
//	    │ code, then tokens with new acr and auth_time                        │ it's them
//	    │◄────────────────────────────────────────────────────────────────────┤
//	    │ Attempt.Verify, then the same request again                      │
//	    ├───────────────────────────────►│ Require: satisfied                 │
//
// APIs use [Requirement], [Require] and a [Verifier]; applications use [FromResponse] and [Attempt]. Neither assumes
// that a request was honoured: the API looks only at the token, and the application checks the result before it tries
// again.
//
// # Leeway
//
// There is none. An authentication exactly MaxAge old is accepted, one a nanosecond older is not, and one in the future
// is rejected, because an age means nothing if clocks disagree. Keep the clocks of API and provider in sync (NTP).
package stepup

import (
	"slices"
	"strings"
	"time"
)

// A Requirement is what a resource requires of the authentication behind an access token. The zero value requires
// nothing.
type Requirement struct {
	// ACRValues are the acceptable authentication context class references, in order of preference (RFC 9470 §3). They
	// are compared literally, with one exception: phrh satisfies phr, because it is defined as phr plus hardware
	// protection (EAP ACR Values 1.0).
	ACRValues []string
	// MaxAge is the maximum age of the authentication; nil: any age. It is sent in whole seconds, rounded down. See
	// [Within].
	MaxAge *time.Duration
	// Scopes must all be in the token. Beside ACRValues or MaxAge they count as granted only by a step-up, see
	// [Require]; alone they are an ordinary scope check.
	Scopes []string
}

// Within returns a pointer to d, for Requirement.MaxAge.
func Within(d time.Duration) *time.Duration { return &d }

// Satisfied reports whether a token with these claims meets the requirement now. If not, reason is a sentence without
// quotes or backslashes, suitable for error_description. It does not check issuer, audience or expiry, which the
// [Verifier] does.
func (r Requirement) Satisfied(c Claims, now time.Time) (ok bool, reason string) {
	if reason := r.weak(c, now); reason != "" {
		return false, reason
	}
	if missing := r.missing(c); len(missing) > 0 {
		return false, "The token lacks the scope " + strings.Join(missing, " ") + "."
	}
	return true, ""
}

// weak returns why the authentication is not sufficient; "" if it is.
func (r Requirement) weak(c Claims, now time.Time) string {
	if len(r.ACRValues) > 0 && !slices.ContainsFunc(r.ACRValues, c.reaches) {
		return "A different authentication level is required."
	}
	if r.MaxAge == nil {
		return ""
	}
	switch {
	case c.AuthTime.IsZero():
		return "The token does not say when the user authenticated."
	case c.AuthTime.After(now):
		return "The authentication is in the future."
	case now.Sub(c.AuthTime) > *r.MaxAge:
		return "A more recent authentication is required."
	}
	return ""
}

func (r Requirement) missing(c Claims) []string {
	var missing []string
	for _, scope := range r.Scopes {
		if !slices.Contains(c.Scopes, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// stepsUp reports whether the requirement includes something that only an authentication can provide.
func (r Requirement) stepsUp() bool { return len(r.ACRValues) > 0 || r.MaxAge != nil }
