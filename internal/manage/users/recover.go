package users

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/recovery"
)

type userRecoverCmd struct {
	Email string        `arg:"" help:"E-mail address or user ID."`
	TTL   time.Duration `name:"ttl" default:"1h" help:"How long the link is valid, 5m to 24h."`

	PIN    bool `name:"pin" help:"The link asks for a PIN, which is printed once. Tell it by voice, not the way you send the link."`
	Second bool `name:"second" help:"The link works only once an admin has approved it, on the page that is printed."`
}

// Run prints the link and does not e-mail it: someone who reads the mailbox must not get in with it alone. The owner is
// told that it was made.
func (c userRecoverCmd) Run(e *manage.Env) error {
	if c.TTL < recovery.MinLinkTTL || c.TTL > recovery.MaxLinkTTL {
		return errors.New("--ttl must be between 5m and 24h")
	}
	return manage.With(e.Writing, func(cfg *config.Config, ops *admin.Operations) error {
		u, err := manage.FindMember(e.Context(), ops, c.Email)
		if err != nil {
			return err
		}
		made, err := ops.Users.OrderRecovery(e.Context(), manage.Operator, u.ID, recovery.Order{
			TTL: c.TTL, PIN: c.PIN, Second: c.Second,
		})
		switch {
		case errors.Is(err, admin.ErrDisabled):
			return fmt.Errorf("this user is disabled; first: stepward user enable %s", u.Email)
		case errors.Is(err, admin.ErrNoPasskey):
			return fmt.Errorf("this user has no passkey yet: stepward user invite %s", u.Email)
		case err != nil:
			return manage.Told("make a recovery link", err)
		}
		fmt.Printf("%s\n\nThe link works once, until %s, in the first browser that opens it. Earlier links to this account "+
			"have ended.\nMake sure that you give it to %s and nobody else: it gives the account away.\n",
			made.Link.Reveal(), made.Until.Format(time.DateTime), u.Email)
		if c.PIN {
			fmt.Printf("PIN: %s\nIt has five tries. Tell it to them by voice.\n", made.PIN.Reveal())
		}
		if made.Second {
			fmt.Printf("It works once another admin has approved it:\n%s\n", approvalURL(cfg, u))
		}
		return nil
	})
}

// approvalURL is where another admin approves the recovery link of a user.
func approvalURL(cfg *config.Config, u idp.User) string {
	return strings.TrimSuffix(cfg.Issuer.String(), "/") + recovery.ApprovePath(u.ID)
}
