package login

import (
	"time"

	"github.com/stepward/stepward/internal/ephemeral/compact"
	"github.com/stepward/stepward/internal/idp"
)

// fields are the fields of a stored interaction.
func fields(c *compact.Codec, i *idp.Interaction) {
	c.Text(&i.ID)
	c.Text(&i.Browser)
	c.Text(&i.Ceremony)
	c.Bytes(&i.Challenge)
	requestFields(c, &i.Request)
	requirementFields(c, &i.Requirement)
	compact.Optional(c, &i.Local, localFields)
	c.Time(&i.CreatedAt)
	c.Time(&i.ExpiresAt)
	c.Text(&i.AnsweredBy)
	c.Bools(&i.Consented, &i.Selected, &i.SignedUp, &i.SignUpOffered, &i.Switched)
	c.Text(&i.SwitchedFrom)
	c.Int(&i.Policy)
	c.Text(&i.Request.Try)
}

func requestFields(c *compact.Codec, r *idp.Request) {
	c.Text(&r.ClientID)
	c.Text(&r.RedirectURI)
	c.Text(&r.ResponseMode)
	c.Text(&r.ResponseAlg)
	c.Text(&r.State)
	c.Text(&r.Nonce)
	c.Text(&r.CodeChallenge)
	c.Texts(&r.Scopes)
	c.Texts(&r.Prompt)
	c.Text(&r.LoginHint)
	c.Text(&r.HintedUser)
	c.Texts(&r.UILocales)
	c.Bytes((*[]byte)(&r.Claims))
	c.Texts(&r.ClaimScopes)
	c.Texts(&r.Resources)
	compact.List(c, (*[]idp.Detail)(&r.Details), detailFields)
	c.Text(&r.DPoPKey)
	c.Text(&r.Pushed)
	c.Text(&r.Device)
}

func detailFields(c *compact.Codec, d *idp.Detail) {
	c.Text(&d.Type)
	c.Text(&d.JSON)
}

func requirementFields(c *compact.Codec, r *idp.Requirement) {
	c.Texts(&r.ACRValues)
	c.Text(&r.MinimumACR)
	c.Bools(&r.Essential, &r.Fresh)
	compact.Optional(c, &r.MaxAge, (*compact.Codec).Duration)
	compact.List(c, &r.ActionClasses, classFields)
}

func classFields(c *compact.Codec, a *idp.ActionClass) {
	c.Text(&a.Name)
	c.Text(&a.Description)
	c.Text(&a.ACR)
	c.Duration((*time.Duration)(&a.Window))
	c.Bools(&a.Shared)
}

func localFields(c *compact.Codec, l *idp.Local) {
	c.Text(&l.ReturnTo)
	c.Text(&l.Reason)
}
