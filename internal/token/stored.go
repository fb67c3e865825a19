package token

import (
	"github.com/stepward/stepward/internal/ephemeral/compact"
	"github.com/stepward/stepward/internal/idp"
)

// fields are the fields of a stored authorization.
func fields(c *compact.Codec, a *Authorization) {
	c.Text(&a.ClientID)
	c.Text(&a.RedirectURI)
	c.Text(&a.CodeChallenge)
	c.Text(&a.Nonce)
	c.Text(&a.UserID)
	c.Text(&a.SessionID)
	c.Texts(&a.Scopes)
	c.Texts(&a.Resources)
	compact.List(c, (*[]idp.Detail)(&a.Details), detailFields)
	c.Text(&a.Claims)
	assuranceFields(c, &a.Assurance)
	c.Bools(&a.Granted)
	c.Time(&a.ExpiresAt)
	c.Text(&a.Confirmation.JKT)
	c.Text(&a.Confirmation.X5T)
}

func detailFields(c *compact.Codec, d *idp.Detail) {
	c.Text(&d.Type)
	c.Text(&d.JSON)
}

func assuranceFields(c *compact.Codec, a *idp.Assurance) {
	c.Text(&a.AuthenticationID)
	c.Text(&a.PasskeyID)
	c.Text(&a.ACR)
	c.Texts(&a.AMR)
	c.Time(&a.AuthTime)
	c.Texts(&a.ActionClasses)
}
