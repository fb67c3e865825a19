package stepup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Verifier fully verifies an access token (signature or introspection, issuer, audience, expiry, and for a JWT the
// type at+jwt, RFC 9068 §4) and returns its claims. An error rejects the token; its text is not sent to the caller. An
// error that wraps [ErrUnavailable] means that the token could not be checked. A Verifier must be safe for concurrent
// use.
type Verifier func(ctx context.Context, token string) (Claims, error)

// ErrUnavailable is wrapped by the error of a Verifier that could not reach the provider or its keys.
var ErrUnavailable = errors.New("verifier unavailable")

const maxToken = 16 << 10 // bytes

// Require lets a request through if its bearer token (RFC 6750 §2.1) is valid and meets the requirement. Handlers get
// the claims with [FromContext]. Other requests get one of these responses:
//
//	no bearer token               401 without an error code (RFC 6750 §3.1)
//	two Authorization headers     400 invalid_request
//	malformed, rejected or bound  401 invalid_token
//	acr or auth_time not met      401 insufficient_user_authentication (RFC 9470 §3)
//	missing scope                 401 insufficient_user_authentication if the requirement also asks for acr or age,
//	                              403 insufficient_scope if it asks only for scopes
//	verifier unavailable          503
//
// Each challenge carries the whole requirement, so that a client with an expired token needs only one authorization
// request. A scope beside acr or age counts as one that only a step-up grants: if it is missing, the step-up has not
// happened, however recent the sign-in. Check any other scope with its own Require.
//
// Require panics, while the routes are set up, if the requirement cannot be met or written: an acr value or scope that
// is empty or has characters outside RFC 6749 §3.3, or a MaxAge below one second.
func Require(need Requirement, verify Verifier) func(http.Handler) http.Handler {
	if err := need.valid(); err != nil {
		panic("stepup: " + err.Error())
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			refuse := func(code, description string) {
				Challenge{Error: code, Description: description, Requirement: need}.Write(w)
			}
			headers := r.Header.Values("Authorization")
			if len(headers) > 1 {
				refuse(InvalidRequest, "More than one Authorization header.")
				return
			}
			scheme, token, _ := strings.Cut(strings.Join(headers, ""), " ")
			if !strings.EqualFold(scheme, "Bearer") {
				refuse("", "")
				return
			}
			if token = strings.TrimLeft(token, " "); !isToken(token) {
				refuse(InvalidToken, "The access token is malformed.")
				return
			}
			claims, err := verify(r.Context(), token)
			switch {
			case errors.Is(err, ErrUnavailable):
				w.Header().Set("Retry-After", "5")
				http.Error(w, "The token cannot be verified at the moment.", http.StatusServiceUnavailable)
				return
			case err != nil:
				refuse(InvalidToken, "The access token is expired, revoked or not meant for this resource.")
				return
			case claims.Bound:
				// Letting it through would turn a sender-constrained token into a bearer token (RFC 9449 §7.1).
				refuse(InvalidToken, "The access token is bound to a key.")
				return
			}
			if ok, reason := need.Satisfied(claims, time.Now()); !ok {
				code := InsufficientScope
				if need.stepsUp() {
					code = InsufficientUserAuthentication
				}
				refuse(code, reason)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, claims)))
		})
	}
}

type contextKey struct{}

// FromContext returns the claims of the token that [Require] accepted; false without Require.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(Claims)
	return c, ok
}

// isToken reports whether s is a b64token (RFC 6750 §2.1) of reasonable size. Verifiers get nothing else.
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+/=", r))
	})
}

func (r Requirement) valid() error {
	for _, value := range append(append([]string(nil), r.ACRValues...), r.Scopes...) {
		if value == "" || strings.Contains(value, " ") || keep(value, isText) != value {
			return fmt.Errorf("%q cannot be an acr value or scope", value)
		}
	}
	if r.MaxAge != nil && *r.MaxAge < time.Second {
		return fmt.Errorf("a maximum age of %v cannot be met", *r.MaxAge)
	}
	return nil
}
