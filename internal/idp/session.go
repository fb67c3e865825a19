package idp

import (
	"slices"
	"time"
)

// MaxAuthentications limits the authentications of a session; the oldest are dropped.
const MaxAuthentications = 8

// A Session is the browser's signed-in state at the provider. ID is public (the sid claim); the browser also holds a
// secret, of which we keep only the hash.
type Session struct {
	ID              string               `json:"id"`
	SecretHash      string               `json:"secret"`
	UserID          string               `json:"user"`
	CreatedAt       time.Time            `json:"created"`
	SeenAt          time.Time            `json:"seen"` // to the minute: writing it every time would cost a round trip
	ExpiresAt       time.Time            `json:"expires"`
	Agent           string               `json:"agent,omitempty"` // "Firefox on macOS"
	Address         string               `json:"addr,omitempty"`  // client address at sign-in
	Authentications []HeldAuthentication `json:"auths"`           // oldest first

	// Former is the secret before the last step-up; nil: forgotten.
	Former *FormerSecret `json:"former,omitempty"`

	// Stored is the record as read from the store, for a compare-and-swap; nil if it was not read.
	Stored []byte `json:"-"`
}

// A FormerSecret lets the browser whose step-up was answered, but never heard so, ask for the session's new secret. The
// new one is derived from the old one and the salt, so every request that asks gets the same.
type FormerSecret struct {
	Hash    string    `json:"hash"`
	Browser string    `json:"browser"` // hash of the browser's own cookie
	Salt    string    `json:"salt"`
	Until   time.Time `json:"until"`
}

// A HeldAuthentication is an authentication within a session.
type HeldAuthentication struct {
	Authentication
	// LongestIdle is the session's longest idle time since this authentication. Once an acr's idle limit was exceeded,
	// later activity does not restore it.
	LongestIdle time.Duration `json:"idle,omitempty"`
	// Closed are the ActionClasses whose windows the user has closed.
	Closed []string `json:"closed,omitempty"`
}

// OpenClasses returns the action classes that this authentication opened and the user has not closed.
func (a HeldAuthentication) OpenClasses() []string {
	if len(a.Closed) == 0 {
		return a.ActionClasses
	}
	return slices.DeleteFunc(slices.Clone(a.ActionClasses), func(class string) bool {
		return slices.Contains(a.Closed, class)
	})
}

// CloseWindow closes the window that one authentication opened for an action class; false if there is no such window.
func (s *Session) CloseWindow(authenticationID, class string) bool {
	for i := range s.Authentications {
		a := &s.Authentications[i]
		if a.ID == authenticationID && slices.Contains(a.OpenClasses(), class) {
			a.Closed = append(slices.Clone(a.Closed), class)
			return true
		}
	}
	return false
}

// AddAuthentication appends an authentication and drops the oldest above MaxAuthentications.
func (s *Session) AddAuthentication(a Authentication) {
	s.Authentications = append(s.Authentications, HeldAuthentication{Authentication: a})
	if n := len(s.Authentications) - MaxAuthentications; n > 0 {
		s.Authentications = s.Authentications[n:]
	}
}

// Touch records that the browser was active: each authentication remembers the idle time that just ended.
func (s *Session) Touch(now time.Time) {
	idle := now.Sub(s.SeenAt)
	for i := range s.Authentications {
		s.Authentications[i].LongestIdle = max(s.Authentications[i].LongestIdle, idle)
	}
	s.SeenAt = now
}

// Latest returns the newest authentication; false if there is none.
func (s *Session) Latest() (Authentication, bool) {
	if s == nil || len(s.Authentications) == 0 {
		return Authentication{}, false
	}
	return s.Authentications[len(s.Authentications)-1].Authentication, true
}
