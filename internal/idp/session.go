package idp

import (
	"slices"
	"time"
)

// MaxAuthentications bounds how many authentications a session keeps; the oldest go first.
const MaxAuthentications = 8

// A Session is the browser's signed-in state at the provider. ID is public (the sid claim); the browser holds it
// together with a secret of which only the hash is here.
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

	// Stored is the record as it was read, for whoever replaces it next; nil if nobody read it.
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

// A HeldAuthentication is an authentication as a session keeps it.
type HeldAuthentication struct {
	Authentication
	// LongestIdle is the longest silence of the session since this authentication. An acr whose idle limit was once
	// exceeded stays lost, however busy the session is afterwards.
	LongestIdle time.Duration `json:"idle,omitempty"`
	// Closed are those of ActionClasses whose windows the user has closed.
	Closed []string `json:"closed,omitempty"`
}

// Opened are the action classes whose windows this authentication opened and nobody has closed.
func (a HeldAuthentication) Opened() []string {
	if len(a.Closed) == 0 {
		return a.ActionClasses
	}
	return slices.DeleteFunc(slices.Clone(a.ActionClasses), func(class string) bool { return slices.Contains(a.Closed, class) })
}

// CloseWindow closes the window that one authentication opened for an action class; false if there is none.
func (s *Session) CloseWindow(authenticationID, class string) bool {
	for i := range s.Authentications {
		a := &s.Authentications[i]
		if a.ID == authenticationID && slices.Contains(a.Opened(), class) {
			a.Closed = append(slices.Clone(a.Closed), class)
			return true
		}
	}
	return false
}

// Gain appends an authentication and drops the oldest above MaxAuthentications.
func (s *Session) Gain(a Authentication) {
	s.Authentications = append(s.Authentications, HeldAuthentication{Authentication: a})
	if n := len(s.Authentications) - MaxAuthentications; n > 0 {
		s.Authentications = s.Authentications[n:]
	}
}

// See notes that the browser was here: it remembers the silence that just ended with every authentication.
func (s *Session) See(now time.Time) {
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
