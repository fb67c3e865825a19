package session

import (
	"github.com/stepward/stepward/internal/ephemeral/compact"
	"github.com/stepward/stepward/internal/idp"
)

// fields are the fields of a stored session.
func fields(c *compact.Codec, s *idp.Session) {
	c.Text(&s.ID)
	c.Text(&s.SecretHash)
	c.Text(&s.UserID)
	c.Time(&s.CreatedAt)
	c.Time(&s.SeenAt)
	c.Time(&s.ExpiresAt)
	c.Text(&s.Agent)
	c.Text(&s.Address)
	compact.List(c, &s.Authentications, authenticationFields)
	compact.Optional(c, &s.Former, formerFields)
}

func authenticationFields(c *compact.Codec, a *idp.HeldAuthentication) {
	c.Text(&a.ID)
	c.Text(&a.UserID)
	c.Text(&a.PasskeyID)
	c.Time(&a.At)
	c.Text((*string)(&a.Purpose))
	c.Text(&a.Interaction)
	c.Texts(&a.ActionClasses)
	c.Text(&a.ClientID)
	c.Bools(&a.FirstParty, &a.UserVerified, &a.BackupEligible, &a.BackedUp, &a.HardwareBound)
	c.Duration(&a.LongestIdle)
	c.Texts(&a.Closed)
}

func formerFields(c *compact.Codec, f *idp.FormerSecret) {
	c.Text(&f.Hash)
	c.Text(&f.Browser)
	c.Text(&f.Salt)
	c.Time(&f.Until)
}
