package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/words"
)

type userCmd struct {
	List    userListCmd    `cmd:"" help:"List the users."`
	Disable userDisableCmd `cmd:"" help:"Disable an account: its sessions end, its tokens are revoked, and applications with logout URIs are told."`
	Enable  userEnableCmd  `cmd:"" help:"Enable a disabled account."`
	Invite  userInviteCmd  `cmd:"" help:"Create a user (or find the one with this address), and print or e-mail a one-time link for enrolling a passkey. Inviting again makes another link."`
	Recover userRecoverCmd `cmd:"" help:"Print a one-time link with which a user who lost all passkeys creates a new one. That suspends the old ones, and signs the user out everywhere."`
	Add     userAddCmd     `cmd:"" help:"Create a user, who is invited later."`
	Show    userShowCmd    `cmd:"" help:"Show a user: profile, passkeys, applications."`
	Set     userSetCmd     `cmd:"" help:"Change a user: name, e-mail address, whether it is confirmed, role."`
	Remove  userRemoveCmd  `cmd:"" help:"Remove a user with passkeys, sessions, consents and tokens, for good. The record of events stays."`
}

type userListCmd struct {
	Limit int `default:"100" help:"Maximum number of users."`
}

func (c userListCmd) Run(e *env) error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d must be 1 or more", c.Limit)
	}
	return e.reading(func(_ *config.Config, db *store.DB) error {
		users, err := db.Users(e.ctx, "", c.Limit)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "USER ID\tE-MAIL\tNAME\tROLE\tCREATED")
		for _, u := range users {
			role := string(u.Role)
			if u.Disabled() {
				role = "disabled"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.ID, u.Email, u.Name, role, u.CreatedAt.Format(time.DateOnly))
		}
		return w.Flush()
	})
}

type userInviteCmd struct {
	Email string        `arg:"" help:"E-mail address."`
	Name  string        `help:"Name. Default: the part of the address before the @."`
	Admin bool          `help:"Make the user an admin."`
	TTL   time.Duration `name:"ttl" default:"24h" help:"How long the link is valid, 5m to 168h."`

	EmailVerified bool `name:"email-verified" help:"You vouch that the address is theirs: applications are told that it is confirmed."`
	Mail          bool `name:"mail" help:"Mail the link instead of printing it. Whoever opens it has proven the address."`

	Language string `name:"language" help:"Language of a new user and of the e-mail: en, de, es, fr, ja or ar. They can change it later."`
}

func (c userInviteCmd) Run(e *env) error {
	if c.TTL < 5*time.Minute || c.TTL > 7*24*time.Hour {
		return fmt.Errorf("--ttl %s must be between 5m and 168h", config.Short(c.TTL))
	}
	if c.Language != "" && words.ByTag(c.Language) == nil {
		return fmt.Errorf("--language %q is none of %s", c.Language, strings.Join(words.Tags(), ", "))
	}
	change := e.writing
	if c.Mail {
		change = e.mailing
	}
	return change(func(cfg *config.Config, db *store.DB) error {
		if c.Mail && cfg.SMTPURL == "" {
			return errors.New("--mail needs smtp-url; without it, print the link and send it yourself")
		}
		link, user, err := invite(e.ctx, db, cfg, c)
		if err != nil {
			return err
		}
		if c.Mail {
			if err := mailInvitation(e.ctx, db, cfg, c, user, link); err != nil {
				return err
			}
			fmt.Printf("The invitation is in the outbox: a running server delivers it. It works once, until %s.\n",
				time.Now().Add(c.TTL).Format(time.DateTime))
			return nil
		}
		fmt.Printf("%s\n\nThe link works once, until %s, in the first browser that opens it.\n",
			link.Reveal(), time.Now().Add(c.TTL).Format(time.DateTime))
		return nil
	})
}

// mailInvitation puts the invitation into the outbox of the servers.
func mailInvitation(
	ctx context.Context, db *store.DB, cfg *config.Config, c userInviteCmd, user idp.User, link idp.Secret,
) error {
	transport, err := mail.NewSMTP(cfg.SMTPURL.Reveal())
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	mailer, err := mail.New(mail.Config{DB: db, Transport: transport, From: cfg.From, Product: cfg.ProductName})
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	language := words.Choose(cmp.Or(c.Language, user.Profile.Locale))
	return mailer.Send(ctx, mailer.In(language).Invitation(user.Email, link, time.Now().Add(c.TTL)))
}

// invite finds or creates the user, and stores a link for them.
func invite(
	ctx context.Context, db *store.DB, cfg *config.Config, c userInviteCmd,
) (link idp.Secret, user idp.User, err error) {
	email, ok := directory.NormalizeEmail(c.Email)
	if !ok {
		return "", user, fmt.Errorf("%q is not an e-mail address", c.Email)
	}
	now := time.Now()
	user, err = db.UserByEmail(ctx, email)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		if user, err = newUser(email, c.Name, c.Admin, c.EmailVerified, now); err != nil {
			return "", user, err
		}
		user.Profile.Locale = c.Language
		err = db.CreateUser(ctx, user, idp.NewEvent(idp.EventUserCreated, user.ID, now))
		if errors.Is(err, idp.ErrConflict) { // another replica was faster
			user, err = db.UserByEmail(ctx, email)
		}
		if err != nil {
			return "", user, fmt.Errorf("create user: %w", err)
		}
	case err != nil:
		return "", user, fmt.Errorf("find user: %w", err)
	case user.Disabled():
		return "", user, errors.New("this user is disabled")
	case c.Admin && user.Role != directory.RoleAdmin:
		return "", user, errors.New("this user already exists and is not an admin")
	}
	passkeys, err := db.PasskeysOf(ctx, user.ID)
	if err != nil {
		return "", user, fmt.Errorf("find passkeys: %w", err)
	}
	if len(passkeys) > 0 {
		return "", user, fmt.Errorf("this user already has a passkey, and can add more on the account page; "+
			"if they have lost it, or it is for another issuer: stepward user recover %s", user.Email)
	}
	if c.EmailVerified && !user.EmailVerified {
		event := idp.NewEvent(idp.EventEmailVerified, user.ID, now)
		if err := db.VerifyEmail(ctx, user.ID, user.Email, now, event); err != nil {
			return "", user, fmt.Errorf("confirm address: %w", err)
		}
	}
	invitation := enrol.Invite
	if c.Mail {
		invitation = enrol.InviteByMail
	}
	link, err = invitation(ctx, db, cfg.Issuer.String(), user, c.TTL)
	if err != nil {
		return "", user, fmt.Errorf("invite: %w", err)
	}
	return link, user, nil
}
