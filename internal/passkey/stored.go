package passkey

import (
	"strings"
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
	originField(c, &cer.Origin, cer.Session.RelyingPartyID)
}

// originField is an origin in few bytes: nearly always it is the host of the passkeys, and perhaps a port.
func originField(c *compact.Codec, origin *string, host string) {
	short := *origin
	for mark, scheme := range schemes {
		if port, own := strings.CutPrefix(*origin, scheme+host); own && host != "" && (port == "" || port[0] == ':') {
			short = mark + port
		}
	}
	c.Text(&short)
	*origin = short
	if short != "" {
		if scheme, known := schemes[short[:1]]; known {
			*origin = scheme + host + short[1:]
		}
	}
}

// schemes are the schemes of origins by their marks, with which no origin begins.
var schemes = map[string]string{"S": "https://", "H": "http://"}

// sessionFields are the fields of the library's record that a sign-in has, and then all others as JSON, whatever an
// update of the library adds.
func sessionFields(c *compact.Codec, s *webauthn.SessionData) {
	c.Text(&s.Challenge)
	c.Text(&s.RelyingPartyID)
	c.Text((*string)(&s.UserVerification))
	c.Time(&s.Expires)
	others := *s
	others.Challenge, others.RelyingPartyID, others.UserVerification, others.Expires = "", "", "", time.Time{}
	if len(others.AllowedCredentialIDs) == 0 {
		others.AllowedCredentialIDs = nil // so that a usual sign-in has no others
	}
	compact.JSON(c, &others)
	others.Challenge, others.RelyingPartyID = s.Challenge, s.RelyingPartyID
	others.UserVerification, others.Expires = s.UserVerification, s.Expires
	*s = others
}
