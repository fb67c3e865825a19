// Package stepup lets an API ask for a stronger or fresher proof of who the user is, and lets an application answer: the
// OAuth 2.0 Step Up Authentication Challenge Protocol, RFC 9470. It works with any OpenID Connect provider and needs only
// the standard library.
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
//	    │ Attempt.Verify, then the request once more                          │
//	    ├───────────────────────────────►│ Require: satisfied                 │
//
// The API's side is [Requirement], [Require] and a [Verifier]; the application's side is [FromResponse] and [Attempt].
// Nothing is trusted because it was asked for: the API looks only at the token, and the application checks what came back
// before it tries again.
//
// # Leeway
//
// There is none. An authentication of MaxAge is still young enough, one of a nanosecond more is not, and one in the
// future is refused: if clocks disagree an age means nothing. Keep API and provider on the same time (NTP).
package stepup

import (
	"slices"
	"strings"
	"time"
)

// A Requirement is what a resource asks of the authentication behind an access token. The zero value asks nothing.
type Requirement struct {
	// ACRValues are the authentication context class references that will do, in order of preference (RFC 9470 §3). Values
	// are compared literally, with one exception: phrh is defined as phr with more (EAP ACR Values 1.0), so it satisfies phr.
	ACRValues []string
	// MaxAge is the greatest age of the authentication, sent in whole seconds, rounded down; nil: any age. See [Within].
	MaxAge *time.Duration
	// Scopes must all be in the token. Next to ACRValues or MaxAge they count as part of what a step-up yields, see
	// [Require]; alone they are an ordinary scope check.
	Scopes []string
}

// Within returns a pointer to d, for Requirement.MaxAge.
func Within(d time.Duration) *time.Duration { return &d }

// Satisfied reports whether a token with these claims meets the requirement now; if not, the reason is a sentence
// without quotes or backslashes, fit for error_description. It does not look at issuer, audience or expiry: that is the
// [Verifier]'s part.
func (r Requirement) Satisfied(c Claims, now time.Time) (ok bool, reason string) {
	if reason := r.weak(c, now); reason != "" {
		return false, reason
	}
	if missing := r.missing(c); len(missing) > 0 {
		return false, "The token lacks the scope " + strings.Join(missing, " ") + "."
	}
	return true, ""
}

// weak says why the authentication is not enough; empty: it is.
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
		return "The authentication lies in the future."
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

// stepsUp reports whether the requirement asks something that only an authentication can give.
func (r Requirement) stepsUp() bool { return len(r.ACRValues) > 0 || r.MaxAge != nil }
