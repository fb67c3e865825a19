package users

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

type userAddCmd struct {
	Email         string   `arg:"" help:"E-mail address."`
	Name          string   `help:"Name. Default: the part of the address before the @."`
	Admin         bool     `xor:"role" help:"The same as --role admin."`
	Role          string   `xor:"role" enum:"none,auditor,support,admin,owner" default:"none" help:"Role at the provider itself: ${enum}."`
	Group         []string `sep:"none" help:"Group that they are in. Repeat for several."`
	EmailVerified bool     `name:"email-verified" help:"You vouch that the address is theirs: applications are told that it is confirmed."`
	manage.Flags
}

func (c userAddCmd) Run(e *manage.Env) error {
	in := newUser(c.Email, c.Name, roleOf(c.Role, c.Admin), c.Group)
	in.EmailVerified = c.EmailVerified
	return c.Flags.Run(e, manage.Writes, "create user", func(api *manage.API) error {
		u, err := api.Users.Create(api.Context, in)
		if err != nil {
			return err
		}
		return c.Say(u, fmt.Sprintf("%s\n\nNobody can sign in yet: stepward user invite %s", u.ID, u.Email))
	})
}

type userSetCmd struct {
	User          string   `arg:"" help:"E-mail address or user ID."`
	Name          *string  `help:"Name."`
	Email         *string  `help:"E-mail address. A new one is not confirmed, and invitations to the former one end."`
	EmailVerified *bool    `name:"email-verified" negatable:"" help:"Whether the address is confirmed: you vouch for it."`
	Role          *string  `enum:"none,auditor,support,admin,owner" help:"Role at the provider itself: ${enum}."`
	Group         []string `sep:"none" help:"Exactly these groups. Repeat for several; --group \"\" for none."`
	Claim         []string `sep:"none" placeholder:"NAME=VALUE" help:"Value of a claim; NAME= removes it. A list is separated by commas."`
	manage.Flags
}

func (c userSetCmd) Run(e *manage.Env) error {
	if c.Name == nil && c.Email == nil && c.EmailVerified == nil && c.Role == nil && len(c.Group)+len(c.Claim) == 0 {
		return errors.New("nothing to change: give --name, --email, --email-verified, --role, --group or --claim")
	}
	return c.Flags.Run(e, manage.Writes, "change user", func(api *manage.API) error {
		u, err := manage.FindUser(api, c.User)
		if err != nil {
			return err
		}
		change := adminapi.UserChange{Name: c.Name, Email: c.Email, EmailVerified: c.EmailVerified, Role: c.Role}
		if change != (adminapi.UserChange{}) {
			if u, _, err = api.Users.Change(api.Context, u.ID, adminapi.Any, change); err != nil {
				return err
			}
		}
		if len(c.Group) > 0 {
			groups := slices.DeleteFunc(c.Group, func(name string) bool { return name == "" })
			if err := api.Users.SetGroups(api.Context, u.ID, groups...); err != nil {
				return err
			}
		}
		if len(c.Claim) > 0 {
			values, err := manage.ClaimValues(api, c.Claim)
			if err == nil {
				err = api.Users.SetClaims(api.Context, u.ID, values)
			}
			if err != nil {
				return err
			}
		}
		return c.Say(u, "changed")
	})
}

type userRemoveCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	Yes  bool   `help:"Do not ask."`
	manage.Flags
}

func (c userRemoveCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "remove user", func(api *manage.API) error {
		u, err := manage.FindUser(api, c.User)
		if err != nil {
			return err
		}
		if !c.Yes {
			return fmt.Errorf("this removes %s (%s) for good; say it with --yes, or close the account: stepward user disable %s",
				u.Name, u.Email, u.Email)
		}
		ended, err := api.Users.Remove(api.Context, u.ID)
		if err != nil {
			return err
		}
		return c.Say(map[string]any{"id": u.ID, "removed": true, "sessions": ended.Sessions},
			fmt.Sprintf("removed; %d sessions ended", ended.Sessions))
	})
}
