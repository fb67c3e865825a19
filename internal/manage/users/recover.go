package users

import (
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/pkg/adminapi"
)

type userRecoverCmd struct {
	Email string        `arg:"" help:"E-mail address or user ID."`
	TTL   time.Duration `name:"ttl" default:"1h" help:"How long the link is valid, 5m to 24h."`

	PIN    bool `name:"pin" help:"The link asks for a PIN, which is printed once. Tell it by voice, not the way you send the link."`
	Second bool `name:"second" help:"The link works only once an admin has approved it, on the page that is printed."`
	manage.Flags
}

// Run prints the link and does not e-mail it: someone who reads the mailbox must not get in with it alone. The owner is
// told that it was made.
func (c userRecoverCmd) Run(e *manage.Env) error {
	if c.TTL < recovery.MinLinkTTL || c.TTL > recovery.MaxLinkTTL {
		return errors.New("--ttl must be between 5m and 24h")
	}
	return c.Flags.Run(e, manage.Writes, "make a recovery link", func(api *manage.API) error {
		u, err := manage.FindUser(api, c.Email)
		if err != nil {
			return err
		}
		made, err := api.Users.RecoveryLink(api.Context, u.ID, adminapi.RecoveryLinkOrder{
			TTL: int(c.TTL.Seconds()), PIN: c.PIN, Second: c.Second,
		})
		switch {
		case manage.Refused(err, "disabled"):
			return fmt.Errorf("this user is disabled; first: stepward user enable %s", u.Email)
		case manage.Refused(err, "no_passkey"):
			return fmt.Errorf("this user has no passkey yet: stepward user invite %s", u.Email)
		case err != nil:
			return err
		}
		return c.Print(made, func(t manage.Text) {
			t.Line("%s\n\nThe link works once, until %s, in the first browser that opens it. Earlier links to this account "+
				"have ended.\nMake sure that you give it to %s and nobody else: it gives the account away.",
				made.Link, moment(made.Until), u.Email)
			if c.PIN {
				t.Line("PIN: %s\nIt has five tries. Tell it to them by voice.", made.PIN)
			}
			if made.Second {
				t.Line("It works once another admin has approved it:\n%s", api.Issuer+recovery.ApprovePath(u.ID))
			}
		})
	})
}
