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

// ErrNotMet is wrapped by the error of [Attempt.Verify]: the user returned without meeting the challenge.
var ErrNotMet = errors.New("challenge not met")

// An Attempt is an application's answer to a challenge: a pending authorization request. Keep it on the server with the
// state and the PKCE verifier of that request. It contains no secrets and can be stored as JSON.
type Attempt struct {
	Challenge Challenge
	// Subject is the sub of the user whose request was challenged. Another user's step-up does not count.
	Subject string
	// At is when the authorization request was made. max_age=0 is met only by an authentication after it.
	At time.Time
}

// Authorize adds the step-up to the parameters of an ordinary authorization request (RFC 9470 §4). It replaces
// acr_values and max_age with those of the challenge and adds the challenge's scopes. If idTokenHint, the last ID
// token, is not empty, it tells the provider which user to expect (OIDC Core §3.1.2.1). Everything else, such as state,
// nonce, redirect_uri and code_challenge, is kept. Authorize does not change params.
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

// Verify checks whether the result meets the challenge: the same user, a sufficient acr, a recent enough
// authentication, and every scope. Take the claims from the verified ID token, not from the access token, and set
// Scopes from the token response. If the response has no scope, the requested scopes were granted (RFC 6749 §5.1).
//
// The error is [ErrNotMet] and says what failed. Do not repeat the attempt: the provider did what it could, or the user
// declined.
func (a Attempt) Verify(c Claims, now time.Time) error {
	if a.Subject != "" && c.Subject != a.Subject {
		return fmt.Errorf("%w: another user returned", ErrNotMet)
	}
	need := a.Challenge.Requirement
	if need.MaxAge != nil && *need.MaxAge == 0 {
		// By now no age is zero: max_age=0 asks for an authentication made for this request (OIDC Core §3.1.2.1).
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
