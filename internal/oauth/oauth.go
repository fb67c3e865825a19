// Package oauth has what all protocol endpoints share: the error type, the door and guard of machine endpoints, forms,
// and strict JSON.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/web"
)

// Error is an OAuth error response (RFC 6749 §4.1.2.1, §5.2), and the only error type of the protocol packages.
// Descriptions are ours and repeat nothing of the request.
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	// Status is the HTTP status at machine endpoints. A redirect to a client does not use it.
	Status int `json:"-"`
	// Bare omits the error from the challenge, because the request had no token at all (RFC 6750 §3.1).
	Bare bool `json:"-"`
	// limit is the one that was exceeded, for status 429.
	limit limit.Limit
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Refuse returns an error with status 400.
func Refuse(code, description string) *Error {
	return &Error{Code: code, Description: description, Status: http.StatusBadRequest}
}

// With returns e with another status.
func (e *Error) With(status int) *Error {
	copied := *e
	copied.Status = status
	return &copied
}

// InvalidRequest returns the error for a malformed request.
func InvalidRequest(description string) *Error { return Refuse("invalid_request", description) }

// InvalidGrant returns the error for a code or token that cannot be redeemed.
func InvalidGrant(description string) *Error { return Refuse("invalid_grant", description) }

// InvalidClient returns the same error for every failed client authentication.
func InvalidClient() *Error {
	return Refuse("invalid_client", "client authentication failed").With(http.StatusUnauthorized)
}

// InvalidToken returns the error for an access token that was not accepted.
func InvalidToken(description string) *Error {
	return Refuse("invalid_token", description).With(http.StatusUnauthorized)
}

// Broken returns the error for an internal failure. The client learns nothing about it; step and err go to the log
// record.
func Broken(ctx context.Context, step string, err error) *Error {
	web.Note(ctx, slog.Any("error", fmt.Errorf("%s: %w", step, err)))
	stopping := errors.Is(context.Cause(ctx), web.ErrStopping)
	if errors.Is(err, idp.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || stopping {
		return Refuse("temporarily_unavailable", "try again in a moment").With(http.StatusServiceUnavailable)
	}
	return (&Error{Code: "server_error"}).With(http.StatusInternalServerError)
}

// TooMany returns the error for a source that is over a limit. The answer says when to come back.
func TooMany(l limit.Limit, description string) *Error {
	e := Refuse("temporarily_unavailable", description).With(http.StatusTooManyRequests)
	e.limit = l
	return e
}

// ErrorOf returns err as an OAuth error. Any other error is an internal failure in step.
func ErrorOf(ctx context.Context, step string, err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	return Broken(ctx, step, err)
}

// Describable returns s in the characters that RFC 6749 §5.2 allows in a description: printable ASCII without quotation
// marks and backslashes.
func Describable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"':
			return '\''
		case c < 0x20 || c > 0x7e || c == '\\':
			return -1
		default:
			return c
		}
	}, s)
}
