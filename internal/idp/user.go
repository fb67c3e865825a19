package idp

import (
	"crypto/rand"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Role is what a user may do at the provider itself. Clients never see it.
type Role string

const (
	RoleUser  Role = ""
	RoleAdmin Role = "admin"
)

// A User is an end-user. ID is the subject of tokens; Handle is the WebAuthn user handle: 64 random bytes that never
// change and say nothing about the person (WebAuthn L3 §14.6.1).
type User struct {
	ID            string
	Handle        []byte
	Email         string // normalised by NormalizeEmail; unique
	EmailVerified bool
	Name          string
	Role          Role
	Profile       Profile
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DisabledAt    time.Time // zero: not disabled
	RecoveredAt   time.Time // when the account was last recovered; zero: never. Only a recovery sets it
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

// NormalizeEmail returns the spelling under which an address is stored and looked up: NFC, lower case, trimmed. It
// reports false for text that cannot be an address; only a delivered e-mail proves that the address works.
func NormalizeEmail(s string) (string, bool) {
	s = strings.ToLower(norm.NFC.String(strings.TrimSpace(s)))
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > 64 || len(s) > 254 || len(domain) < 1 {
		return "", false
	}
	if strings.ContainsAny(domain, "@[]<>()\",;:\\/") || strings.HasPrefix(domain, ".") ||
		strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") {
		return "", false
	}
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>()\",;:\\", r) {
			return "", false
		}
	}
	return s, true
}

// NormalizeName returns a name to show to people: NFC, single spaces, at most 80 characters, without control characters
// or characters that change the direction of text. It reports false if the name is empty, invisible or too long.
func NormalizeName(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, norm.NFC.String(s))
	s = strings.Join(strings.Fields(s), " ")
	return s, utf8.RuneCountInString(s) <= 80 && strings.ContainsFunc(s, isVisible)
}

// isVisible reports whether a rune is visible by itself. Some letters and symbols are not: fillers, and the blank Braille
// pattern.
func isVisible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!strings.ContainsRune("\u115f\u1160\u3164\uffa0\u2800", r)
}
