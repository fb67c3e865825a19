package stepup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Verifier verifies an access token completely (signature or introspection, issuer, audience, expiry, and for a JWT
// the type at+jwt, RFC 9068 §4) and returns its claims. An error refuses the token; its text is not sent to the caller.
// An error that is [ErrUnavailable] says that it could not be told, which is not the token's fault. Many requests call
// it at the same time.
type Verifier func(ctx context.Context, token string) (Claims, error)

// ErrUnavailable is wrapped by the error of a Verifier that could not reach what it verifies with.
var ErrUnavailable = errors.New("verifier unavailable")

const maxToken = 16 << 10 // bytes

// Require lets requests through whose bearer token (RFC 6750 §2.1) is valid and meets the requirement; handlers find its
// claims with [FromContext]. To the others it answers:
//
//	no bearer token               401 without an error code (RFC 6750 §3.1)
//	two Authorization headers     400 invalid_request
//	malformed, refused or bound   401 invalid_token
//	acr or auth_time will not do  401 insufficient_user_authentication (RFC 9470 §3)
//	a scope is missing            401 insufficient_user_authentication if the requirement also asks for acr or age,
//	                              403 insufficient_scope if it asks for scopes alone
//	verifier unavailable          503
//
// Each challenge carries the whole requirement, so a client whose token just expired needs one authorization request and
// not two. A scope next to acr or age is taken to be one that only a step-up yields: its absence means that the step-up
// has not happened, however fresh the sign-in is. A scope that is not of that kind belongs in a Require of its own.
//
// It panics, when the routes are set up, if the requirement cannot be written in a challenge: an acr value or scope that
// is empty or has characters outside RFC 6749 §3.3, or a MaxAge below one second, which no token could ever meet.
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

// FromContext returns the claims of the token that [Require] let through; false outside of it.
func FromContext(ctx context.Context) (Claims, bool) {
	c, ok := ctx.Value(contextKey{}).(Claims)
	return c, ok
}

// isToken reports whether s is a b64token (RFC 6750 §2.1) of a sane size, so that verifiers see nothing else.
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
