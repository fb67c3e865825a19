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

// Profile holds the optional standard claims of a user besides name and e-mail (OIDC Core §5.1).
type Profile struct {
	GivenName         string  `json:"given_name,omitempty"`
	FamilyName        string  `json:"family_name,omitempty"`
	MiddleName        string  `json:"middle_name,omitempty"`
	Nickname          string  `json:"nickname,omitempty"`
	PreferredUsername string  `json:"preferred_username,omitempty"`
	URL               string  `json:"profile,omitempty"`
	Picture           string  `json:"picture,omitempty"`
	Website           string  `json:"website,omitempty"`
	Gender            string  `json:"gender,omitempty"`
	Birthdate         string  `json:"birthdate,omitempty"`
	Zoneinfo          string  `json:"zoneinfo,omitempty"`
	Locale            string  `json:"locale,omitempty"`
	PhoneNumber       string  `json:"phone_number,omitempty"`
	PhoneVerified     bool    `json:"phone_number_verified,omitempty"`
	Address           Address `json:"address,omitzero"`
}

// Address is the address claim (OIDC Core §5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// NewUser returns a user with fresh identifiers. The e-mail address must be normalised.
func NewUser(email, name string, now time.Time) User {
	handle := make([]byte, 64)
	_, _ = rand.Read(handle) // never fails
	return User{ID: NewID(), Handle: handle, Email: email, Name: name, CreatedAt: now, UpdatedAt: now}
}
