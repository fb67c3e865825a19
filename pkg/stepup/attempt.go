package stepup

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNotMet is wrapped by the error of [Attempt.Verify]: the user came back, and the challenge is still not met.
var ErrNotMet = errors.New("challenge not met")

// An Attempt is one answer of an application to a challenge: an authorization request under way. Keep it with the state
// and the PKCE verifier of that request, on the server; it has no secrets and travels as JSON.
type Attempt struct {
	Challenge Challenge
	// Subject is the sub of the user whose request was challenged. Someone else's step-up must not finish it.
	Subject string
	// At is when the request was made. It decides max_age=0, which only an authentication after it meets.
	At time.Time
}

// Authorize turns the parameters of an ordinary authorization request into those of the step-up (RFC 9470 §4): acr_values
// and max_age of the challenge replace what was there, its scopes join those of the request, and idTokenHint, if not empty
// the last ID token, says who is expected (OIDC Core §3.1.2.1). Everything else, as state, nonce, redirect_uri and
// code_challenge, is kept. params itself is not changed.
func (a Attempt) Authorize(params url.Values, idTokenHint string) url.Values {
	q := make(url.Values, len(params)+3)
	for name, values := range params {
		q[name] = slices.Clone(values)
	}
	if len(a.Challenge.ACRValues) > 0 {
		q.Set("acr_values", strings.Join(a.Challenge.ACRValues, " "))
	}
	if a.Challenge.MaxAge != nil {
		q.Set("max_age", strconv.FormatInt(int64(*a.Challenge.MaxAge/time.Second), 10))
	}
	if len(a.Challenge.Scopes) > 0 {
		q.Set("scope", strings.Join(fields(q.Get("scope")+" "+strings.Join(a.Challenge.Scopes, " ")), " "))
	}
	if idTokenHint != "" {
		q.Set("id_token_hint", idTokenHint)
	}
	return q
}

// Verify reports whether what came back meets the challenge: the same user, a sufficient acr, an authentication young
// enough, every scope. Take the claims from the verified ID token, and set Scopes from the token response (RFC 6749 §5.1:
// no scope there means those that were asked for); an application does not read access tokens.
//
// The error says which of them failed and is [ErrNotMet]. Do not repeat the attempt: the provider has done what it could,
// or the user what they wanted.
func (a Attempt) Verify(c Claims, now time.Time) error {
	if a.Subject != "" && c.Subject != a.Subject {
		return fmt.Errorf("%w: another user came back", ErrNotMet)
	}
	need := a.Challenge.Requirement
	if need.MaxAge != nil && *need.MaxAge == 0 {
		// No age is zero by now. What max_age=0 asks for is an authentication made for this request (OIDC Core §3.1.2.1);
		// auth_time has whole seconds.
		if c.AuthTime.Before(a.At.Truncate(time.Second)) || c.AuthTime.After(now) {
			return fmt.Errorf("%w: no new authentication took place", ErrNotMet)
		}
		need.MaxAge = nil
	}
	if ok, reason := need.Satisfied(c, now); !ok {
		return fmt.Errorf("%w: %s", ErrNotMet, strings.TrimSuffix(reason, "."))
	}
	return nil
}
