// Package oauth has the small parts that all protocol endpoints share: one error model, the door and guard of the endpoints that
// machines call, forms, and strict JSON.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Error is an OAuth error response (RFC 6749 §4.1.2.1, §5.2), the one error model of the protocol. Its description is ours and
// repeats nothing of the request.
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	// Status is the HTTP status at the endpoints that machines call. A redirect to a client has none.
	Status int `json:"-"`
	// Bare leaves the error out of the challenge: the request presented no token at all (RFC 6750 §3.1).
	Bare bool `json:"-"`
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

// InvalidClient returns the one answer to every failed client authentication.
func InvalidClient() *Error {
	return Refuse("invalid_client", "client authentication failed").With(http.StatusUnauthorized)
}

// InvalidToken returns the error for an access token that is not accepted.
func InvalidToken(description string) *Error {
	return Refuse("invalid_token", description).With(http.StatusUnauthorized)
}

// Broken returns the error for a failure of our own. The client learns nothing of it; the log record has step and err.
func Broken(ctx context.Context, step string, err error) *Error {
	web.Note(ctx, slog.Any("error", fmt.Errorf("%s: %w", step, err)))
	if errors.Is(err, idp.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return Refuse("temporarily_unavailable", "try again in a moment").With(http.StatusServiceUnavailable)
	}
	return (&Error{Code: "server_error"}).With(http.StatusInternalServerError)
}

// TooMany returns the error for a source that is over a limit, and tells it when the limit's window ends at the latest.
func TooMany(w http.ResponseWriter, window time.Duration) *Error {
	w.Header().Set("Retry-After", strconv.Itoa(int(window.Seconds())))
	e := Refuse("temporarily_unavailable", "too many requests from this network, try again later")
	return e.With(http.StatusTooManyRequests)
}

// ErrorOf returns err as an OAuth error; an error of another kind is a failure of our own in step.
func ErrorOf(ctx context.Context, step string, err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	return Broken(ctx, step, err)
}

// Describable returns what RFC 6749 §5.2 allows of a description: printable ASCII without quotation mark and backslash.
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
