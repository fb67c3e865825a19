package adminapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/pkg/adminapi"
)

// An OfID is the input of an operation on one object.
type OfID struct {
	By
	ID string `path:"id" maxLength:"256"`
}

// A UserAnswer is the answer with a user.
type UserAnswer struct {
	ETag string `header:"ETag"`
	Body adminapi.User
}

// A CreatedUser is UserAnswer for a new one.
type CreatedUser struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     adminapi.User
}

func userAnswer(u idp.User) *UserAnswer { return &UserAnswer{etag(u.UpdatedAt), wire.User(u)} }

func (a *API) location(parts ...string) string {
	at := a.cfg.Issuer + adminapi.Path
	for _, p := range parts {
		at += "/" + url.PathEscape(p)
	}
	return at
}

// users adds the operations that create, change and remove users.
func (a *API) users(api huma.API) {
	ops := a.cfg.Operations.Users
	read, write := adminapi.ScopeUsersRead, adminapi.ScopeUsersWrite
	const tag = "users"
	type search struct {
		By
		Part
		Query string `query:"q" maxLength:"254" doc:"Part of the e-mail address or name, or the ID; missing: all users."`
		Find  string `query:"find" maxLength:"256" doc:"Instead: the e-mail address or the ID in full."`
	}
	register(api, operation{"list-users", "GET", "/users", "Search users", tag, read, 0, false},
		func(ctx context.Context, in *search) (*Listed[adminapi.User], error) {
			if in.Find != "" {
				return a.userNamed(ctx, in.actor, in.Find)
			}
			place, err := in.place()
			if err != nil {
				return nil, err
			}
			users, next, err := ops.Search(ctx, in.actor, in.Query, place, in.Limit)
			if errors.Is(err, idp.ErrNotFound) {
				return nil, badCursor()
			}
			return listed(users, next, wire.User), err
		})
	type create struct {
		By
		Body adminapi.NewUser
	}
	register(api, operation{"create-user", "POST", "/users", "Create a user, to invite later", tag, write, 201, false},
		func(ctx context.Context, in *create) (*CreatedUser, error) {
			if err := in.mayGive(in.Body.Role, in.Body.Groups); err != nil {
				return nil, err
			}
			u, err := ops.Create(ctx, in.actor, newUser(in.Body))
			return &CreatedUser{etag(u.UpdatedAt), a.location("users", u.ID), wire.User(u)}, err
		})
	type invite struct {
		By
		Body adminapi.NewInvitation
	}
	type invited struct{ Body adminapi.Invitation }
	register(api, operation{
		"invite-user", "POST", "/users/invitations", "Invite a new user, or one without a passkey", tag, write, 201, false,
	}, func(ctx context.Context, in *invite) (*invited, error) {
		if err := in.mayGive(in.Body.Role, in.Body.Groups); err != nil {
			return nil, err
		}
		ttl := time.Duration(in.Body.TTL) * time.Second
		i, err := ops.Invite(ctx, in.actor, newUser(in.Body.NewUser), ttl, in.Body.Mail)
		if err != nil {
			return nil, err
		}
		out := adminapi.Invitation{User: wire.User(i.User), Until: i.Until.UTC(), New: i.New}
		if !in.Body.Mail { // opening a mailed link confirms the address, so only its owner may have it
			out.Link = i.Link.Reveal()
		}
		return &invited{out}, nil
	})
	register(api, operation{"get-user", "GET", "/users/{id}", "Read a user", tag, read, 0, false},
		func(ctx context.Context, in *OfID) (*UserAnswer, error) {
			u, err := ops.Get(ctx, in.actor, in.ID)
			return userAnswer(u), err
		})
	type change struct {
		OfID
		Versioned
		Body adminapi.UserChange
	}
	register(api, operation{"change-user", "PATCH", "/users/{id}", "Change a user", tag, write, 0, true},
		func(ctx context.Context, in *change) (*UserAnswer, error) {
			version, err := in.version()
			if err != nil {
				return nil, err
			}
			if in.Body.Role != nil {
				if err := in.needs(adminapi.ScopeWrite, "changing a role"); err != nil {
					return nil, err
				}
			}
			u, err := ops.Change(ctx, in.actor, in.ID, userChange(in.Body, version))
			return userAnswer(u), err
		})
	type ended struct{ Body adminapi.Ended }
	register(api, operation{
		"remove-user", "DELETE", "/users/{id}", "Remove a user and everything about them", tag, write, 0, false,
	}, func(ctx context.Context, in *OnUser) (*ended, error) {
		n, err := ops.Remove(ctx, in.actor, in.ID)
		return &ended{adminapi.Ended{Sessions: n}}, err
	})
	register(api, operation{
		"disable-user", "POST", "/users/{id}/disable", "Disable a user: sessions and tokens end", tag, write, 0, false,
	}, func(ctx context.Context, in *OnUser) (*ended, error) {
		n, already, err := ops.Disable(ctx, in.actor, in.ID)
		return &ended{adminapi.Ended{Sessions: n, Already: already}}, err
	})
	register(api, operation{"enable-user", "POST", "/users/{id}/enable", "Enable a disabled user", tag, write, 0, false},
		func(ctx context.Context, in *OnUser) (*UserAnswer, error) {
			if err := ops.Enable(ctx, in.actor, in.ID); err != nil {
				return nil, err
			}
			u, err := ops.Get(ctx, in.actor, in.ID)
			return userAnswer(u), err
		})
	type order struct {
		OfID
		Body adminapi.RecoveryLinkOrder
	}
	type link struct{ Body adminapi.RecoveryLink }
	register(api, operation{
		"make-recovery-link", "POST", "/users/{id}/recovery-link", "Make a link for a user who lost all passkeys", tag, write,
		201, false,
	}, func(ctx context.Context, in *order) (*link, error) {
		made, err := ops.OrderRecovery(ctx, in.actor, in.ID, recovery.Order{
			TTL: time.Duration(in.Body.TTL) * time.Second, PIN: in.Body.PIN, Second: in.Body.Second,
		})
		return &link{adminapi.RecoveryLink{
			Link: made.Link.Reveal(), PIN: made.PIN.Reveal(), Until: made.Until.UTC(), Second: made.Second,
		}}, err
	})
	register(api, operation{
		"approve-recovery-link", "POST", "/users/{id}/recovery-link/approve", "Approve another admin's recovery link", tag,
		write, http.StatusNoContent, false,
	}, func(ctx context.Context, in *OfID) (*Empty, error) {
		return &Empty{}, ops.ApproveRecovery(ctx, in.actor, in.ID)
	})
}

// mayGive returns a problem if the token is not enough to give a new user this role and these groups.
func (b *By) mayGive(role string, groups []string) error {
	if role != "" && role != "none" {
		if err := b.needs(adminapi.ScopeWrite, "giving a role"); err != nil {
			return err
		}
	}
	if len(groups) > 0 {
		return b.needs(adminapi.ScopeGroupsWrite, "putting a user into groups")
	}
	return nil
}

// roleOf returns the role with a name that the schema allows.
func roleOf(name string) directory.Role {
	role, _ := directory.ParseRole(name)
	return role
}

func newUser(u adminapi.NewUser) admin.NewUser {
	return admin.NewUser{
		Email: u.Email, Name: u.Name, Role: roleOf(u.Role), EmailVerified: u.EmailVerified, Groups: u.Groups,
		Profile: wire.ProfileOf(u.Profile),
	}
}

func userChange(c adminapi.UserChange, version time.Time) admin.UserChange {
	out := admin.UserChange{Name: c.Name, Email: c.Email, EmailVerified: c.EmailVerified, Version: version}
	if c.Role != nil {
		role := roleOf(*c.Role)
		out.Role = &role
	}
	if c.Profile != nil {
		p := wire.ProfileOf(c.Profile)
		out.Profile = &p
	}
	return out
}
