package passkey

import (
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepward/stepward/internal/ephemeral/compact"
)

// fields are the fields of a stored ceremony.
func fields(c *compact.Codec, cer *Ceremony) {
	c.Text(&cer.ID)
	c.Text((*string)(&cer.Purpose))
	c.Text(&cer.Binding)
	c.Text(&cer.Interaction)
	c.Text(&cer.UserID)
	c.Texts(&cer.ActionClasses)
	sessionFields(c, &cer.Session)
	c.Time(&cer.CreatedAt)
	c.Text(&cer.Origin)
}

// sessionFields are the fields of the library's record that a sign-in has, and then all others as JSON, whatever an
// update of the library adds.
func sessionFields(c *compact.Codec, s *webauthn.SessionData) {
	c.Text(&s.Challenge)
	c.Text(&s.RelyingPartyID)
	c.Text((*string)(&s.UserVerification))
	c.Time(&s.Expires)
	others := *s
	others.Challenge, others.RelyingPartyID, others.UserVerification, others.Expires = "", "", "", time.Time{}
	compact.JSON(c, &others)
	others.Challenge, others.RelyingPartyID = s.Challenge, s.RelyingPartyID
	others.UserVerification, others.Expires = s.UserVerification, s.Expires
	*s = others
}
