package users

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store"
)

type userAddCmd struct {
	Email         string   `arg:"" help:"E-mail address."`
	Name          string   `help:"Name. Default: the part of the address before the @."`
	Admin         bool     `xor:"role" help:"The same as --role admin."`
	Role          string   `xor:"role" enum:"none,auditor,support,admin,owner" default:"none" help:"Role at the provider itself: ${enum}."`
	Group         []string `sep:"none" help:"Group that they are in. Repeat for several."`
	EmailVerified bool     `name:"email-verified" help:"You vouch that the address is theirs: applications are told that it is confirmed."`
}

func (c userAddCmd) Run(e *manage.Env) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		u, err := ops.Users.Create(e.Context(), manage.Operator, admin.NewUser{
			Email: c.Email, Name: c.Name, Role: roleOf(c.Role, c.Admin), EmailVerified: c.EmailVerified, Groups: c.Group,
		})
		if err != nil {
			return manage.Told("create user", err)
		}
		fmt.Printf("%s\n\nNobody can sign in yet: stepward user invite %s\n", u.ID, u.Email)
		return nil
	})
}

type userShowCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	manage.Output
}

func (c userShowCmd) Run(e *manage.Env) error {
	return e.Reading(func(cfg *config.Config, db *store.DB) error {
		u, err := manage.FindUser(e.Context(), db, c.User)
		if err != nil {
			return err
		}
		keys, err := db.PasskeysOf(e.Context(), u.ID)
		if err != nil {
			return fmt.Errorf("load passkeys: %w", err)
		}
		grants, err := db.GrantsOf(e.Context(), u.ID)
		if err != nil {
			return fmt.Errorf("load grants: %w", err)
		}
		m, err := db.MembershipOf(e.Context(), u.ID)
		if err != nil {
			return fmt.Errorf("load groups: %w", err)
		}
		if c.JSON() {
			shown := userJSON(u)
			shown["groups"], shown["claims"] = manage.NamesOf(m.Groups), m.Claims()
			shown["passkeys"], shown["applications"] = len(keys), grants
			return manage.PrintJSON(shown)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
		line("user id", u.ID)
		line("e-mail", u.Email+map[bool]string{true: " (confirmed)", false: " (not confirmed)"}[u.EmailVerified])
		line("name", u.Name)
		line("role", u.Role.Name())
		line("created", u.CreatedAt.Format(time.DateTime))
		if u.Disabled() {
			line("disabled", u.DisabledAt.Format(time.DateTime))
		}
		for _, k := range keys {
			used := "never used"
			if !k.LastUsedAt.IsZero() {
				used = "last used " + k.LastUsedAt.Format(time.DateTime)
			}
			line("passkey", fmt.Sprintf("%s  %q, %s", k.ID, k.Name, used))
		}
		if len(keys) == 0 {
			line("passkey", "none; stepward user invite "+u.Email)
		}
		approval, err := recovery.ApprovalOf(e.Context(), db, u.ID, "", time.Now())
		switch {
		case err == nil && approval.ApprovedBy != "":
			line("recovery link", "approved by "+approval.ApprovedBy+", until "+approval.Until.Format(time.DateTime))
		case err == nil:
			until := approval.Until.Format(time.DateTime)
			line("recovery link", "waits for a second admin until "+until+": "+approvalURL(cfg, u))
		case !errors.Is(err, idp.ErrNotFound):
			return fmt.Errorf("find recovery link: %w", err)
		}
		for _, g := range m.Groups {
			line("group", g.Name)
		}
		for _, v := range m.Claims() {
			line("claim", v.Claim+" = "+v.JSON)
		}
		for _, g := range grants {
			line("application", g.ClientID+"  "+strings.Join(g.Scopes, " "))
		}
		return w.Flush()
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
}

func (c userSetCmd) Run(e *manage.Env) error {
	if c.Name == nil && c.Email == nil && c.EmailVerified == nil && c.Role == nil && len(c.Group)+len(c.Claim) == 0 {
		return errors.New("nothing to change: give --name, --email, --email-verified, --role, --group or --claim")
	}
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		u, err := manage.FindMember(e.Context(), ops, c.User)
		if err != nil {
			return err
		}
		change := admin.UserChange{Name: c.Name, Email: c.Email, EmailVerified: c.EmailVerified}
		if c.Role != nil {
			role := roleOf(*c.Role, false)
			change.Role = &role
		}
		if len(c.Group) > 0 {
			groups := slices.DeleteFunc(c.Group, func(name string) bool { return name == "" })
			change.Groups = &groups
		}
		if _, err := ops.Users.Change(e.Context(), manage.Operator, u.ID, change); err != nil {
			return manage.Told("change user", err)
		}
		if len(c.Claim) > 0 {
			values, err := manage.ClaimValues(e.Context(), ops, c.Claim)
			if err == nil {
				err = manage.Told("set claims", ops.Claims.SetUser(e.Context(), manage.Operator, u.ID, values))
			}
			if err != nil {
				return err
			}
		}
		fmt.Println("changed")
		return nil
	})
}

type userRemoveCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	Yes  bool   `help:"Do not ask."`
}

func (c userRemoveCmd) Run(e *manage.Env) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		u, err := manage.FindMember(e.Context(), ops, c.User)
		if err != nil {
			return err
		}
		if !c.Yes {
			return fmt.Errorf("this removes %s (%s) for good; say it with --yes, or close the account: stepward user disable %s",
				u.Name, u.Email, u.Email)
		}
		ended, err := ops.Users.Remove(e.Context(), manage.Operator, u.ID)
		if err != nil {
			return manage.Told("remove user", err)
		}
		fmt.Printf("removed; %d sessions ended\n", ended)
		return nil
	})
}
