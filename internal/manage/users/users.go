// Package users has the operator's commands for people.
package users

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/words"
)

type User struct {
	List    userListCmd    `cmd:"" help:"List the users."`
	Disable userDisableCmd `cmd:"" help:"Disable an account: its sessions end, its tokens are revoked, and applications with logout URIs are told."`
	Enable  userEnableCmd  `cmd:"" help:"Enable a disabled account."`
	Invite  userInviteCmd  `cmd:"" help:"Create a user (or find the one with this address), and print or e-mail a one-time link for enrolling a passkey. Inviting again makes another link."`
	Recover userRecoverCmd `cmd:"" help:"Print a one-time link with which a user who lost all passkeys creates a new one. That suspends the old ones, and signs the user out everywhere."`
	Add     userAddCmd     `cmd:"" help:"Create a user, who is invited later."`
	Show    userShowCmd    `cmd:"" help:"Show a user: profile, passkeys, applications."`
	Set     userSetCmd     `cmd:"" help:"Change a user: name, e-mail address, whether it is confirmed, role, groups, claims."`
	Import  userImportCmd  `cmd:"" name:"import-csv" help:"Invite everybody in a CSV file with the columns email, name, role, groups, email_verified. Nothing is done if a row is wrong."`
	Remove  userRemoveCmd  `cmd:"" help:"Remove a user with passkeys, sessions, consents and tokens, for good. The record of events stays."`
}

type userListCmd struct {
	Limit int `default:"100" help:"Maximum number of users."`
	manage.Output
}

func (c userListCmd) Run(e *manage.Env) error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d must be 1 or more", c.Limit)
	}
	return e.Reading(func(_ *config.Config, db *store.DB) error {
		users, err := db.Users(e.Context(), "", c.Limit)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		if c.JSON() {
			list := []map[string]any{}
			for _, u := range users {
				list = append(list, userJSON(u))
			}
			return manage.PrintJSON(list)
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

// userJSON is a user as the commands print it.
func userJSON(u idp.User) map[string]any {
	return map[string]any{
		"id": u.ID, "email": u.Email, "email_verified": u.EmailVerified, "name": u.Name, "role": u.Role.Name(),
		"disabled": u.Disabled(), "created_at": u.CreatedAt,
	}
}

type userInviteCmd struct {
	Email string        `arg:"" help:"E-mail address."`
	Name  string        `help:"Name. Default: the part of the address before the @."`
	Admin bool          `xor:"role" help:"The same as --role admin."`
	Role  string        `xor:"role" enum:"none,auditor,support,admin,owner" default:"none" help:"Role at the provider itself: ${enum}."`
	Group []string      `sep:"none" help:"Group that they are in. Repeat for several."`
	TTL   time.Duration `name:"ttl" default:"24h" help:"How long the link is valid, 5m to 168h."`

	EmailVerified bool `name:"email-verified" help:"You vouch that the address is theirs: applications are told that it is confirmed."`
	Mail          bool `name:"mail" help:"Mail the link instead of printing it. Opening it proves the address."`

	Language string `name:"language" help:"Language of a new user and of the e-mail: en, de, es, fr, ja or ar. They can change it later."`
	manage.Output
}

func (c userInviteCmd) Run(e *manage.Env) error {
	if c.TTL < admin.MinInvitation || c.TTL > admin.MaxInvitation {
		return fmt.Errorf("--ttl %s must be between 5m and 168h", config.Short(c.TTL))
	}
	if c.Language != "" && words.ByTag(c.Language) == nil {
		return fmt.Errorf("--language %q is none of %s", c.Language, strings.Join(words.Tags(), ", "))
	}
	change := e.Writing
	if c.Mail {
		change = e.Mailing
	}
	return manage.With(change, func(cfg *config.Config, ops *admin.Operations) error {
		if c.Mail && cfg.SMTPURL == "" {
			return errors.New("--mail needs smtp-url; without it, print the link and send it yourself")
		}
		inv, err := ops.Users.Invite(e.Context(), manage.Operator, admin.NewUser{
			Email: c.Email, Name: c.Name, Role: roleOf(c.Role, c.Admin), EmailVerified: c.EmailVerified, Groups: c.Group,
			Profile: idp.Profile{Locale: c.Language},
		}, c.TTL, c.Mail)
		if errors.Is(err, admin.ErrHasPasskey) {
			return fmt.Errorf("%w, and can add more on the account page; "+
				"if they have lost it, or it is for another issuer: stepward user recover %s", err, c.Email)
		}
		if err != nil {
			return manage.Told("invite", err)
		}
		if c.JSON() {
			made := invitation{Email: inv.User.Email, UserID: inv.User.ID, Until: inv.Until.UTC()}
			if !c.Mail { // opening a mailed link confirms the address, so only its owner may have it
				made.Link = inv.Link.Reveal()
			}
			return manage.PrintJSON(made)
		}
		if c.Mail {
			fmt.Printf("The invitation is in the outbox: a running server delivers it. It works once, until %s.\n",
				inv.Until.Format(time.DateTime))
			return nil
		}
		fmt.Printf("%s\n\nThe link works once, until %s, in the first browser that opens it.\n",
			inv.Link.Reveal(), inv.Until.Format(time.DateTime))
		return nil
	})
}

// An invitation is what user invite prints as JSON.
type invitation struct {
	Email  string    `json:"email"`
	UserID string    `json:"user_id"`
	Link   string    `json:"link,omitempty"`
	Until  time.Time `json:"until"`
}

// roleOf returns the role that the flags name.
func roleOf(name string, admin bool) directory.Role {
	if admin {
		return directory.RoleAdmin
	}
	role, _ := directory.ParseRole(name) // kong has looked
	return role
}
