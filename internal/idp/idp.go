// Package idp holds the nouns of Stepward and their rules: users, passkeys, authentications, sessions, interactions,
// clients, grants, events. It knows neither HTTP nor SQL, and every other package uses its types.
//
// One rule shapes it: a session stores authentications, and acr, amr and auth_time are derived for each issued token
// from exactly one of them (see [Authentication], [Policy.Choose] and [Assurance]).
package idp

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// Errors that callers distinguish with errors.Is. Adapters translate the errors of their drivers into these.
var (
	// ErrNotFound: no entry under this key. It was never stored, has expired, was taken, or belongs to someone else.
	ErrNotFound = errors.New("not found")
	// ErrConflict: a unique value is taken, or the record changed since it was read.
	ErrConflict = errors.New("conflict")
	// ErrLastPasskey: removing this passkey would leave its user without one.
	ErrLastPasskey = errors.New("last passkey")
	// ErrClosed: an account that was just recovered does not allow this yet.
	ErrClosed = errors.New("closed after a recovery")
	// ErrUnavailable: a store cannot be reached. The same call may succeed later.
	ErrUnavailable = errors.New("store unavailable")
)

// NewID returns a new identifier: a UUIDv7, so rows sort by creation time. It is public, never a secret.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// NewIDAt is NewID for something that happens at another time than now: the identifier sorts by that time.
func NewIDAt(at time.Time) string {
	id := uuid.Must(uuid.NewV7())
	if away := time.Since(at); away > time.Second || away < -time.Second {
		n := uint64(max(at.UnixMilli(), 0))
		for i := range 6 {
			id[i] = byte(n >> (40 - 8*i))
		}
	}
	return id.String()
}
