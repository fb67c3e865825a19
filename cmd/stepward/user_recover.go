package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/words"
)

type userRecoverCmd struct {
	Email string        `arg:"" help:"E-mail address or user ID."`
	TTL   time.Duration `name:"ttl" default:"1h" help:"How long the link is valid, 5m to 24h."`
}

// Run prints the link and does not e-mail it: someone who reads the mailbox must not get in with it alone. The owner is
// told that it was made.
func (c userRecoverCmd) Run(e *env) error {
	if c.TTL < recovery.MinLinkTTL || c.TTL > recovery.MaxLinkTTL {
		return errors.New("--ttl must be between 5m and 24h")
	}
	return e.writing(func(cfg *config.Config, db *store.DB) error {
		u, err := findUser(e.ctx, db, c.Email)
		if err != nil {
			return err
		}
		if u.Disabled() {
			return fmt.Errorf("this user is disabled; first: stepward user enable %s", u.Email)
		}
		keys, err := db.PasskeysOf(e.ctx, u.ID)
		if err != nil {
			return fmt.Errorf("find passkeys: %w", err)
		}
		if len(keys) == 0 {
			return fmt.Errorf("this user has no passkey yet: stepward user invite %s", u.Email)
		}
		now := time.Now()
		until := now.Add(c.TTL)
		ev := idp.NewEvent(idp.EventRecoveryLinkMade, u.ID, now)
		ev.Detail = map[string]string{"by": "operator", "until": until.UTC().Format(time.RFC3339)}
		link, err := recovery.MakeLink(e.ctx, db, cfg.Issuer.String(), u, c.TTL, ev)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n\nThe link works once, until %s, in the first browser that opens it. Earlier links to this account "+
			"have ended.\nMake sure that you give it to %s and nobody else: it gives the account away.\n",
			link.Reveal(), until.Format(time.DateTime), u.Email)
		if cfg.SMTPURL == "" {
			return nil
		}
		transport, err := mail.NewSMTP(cfg.SMTPURL.Reveal())
		if err != nil {
			return fmt.Errorf("mail: %w", err)
		}
		mailer, err := mail.New(mail.Config{DB: db, Transport: transport, From: cfg.From, Product: cfg.ProductName})
		if err != nil {
			return fmt.Errorf("mail: %w", err)
		}
		return mailer.Send(e.ctx, mailer.In(words.Choose(u.Profile.Locale)).RecoveryLinkMade(u.Email, now, until))
	})
}
