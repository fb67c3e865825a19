package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
)

type userAddCmd struct {
	Email         string `arg:"" help:"E-mail address."`
	Name          string `help:"Name. Default: the part of the address before the @."`
	Admin         bool   `help:"Make the user an admin."`
	EmailVerified bool   `name:"email-verified" help:"You vouch that the address is theirs: applications are told that it is confirmed."`
}

func (c userAddCmd) Run(e *env) error {
	return e.writing(func(_ *config.Config, db *store.DB) error {
		email, ok := directory.NormalizeEmail(c.Email)
		if !ok {
			return fmt.Errorf("%q is not an e-mail address", c.Email)
		}
		now := time.Now()
		u, err := newUser(email, c.Name, c.Admin, c.EmailVerified, now)
		if err != nil {
			return err
		}
		err = db.CreateUser(e.ctx, u, idp.NewEvent(idp.EventUserCreated, u.ID, now))
		if errors.Is(err, idp.ErrConflict) {
			return fmt.Errorf("there is a user with the address %s already", email)
		}
		if err != nil {
			return fmt.Errorf("create user: %w", err)
		}
		fmt.Printf("%s\n\nNobody can sign in yet: stepward user invite %s\n", u.ID, email)
		return nil
	})
}

type userShowCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
}

func (c userShowCmd) Run(e *env) error {
	return e.reading(func(_ *config.Config, db *store.DB) error {
		u, err := findUser(e.ctx, db, c.User)
		if err != nil {
			return err
		}
		keys, err := db.PasskeysOf(e.ctx, u.ID)
		if err != nil {
			return fmt.Errorf("load passkeys: %w", err)
		}
		grants, err := db.GrantsOf(e.ctx, u.ID)
		if err != nil {
			return fmt.Errorf("load grants: %w", err)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
		line("user id", u.ID)
		line("e-mail", u.Email+map[bool]string{true: " (confirmed)", false: " (not confirmed)"}[u.EmailVerified])
		line("name", u.Name)
		line("role", cmp.Or(string(u.Role), "none"))
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
		for _, g := range grants {
			line("application", g.ClientID+"  "+strings.Join(g.Scopes, " "))
		}
		return w.Flush()
	})
}

type userSetCmd struct {
	User          string  `arg:"" help:"E-mail address or user ID."`
	Name          *string `help:"Name."`
	Email         *string `help:"E-mail address. A new one is not confirmed, and invitations to the former one end."`
	EmailVerified *bool   `name:"email-verified" negatable:"" help:"Whether the address is confirmed: you vouch for it."`
	Role          *string `enum:"none,admin" help:"none or admin."`
}

func (c userSetCmd) Run(e *env) error {
	if c.Name == nil && c.Email == nil && c.EmailVerified == nil && c.Role == nil {
		return errors.New("nothing to change: give --name, --email, --email-verified or --role")
	}
	return e.writing(func(_ *config.Config, db *store.DB) error {
		u, err := findUser(e.ctx, db, c.User)
		if err != nil {
			return err
		}
		var fields []string
		if c.Name != nil {
			name, ok := directory.NormalizeName(*c.Name)
			if !ok {
				return errors.New("--name must be 1 to 80 characters")
			}
			u.Name, fields = name, append(fields, "name")
		}
		if c.Email != nil {
			email, ok := directory.NormalizeEmail(*c.Email)
			if !ok {
				return fmt.Errorf("%q is not an e-mail address", *c.Email)
			}
			if email != u.Email {
				u.Email, u.EmailVerified, fields = email, false, append(fields, "email")
			}
		}
		if c.EmailVerified != nil {
			u.EmailVerified, fields = *c.EmailVerified, append(fields, "email_verified")
		}
		if c.Role != nil {
			u.Role, fields = directory.Role(strings.TrimPrefix(*c.Role, "none")), append(fields, "role")
		}
		u.UpdatedAt = time.Now()
		ev := idp.NewEvent(idp.EventUserChanged, u.ID, u.UpdatedAt)
		ev.Detail = map[string]string{"fields": strings.Join(fields, " "), "by": "operator"}
		err = db.UpdateUser(e.ctx, u, ev)
		if errors.Is(err, idp.ErrConflict) {
			return fmt.Errorf("there is another user with the address %s", u.Email)
		}
		if err != nil {
			return fmt.Errorf("change user: %w", err)
		}
		fmt.Println("changed")
		return nil
	})
}

type userRemoveCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	Yes  bool   `help:"Do not ask."`
}

func (c userRemoveCmd) Run(e *env) error {
	return e.writing(func(cfg *config.Config, db *store.DB) error {
		u, err := findUser(e.ctx, db, c.User)
		if err != nil {
			return err
		}
		if !c.Yes {
			return fmt.Errorf("this removes %s (%s) for good; say it with --yes, or close the account: stepward user disable %s",
				u.Name, u.Email, u.Email)
		}
		eph, err := server.OpenEphemeral(e.ctx, cfg, logger(cfg))
		if err != nil {
			return fmt.Errorf("nothing was changed, because the sessions could not be ended: %w", err)
		}
		defer eph.Close()
		now := time.Now()
		if err := db.RemoveUser(e.ctx, u.ID, now, idp.NewEvent(idp.EventUserRemoved, u.ID, now)); err != nil {
			return fmt.Errorf("remove user: %w", err)
		}
		ended, err := session.New(session.Config{Store: eph}).RevokeAll(e.ctx, u.ID, "")
		if err != nil {
			return fmt.Errorf("the user is removed; their sessions open nothing any more and end by themselves: %w", err)
		}
		fmt.Printf("removed; %d sessions ended\n", len(ended))
		return nil
	})
}

// newUser makes a user; without a name they are called by the part of the address before the @.
func newUser(email, name string, admin, verified bool, now time.Time) (idp.User, error) {
	local, _, _ := strings.Cut(email, "@")
	name, ok := directory.NormalizeName(cmp.Or(name, local))
	if !ok {
		return idp.User{}, errors.New("--name must be 1 to 80 characters")
	}
	u := idp.NewUser(email, name, now)
	u.EmailVerified = verified
	if admin {
		u.Role = directory.RoleAdmin
	}
	return u, nil
}
