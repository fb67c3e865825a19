// Package users has the operator's commands for people.
package users

import (
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/words"
	"github.com/stepward/stepward/pkg/adminapi"
)

type User struct {
	List    userListCmd    `cmd:"" help:"List the users."`
	Disable userDisableCmd `cmd:"" help:"Disable an account: its sessions end, its tokens are revoked, and applications with logout URIs are told."`
	Enable  userEnableCmd  `cmd:"" help:"Enable a disabled account."`
	SignOut userSignOutCmd `cmd:"" name:"signout" help:"End all sessions of a user, and the tokens issued in them. The account stays as it is."`
	Invite  userInviteCmd  `cmd:"" help:"Create a user (or find the one with this address), and print or e-mail a one-time link for enrolling a passkey. Inviting again makes another link."`
	Recover userRecoverCmd `cmd:"" help:"Print a one-time link with which a user who lost all passkeys creates a new one. That suspends the old ones, and signs the user out everywhere."`
	Add     userAddCmd     `cmd:"" help:"Create a user, who is invited later."`
	Show    userShowCmd    `cmd:"" help:"Show a user: profile, passkeys, applications."`
	Set     userSetCmd     `cmd:"" help:"Change a user: name, e-mail address, whether it is confirmed, role, groups, claims."`
	Import  userImportCmd  `cmd:"" name:"import-csv" help:"Invite everybody in a CSV file with the columns email, name, role, groups, email_verified. Nothing is done if a row is wrong. Works on the store alone, without --api: many links in one answer could be lost."`
	Remove  userRemoveCmd  `cmd:"" help:"Remove a user with passkeys, sessions, consents and tokens, for good. The record of events stays."`
}

type userListCmd struct {
	Limit int `default:"100" help:"Maximum number of users."`
	manage.Flags
}

func (c userListCmd) Run(e *manage.Env) error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d must be 1 or more", c.Limit)
	}
	return c.Flags.Run(e, manage.Reads, "list users", func(api *manage.API) error {
		users, err := manage.Collect(api.Users.Search(api.Context, ""), c.Limit)
		if err != nil {
			return err
		}
		return c.Print(users, func(t manage.Text) {
			t.Line("USER ID\tE-MAIL\tNAME\tROLE\tCREATED")
			for _, u := range users {
				role := u.Role
				switch {
				case u.DisabledAt != nil:
					role = "disabled"
				case role == "none":
					role = ""
				}
				t.Line("%s\t%s\t%s\t%s\t%s", u.ID, u.Email, u.Name, role, manage.Day(&u.CreatedAt))
			}
		})
	})
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

	Language string `name:"language" help:"Language of a new user and of the e-mail, such as de. They can change it later."`
	manage.Flags
}

func (c userInviteCmd) Run(e *manage.Env) error {
	if c.TTL < admin.MinInvitation || c.TTL > admin.MaxInvitation {
		return fmt.Errorf("--ttl %s must be between 5m and 168h", duration.Short(c.TTL))
	}
	if c.Language != "" && words.ByTag(c.Language) == nil {
		return fmt.Errorf("--language %q is none of %s", c.Language, strings.Join(words.Tags(), ", "))
	}
	kind := manage.Writes
	if c.Mail {
		kind = manage.Mails
	}
	in := adminapi.NewInvitation{NewUser: newUser(c.Email, c.Name, roleOf(c.Role, c.Admin), c.Group), Mail: c.Mail}
	in.EmailVerified, in.Profile, in.TTL = c.EmailVerified, &adminapi.Profile{Locale: c.Language}, int(c.TTL.Seconds())
	return c.Flags.Run(e, kind, "invite", func(api *manage.API) error {
		inv, err := api.Users.Invite(api.Context, in)
		if manage.Refused(err, "has_passkey") {
			return fmt.Errorf("invite: this user already has a passkey, and can add more on the account page; "+
				"if they have lost it, or it is for another issuer: stepward user recover %s", c.Email)
		}
		if err != nil {
			return err
		}
		until := inv.Until.Local().Format(time.DateTime)
		if c.Mail {
			return c.Say(inv, fmt.Sprintf("The invitation is in the outbox: a running server delivers it. "+
				"It works once, until %s.", until))
		}
		return c.Say(inv, fmt.Sprintf("%s\n\nThe link works once, until %s, in the first browser that opens it.",
			inv.Link, until))
	})
}

// newUser returns a user to create.
func newUser(email, name string, role role, groups []string) adminapi.NewUser {
	return adminapi.NewUser{Email: email, Name: name, Role: string(role), Groups: groups}
}

// A role is the name of a role at the provider itself.
type role string

// roleOf returns the role that the flags name.
func roleOf(name string, admin bool) role {
	if admin {
		return "admin"
	}
	return role(name)
}
