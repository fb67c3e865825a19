package passkey

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// A Ceremony is the state between the begin and the finish of one ceremony. It is taken from the store before the
// response is parsed, so a challenge is never verified twice.
type Ceremony struct {
	ID      string      `json:"id"`
	Purpose idp.Purpose `json:"purpose"`
	// Binding is the Secret.Hash of the browser cookie, or the ID of an enrolment. Finishing requires the same binding.
	// Otherwise a response phished from one browser could sign in another.
	Binding       string   `json:"binding"`
	Interaction   string   `json:"interaction,omitempty"`
	UserID        string   `json:"user,omitempty"` // of a step-up or registration; empty for a sign-in
	ActionClasses []string `json:"classes,omitempty"`
	// Session is the library's own record, stored completely: leaving out a part would skip a check.
	Session   webauthn.SessionData `json:"session"`
	CreatedAt time.Time            `json:"created"`
	// Origin is where the ceremony began, and the only place where it can end. Empty in ceremonies that a program before
	// this field began.
	Origin string `json:"origin,omitempty"`

	// Challenge and Allowed (the credentials that may answer; empty: any) are copied from Session.
	Challenge []byte   `json:"-"`
	Allowed   [][]byte `json:"-"`
}

func (c *Ceremonies) newCeremony(
	purpose idp.Purpose, binding string, session *webauthn.SessionData,
) (Ceremony, error) {
	cer := Ceremony{
		ID: string(idp.NewSecret()), Purpose: purpose, Binding: binding, Session: *session, CreatedAt: time.Now(),
		Origin: c.webauthn.Config.RPOrigins[0],
	}
	return cer, cer.fill()
}

func (c *Ceremony) fill() (err error) {
	c.Allowed = c.Session.AllowedCredentialIDs
	if c.Challenge, err = base64.RawURLEncoding.DecodeString(c.Session.Challenge); err != nil {
		return fmt.Errorf("decode challenge: %w", err)
	}
	return nil
}

func (c Ceremony) allows(credentialID []byte) bool {
	return slices.ContainsFunc(c.Allowed, func(id []byte) bool { return bytes.Equal(id, credentialID) })
}

// TakeOp returns the op that takes a ceremony from the store; FromOp decodes its result. Only one caller gets the
// ceremony.
func (c *Ceremonies) TakeOp(id string) *ephemeral.Op { return c.ceremonies.TakeOp(id) }

// FromOp returns the ceremony that TakeOp took. It returns idp.ErrNotFound if there was none, or if it expired or was
// already taken.
func (c *Ceremonies) FromOp(op *ephemeral.Op) (Ceremony, error) {
	cer, err := c.ceremonies.Decode(op)
	if err != nil {
		return Ceremony{}, err
	}
	return cer, cer.fill()
}

// endsAt refuses a response from another origin than that where the ceremony began (WebAuthn L3 §13.4.9). Origins that
// share passkeys could otherwise finish each other's ceremonies.
func (c Ceremony) endsAt(origin string) error {
	if c.Origin != "" && c.Origin != origin {
		return refusedFor("ceremony began at another origin")
	}
	return nil
}

// open checks what does not depend on the response: purpose, binding and expiry. Its errors are ErrRefused.
func (c Ceremony) open(binding string, now time.Time, purposes ...idp.Purpose) error {
	switch {
	case !slices.Contains(purposes, c.Purpose):
		return refusedFor("ceremony has the purpose " + string(c.Purpose))
	case c.Binding == "" || subtle.ConstantTimeCompare([]byte(c.Binding), []byte(binding)) != 1:
		return refusedFor("ceremony belongs to another browser")
	case !now.Before(c.CreatedAt.Add(CeremonyTTL)):
		return refusedFor("ceremony has expired")
	}
	return nil
}
