package passkey

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// A Ceremony is what is kept between the begin and the finish of one ceremony. It is taken from the store before anything
// of the response is looked at, so no challenge is ever verified twice.
type Ceremony struct {
	ID      string      `json:"id"`
	Purpose idp.Purpose `json:"purpose"`
	// Binding is the Secret.Hash of the browser cookie, or the ID of an enrolment. The finish must present the same, or a
	// response phished out of one browser would sign in another.
	Binding       string   `json:"binding"`
	Interaction   string   `json:"interaction,omitempty"`
	UserID        string   `json:"user,omitempty"` // step-up, registration: whose; empty for a sign-in
	ActionClasses []string `json:"classes,omitempty"`
	// Session is the library's webauthn.SessionData, verbatim: a part of it left out is a check left out.
	Session   json.RawMessage `json:"session"`
	CreatedAt time.Time       `json:"created"`

	// Challenge and Allowed (the credentials that may answer; empty: any) are read from Session.
	Challenge []byte   `json:"-"`
	Allowed   [][]byte `json:"-"`
}

func newCeremony(purpose idp.Purpose, binding string, session *webauthn.SessionData) (Ceremony, error) {
	data, err := json.Marshal(session)
	if err != nil {
		return Ceremony{}, fmt.Errorf("encode webauthn session: %w", err)
	}
	cer := Ceremony{ID: string(idp.NewSecret()), Purpose: purpose, Binding: binding, Session: data, CreatedAt: time.Now()}
	_, err = cer.readSession()
	return cer, err
}

func (c *Ceremony) readSession() (webauthn.SessionData, error) {
	var session webauthn.SessionData
	if err := json.Unmarshal(c.Session, &session); err != nil {
		return session, fmt.Errorf("decode webauthn session: %w", err)
	}
	challenge, err := base64.RawURLEncoding.DecodeString(session.Challenge)
	if err != nil {
		return session, fmt.Errorf("decode challenge: %w", err)
	}
	c.Challenge, c.Allowed = challenge, session.AllowedCredentialIDs
	return session, nil
}

// TakeOp takes a ceremony out of the store, in a batch; FromOp reads the answer. One caller gets it.
func (c *Ceremonies) TakeOp(id string) *ephemeral.Op { return c.ceremonies.TakeOp(id) }

// FromOp returns the ceremony that a TakeOp took; idp.ErrNotFound if it never was, has expired or was taken before.
func (c *Ceremonies) FromOp(op *ephemeral.Op) (Ceremony, error) {
	cer, err := c.ceremonies.Decode(op)
	if err != nil {
		return Ceremony{}, err
	}
	if _, err := cer.readSession(); err != nil {
		return Ceremony{}, err
	}
	return cer, nil
}

// open checks what does not depend on the response: that the ceremony is of the right kind, belongs to who presents it
// and has not expired. Its errors are ErrRefused.
func (c *Ceremony) open(binding string, now time.Time, purposes ...idp.Purpose) (webauthn.SessionData, error) {
	switch {
	case !slices.Contains(purposes, c.Purpose):
		return webauthn.SessionData{}, refusedFor("ceremony was begun for " + string(c.Purpose))
	case c.Binding == "" || subtle.ConstantTimeCompare([]byte(c.Binding), []byte(binding)) != 1:
		return webauthn.SessionData{}, refusedFor("ceremony was begun elsewhere")
	case !now.Before(c.CreatedAt.Add(CeremonyTTL)):
		return webauthn.SessionData{}, refusedFor("ceremony has expired")
	}
	session, err := c.readSession()
	if err != nil {
		return webauthn.SessionData{}, refusedFor(err.Error())
	}
	return session, nil
}
