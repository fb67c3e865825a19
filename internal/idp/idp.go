// Package idp holds the nouns of Stepward and the rules that belong to them: users, passkeys, authentications, sessions,
// interactions, clients, grants, events. It knows neither HTTP nor SQL; every other package speaks its vocabulary.
//
// One rule shapes it: a session stores authentications, and acr, amr and auth_time are derived for each issued token
// from exactly one of them (see [Authentication], [Policy.Choose] and [Assurance]).
package idp

import (
	"errors"

	"github.com/google/uuid"
)

// Errors that callers tell apart with errors.Is. Adapters translate what their drivers say into these.
var (
	// ErrNotFound says that nothing (left) has this key: never stored, expired, already taken, or not the caller's.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a unique value is taken, or that the record changed since it was read.
	ErrConflict = errors.New("conflict")
	// ErrLastPasskey says that removing this passkey would leave its user without one.
	ErrLastPasskey = errors.New("last passkey")
	// ErrUnavailable says that a store cannot be reached; the same call may work later.
	ErrUnavailable = errors.New("store unavailable")
)

// NewID returns a new identifier: a UUIDv7, so that rows sort by the time they were made. It is public, never a secret.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
