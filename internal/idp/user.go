package idp

import (
	"crypto/rand"
	"time"

	"github.com/stepward/stepward/internal/directory"
)

// A User is an end-user. ID is the subject of tokens; Handle is the WebAuthn user handle: 64 random bytes that never
// change and say nothing about the person (WebAuthn L3 §14.6.1).
type User struct {
	ID            string
	Handle        []byte
	Email         string // normalised by NormalizeEmail; unique
	EmailVerified bool
	Name          string
	Role          directory.Role
	Profile       Profile
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DisabledAt    time.Time // zero: not disabled
	RecoveredAt   time.Time // when the account was last recovered; zero: never. Only a recovery sets it
	// RecoveryReadyAt is when a recovery by e-mail alone can be finished; zero: none waits. UpdateUser does not set it.
	RecoveryReadyAt time.Time
	// Membership has the user's groups and defined claims. It is empty unless the store says that it reads it.
	Membership directory.Membership `json:"-"`
}

// Disabled reports whether an admin has disabled the account.
func (u User) Disabled() bool { return !u.DisabledAt.IsZero() }

// Profile holds the optional standard claims of a user, Address the one of that name.
type (
	Profile = directory.Profile
	Address = directory.Address
)

// NewUser returns a user with fresh identifiers. The e-mail address must be normalised.
func NewUser(email, name string, now time.Time) User {
	handle := make([]byte, 64)
	_, _ = rand.Read(handle) // never fails
	return User{ID: NewID(), Handle: handle, Email: email, Name: name, CreatedAt: now, UpdatedAt: now}
}
