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
	// Session is the library's own record, stored verbatim: a part of it left out is a check left out.
	Session   webauthn.SessionData `json:"session"`
	CreatedAt time.Time            `json:"created"`

	// Challenge and Allowed (the credentials that may answer; empty: any) are those of Session.
	Challenge []byte   `json:"-"`
	Allowed   [][]byte `json:"-"`
}

func newCeremony(purpose idp.Purpose, binding string, session *webauthn.SessionData) (Ceremony, error) {
	cer := Ceremony{ID: string(idp.NewSecret()), Purpose: purpose, Binding: binding, Session: *session, CreatedAt: time.Now()}
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

// TakeOp takes a ceremony out of the store, in a batch; FromOp reads the answer. One caller gets it.
func (c *Ceremonies) TakeOp(id string) *ephemeral.Op { return c.ceremonies.TakeOp(id) }

// FromOp returns the ceremony that a TakeOp took; idp.ErrNotFound if it never was, has expired or was taken before.
func (c *Ceremonies) FromOp(op *ephemeral.Op) (Ceremony, error) {
	cer, err := c.ceremonies.Decode(op)
	if err != nil {
		return Ceremony{}, err
	}
	return cer, cer.fill()
}

// open checks what does not depend on the response: that the ceremony is of the right kind, belongs to who presents it
// and has not expired. Its errors are ErrRefused.
func (c Ceremony) open(binding string, now time.Time, purposes ...idp.Purpose) error {
	switch {
	case !slices.Contains(purposes, c.Purpose):
		return refusedFor("ceremony was begun for " + string(c.Purpose))
	case c.Binding == "" || subtle.ConstantTimeCompare([]byte(c.Binding), []byte(binding)) != 1:
		return refusedFor("ceremony was begun elsewhere")
	case !now.Before(c.CreatedAt.Add(CeremonyTTL)):
		return refusedFor("ceremony has expired")
	}
	return nil
}
