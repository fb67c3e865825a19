package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/roster"
)

// Users are the operations on users.
type Users struct{ office }

// A NewUser is the input for a new user.
type NewUser struct {
	Email         string         `json:"email"`
	Name          string         `json:"name,omitempty"` // empty: the part of the address before the @
	Role          directory.Role `json:"role,omitempty"`
	EmailVerified bool           `json:"email_verified,omitempty"`
	Groups        []string       `json:"groups,omitempty"` // names
	Profile       idp.Profile    `json:"profile,omitzero"`
	// Managed is what the directory keeps that creates the user over SCIM; nil: none does.
	Managed *directory.Managed `json:"-"`
}

// A UserChange is the input for a changed user. Nil leaves a field as it is.
type UserChange struct {
	Name          *string
	Email         *string
	EmailVerified *bool
	Role          *directory.Role
	Profile       *idp.Profile
	Groups        *[]string // names; exactly these
	Managed       *directory.Managed
	// Version is the UpdatedAt of the user as the caller read it; zero: whatever it is now.
	Version time.Time
}

// Limits of an invitation's lifetime.
const (
	MinInvitation = 5 * time.Minute
	MaxInvitation = 7 * 24 * time.Hour
)

// Get returns a user with groups and claims; idp.ErrNotFound.
func (s *Users) Get(ctx context.Context, by Actor, id string) (idp.User, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return idp.User{}, err
	}
	u, err := s.cfg.DB.UserByID(ctx, id)
	if err != nil {
		return u, err
	}
	u.Membership, err = s.cfg.DB.MembershipOf(ctx, id)
	return u, err
}

// Find returns the user with this e-mail address or ID; idp.ErrNotFound.
func (s *Users) Find(ctx context.Context, by Actor, name string) (idp.User, error) {
	if email, ok := directory.NormalizeEmail(name); ok {
		u, err := s.cfg.DB.UserByEmail(ctx, email)
		if err != nil {
			return u, err
		}
		name = u.ID
	}
	return s.Get(ctx, by, name)
}

// List returns users in the order of their creation, after the one with that ID; "" begins at the first.
func (s *Users) List(ctx context.Context, by Actor, afterID string, limit int) ([]idp.User, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.cfg.DB.Users(ctx, afterID, limit)
}

// build returns the user that the input describes, and the IDs of the groups.
func (s *Users) build(ctx context.Context, role directory.Role, in NewUser) (u idp.User, groupIDs []string, err error) {
	var faults directory.Faults
	email, ok := directory.NormalizeEmail(in.Email)
	if !ok {
		faults = append(faults, directory.Fault{Field: "email", Text: fmt.Sprintf("%q is not an e-mail address", in.Email)})
	}
	local, _, _ := strings.Cut(email, "@")
	name, ok := directory.NormalizeName(cmp.Or(in.Name, local))
	if !ok && (in.Name != "" || email != "") {
		faults = append(faults, directory.Fault{Field: "name", Text: "must be 1 to 80 characters"})
	}
	if !in.Role.Known() {
		faults = append(faults, directory.Fault{Field: "role", Text: "must be none, auditor, support, admin or owner"})
	}
	groupIDs, missing, err := s.groupIDs(ctx, in.Groups)
	if err != nil {
		return u, nil, err
	}
	faults = append(faults, missing...)
	if err := faults.Err(); err != nil {
		return u, nil, err
	}
	if in.Role.Above(role) {
		return u, nil, &Denied{"higher_role", "the role " + role.Name() + " cannot make anybody " + in.Role.Name()}
	}
	u = idp.NewUser(email, name, after(time.Time{}))
	u.EmailVerified, u.Role, u.Profile = in.EmailVerified, in.Role, in.Profile
	return u, groupIDs, nil
}

// groupIDs returns the IDs of the groups with these names, and a fault for each that there is not.
func (o office) groupIDs(ctx context.Context, names []string) (ids []string, faults directory.Faults, err error) {
	if len(names) > directory.MaxMemberships {
		return nil, directory.Faults{{Field: "groups", Text: "are too many"}}, nil
	}
	for _, name := range names {
		g, err := o.roster.GroupByName(ctx, name)
		switch {
		case errors.Is(err, idp.ErrNotFound):
			faults = append(faults, directory.Fault{Field: "groups", Text: fmt.Sprintf("there is no group %q", name)})
		case err != nil:
			return nil, nil, err
		case !slices.Contains(ids, g.ID):
			ids = append(ids, g.ID)
		}
	}
	return ids, faults, nil
}

// Check returns the user that Create would add, without adding them or looking whether the address is taken.
func (s *Users) Check(ctx context.Context, by Actor, in NewUser) (idp.User, error) {
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return idp.User{}, err
	}
	u, _, err := s.build(ctx, role, in)
	return u, err
}

var emailTaken = directory.Faults{{Field: "email", Text: "belongs to another user already"}}

// Create adds a user, who is invited later.
func (s *Users) Create(ctx context.Context, by Actor, in NewUser) (idp.User, error) {
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return idp.User{}, err
	}
	u, groupIDs, err := s.build(ctx, role, in)
	if err != nil {
		return u, err
	}
	err = s.roster.AddUsers(ctx, roster.NewUser{
		User: u, GroupIDs: groupIDs, Also: keepUser(u.ID, in.Managed),
		Events: []idp.Event{s.event(by, idp.EventUserCreated, u.ID)},
	})
	if errors.Is(err, idp.ErrConflict) {
		return u, emailTaken
	}
	return u, err
}

// An Invitation is the result of Invite.
type Invitation struct {
	User  idp.User
	Link  idp.Secret // gives the account to the first browser that opens it
	Until time.Time
	New   bool // the user was created
}

// Invite creates a user, or finds the one with this address who has no passkey yet, and makes a one-time link. If
// mailed, the link goes to the address, and opening it confirms that. Of a user who exists, it changes nothing but that
// the address may become confirmed.
func (s *Users) Invite(ctx context.Context, by Actor, in NewUser, ttl time.Duration, mailed bool) (Invitation, error) {
	role, err := s.admit(ctx, by, changing)
	switch {
	case err != nil:
		return Invitation{}, err
	case ttl < MinInvitation || ttl > MaxInvitation:
		return Invitation{}, directory.Faults{{Field: "ttl", Text: "must be between 5m and 168h"}}
	case mailed && !s.mails():
		return Invitation{}, directory.Faults{{Field: "mail", Text: "needs smtp-url; without it, send the link yourself"}}
	}
	u, groupIDs, err := s.build(ctx, role, in)
	if err != nil {
		return Invitation{}, err
	}
	inv := Invitation{User: u, Until: time.Now().Add(ttl), New: true}
	link, row := enrol.NewInvitation(s.cfg.Issuer, u, ttl, mailed)
	err = s.roster.AddUsers(ctx, roster.NewUser{
		User: u, GroupIDs: groupIDs, Link: &row, Also: keepUser(u.ID, in.Managed),
		Events: []idp.Event{s.event(by, idp.EventUserCreated, u.ID), s.event(by, idp.EventUserInvited, u.ID)},
	})
	if errors.Is(err, idp.ErrConflict) && in.Managed != nil { // a directory creates; it takes nobody over
		return Invitation{}, emailTaken
	}
	if errors.Is(err, idp.ErrConflict) {
		inv.New = false
		inv.User, link, err = s.inviteAgain(ctx, by, role, u, ttl, mailed)
	}
	if err != nil {
		return Invitation{}, err
	}
	inv.Link = link
	if mailed {
		err = s.mailTo(ctx, cmp.Or(in.Profile.Locale, inv.User.Profile.Locale), func(w mail.Writer) mail.Message {
			return w.Invitation(u.Email, link, inv.Until)
		})
	}
	return inv, err
}

// inviteAgain makes another link for a user who exists.
func (s *Users) inviteAgain(
	ctx context.Context, by Actor, role directory.Role, want idp.User, ttl time.Duration, mailed bool,
) (idp.User, idp.Secret, error) {
	fault := func(text string) error { return directory.Faults{{Field: "email", Text: text}} }
	u, err := s.cfg.DB.UserByEmail(ctx, want.Email)
	if err != nil {
		return u, "", err
	}
	keys, err := s.cfg.DB.PasskeysOf(ctx, u.ID)
	switch {
	case err != nil:
		return u, "", fmt.Errorf("find passkeys: %w", err)
	case u.Disabled():
		return u, "", fault("belongs to a disabled user")
	case want.Role != directory.RoleUser && want.Role != u.Role:
		return u, "", fault("belongs to a user with another role: this user already exists and is not " + want.Role.Name())
	case len(keys) > 0:
		return u, "", ErrHasPasskey
	}
	if err := takeOver(role, u); err != nil {
		return u, "", err
	}
	if want.EmailVerified && !u.EmailVerified {
		now := time.Now()
		if err := s.cfg.DB.VerifyEmail(ctx, u.ID, u.Email, now, s.event(by, idp.EventEmailVerified, u.ID)); err != nil {
			return u, "", fmt.Errorf("confirm address: %w", err)
		}
	}
	invite := enrol.Invite
	if mailed {
		invite = enrol.InviteByMail
	}
	link, err := invite(ctx, s.cfg.DB, s.cfg.Issuer, u, ttl, s.event(by, idp.EventUserInvited, u.ID))
	return u, link, err
}

// Change changes a user. idp.ErrNotFound, ErrStale.
func (s *Users) Change(ctx context.Context, by Actor, id string, c UserChange) (idp.User, error) {
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return idp.User{}, err
	}
	was, err := s.cfg.DB.UserByID(ctx, id)
	if err != nil {
		return was, err
	}
	if !c.Version.IsZero() && !was.UpdatedAt.Equal(c.Version) {
		return was, ErrStale
	}
	u, fields, faults := c.apply(was)
	var groupIDs *[]string
	if c.Groups != nil {
		ids, missing, err := s.groupIDs(ctx, *c.Groups)
		if err != nil {
			return was, err
		}
		groupIDs, fields, faults = &ids, append(fields, "groups"), append(faults, missing...)
	}
	if err := faults.Err(); err != nil {
		return was, err
	}
	if err := s.touch(by, role, was); err != nil && (len(fields) > 0 || c.Managed == nil) {
		return was, err
	}
	if c.Managed != nil { // what a directory keeps is not of the account: it may keep it of anybody
		fields = append(fields, "directory")
	}
	if u.Role != was.Role {
		if err := s.free(ctx, by, declared.Role, id); err != nil {
			return was, err
		}
	}
	if c.Role != nil && (u.Role.Above(role) || u.ID == by.UserID && u.Role.Above(was.Role)) {
		return was, &Denied{"own_role", "the role " + role.Name() + " cannot make anybody " + u.Role.Name()}
	}
	if u.Email != was.Email || u.EmailVerified && !was.EmailVerified {
		if err := takeOver(role, was); err != nil && u.ID != by.UserID {
			return was, err
		}
	}
	if len(fields) == 0 {
		return was, nil
	}
	if err := s.confirmedBefore(ctx, was, &u); err != nil {
		return was, err
	}
	u.UpdatedAt = after(was.UpdatedAt)
	undo, hash := idp.NewSecret(), ""
	if s.mails() {
		hash = undo.Hash()
	}
	err = s.roster.SyncUser(ctx,
		roster.UserChange{Was: was, Now: u, GroupIDs: groupIDs, Undo: hash, Also: keepUser(u.ID, c.Managed)},
		s.event(by, idp.EventUserChanged, u.ID, "fields", strings.Join(fields, " ")))
	if errors.Is(err, idp.ErrConflict) {
		other, look := s.cfg.DB.UserByEmail(ctx, u.Email)
		if look == nil && other.ID != u.ID {
			return was, emailTaken
		}
		return was, ErrStale
	}
	if err != nil {
		return u, denial(err)
	}
	return u, s.tellChanged(ctx, was, u, undo)
}

// apply returns the changed user, and the names of the changed fields.
func (c UserChange) apply(u idp.User) (_ idp.User, fields []string, faults directory.Faults) {
	if c.Name != nil {
		name, ok := directory.NormalizeName(*c.Name)
		if !ok {
			faults = append(faults, directory.Fault{Field: "name", Text: "must be 1 to 80 characters"})
		}
		u.Name, fields = name, append(fields, "name")
	}
	if c.Email != nil {
		email, ok := directory.NormalizeEmail(*c.Email)
		if !ok {
			faults = append(faults, directory.Fault{Field: "email", Text: fmt.Sprintf("%q is not an e-mail address", *c.Email)})
		} else if email != u.Email {
			u.Email, u.EmailVerified, fields = email, false, append(fields, "email")
		}
	}
	if c.EmailVerified != nil {
		u.EmailVerified, fields = *c.EmailVerified, append(fields, "email_verified")
	}
	if c.Role != nil {
		if !c.Role.Known() {
			faults = append(faults, directory.Fault{Field: "role", Text: "must be none, auditor, support, admin or owner"})
		}
		u.Role, fields = *c.Role, append(fields, "role")
	}
	if c.Profile != nil {
		u.Profile, fields = *c.Profile, append(fields, "profile")
	}
	return u, fields, faults
}

// reach returns a user whom the actor may change.
func (s *Users) reach(ctx context.Context, by Actor, p power, id string) (idp.User, directory.Role, error) {
	role, err := s.admit(ctx, by, p)
	if err != nil {
		return idp.User{}, role, err
	}
	u, err := s.cfg.DB.UserByID(ctx, id)
	if err != nil {
		return u, role, err
	}
	return u, role, s.touch(by, role, u)
}

// Disable closes an account, revokes its tokens and ends its sessions. already: it was disabled before, and what was
// left of its sessions has ended now. If err is not nil although the account is disabled, sessions remain: call it
// again.
func (s *Users) Disable(ctx context.Context, by Actor, id string) (sessions int, already bool, err error) {
	u, _, err := s.reach(ctx, by, changing, id)
	if err != nil {
		return 0, false, err
	}
	err = s.cfg.DB.DisableUser(ctx, u.ID, time.Now(), s.event(by, idp.EventUserDisabled, u.ID))
	already = errors.Is(err, idp.ErrNotFound) // an earlier attempt may have left sessions behind
	if err != nil && !already {
		return 0, false, denial(err)
	}
	// End the sessions last: sign-ins are refused from now on, so no new session can begin meanwhile.
	ended, err := s.endSessions(ctx, u.ID)
	if err != nil {
		return len(ended), already, fmt.Errorf(
			"the account is disabled and its tokens are revoked, but sessions remain; run this again: %w", err,
		)
	}
	return len(ended), already, nil
}

// ErrNotDisabled says that the user or client is enabled already.
var ErrNotDisabled = errors.New("not disabled")

// Enable enables a disabled account; ErrNotDisabled.
func (s *Users) Enable(ctx context.Context, by Actor, id string) error {
	u, _, err := s.reach(ctx, by, changing, id)
	if err != nil {
		return err
	}
	err = s.cfg.DB.EnableUser(ctx, u.ID, time.Now(), s.event(by, idp.EventUserEnabled, u.ID))
	if errors.Is(err, idp.ErrNotFound) {
		return ErrNotDisabled
	}
	return err
}

// Remove erases a user, and ends their sessions. Their events stay, without what says who they were.
func (s *Users) Remove(ctx context.Context, by Actor, id string) (sessions int, err error) {
	u, _, err := s.reach(ctx, by, changing, id)
	if err != nil {
		return 0, err
	}
	if err := s.erase(ctx, u, s.event(by, idp.EventUserRemoved, u.ID)); err != nil {
		return 0, err
	}
	ended, err := s.endSessions(ctx, u.ID)
	if err != nil {
		return len(ended), fmt.Errorf("the user is removed; their sessions open nothing any more and end by themselves: %w",
			err)
	}
	return len(ended), nil
}

// SignOut ends all sessions of a user and the tokens issued in them. What applications got with offline_access stays.
func (s *Users) SignOut(ctx context.Context, by Actor, id string) (sessions int, err error) {
	u, _, err := s.reach(ctx, by, supporting, id)
	if err != nil {
		return 0, err
	}
	ended, err := s.endSessions(ctx, u.ID)
	if err != nil {
		return len(ended), err
	}
	for _, sid := range ended {
		if err := s.endTokens(ctx, by, u.ID, sid); err != nil {
			return len(ended), err
		}
	}
	if len(ended) == 0 { // the event says that somebody wanted it
		err = s.cfg.DB.RecordEvents(ctx, s.event(by, idp.EventSessionRevoked, u.ID))
	}
	return len(ended), err
}

// RevokeApplication takes back what a user allowed a client; idp.ErrNotFound if there is nothing.
func (s *Users) RevokeApplication(ctx context.Context, by Actor, id, clientID string) error {
	u, _, err := s.reach(ctx, by, changing, id)
	if err != nil {
		return err
	}
	ev := s.event(by, idp.EventConsentRevoked, u.ID)
	ev.ClientID = clientID
	return s.cfg.DB.RemoveGrant(ctx, u.ID, clientID, ev)
}

// Reasons why an account cannot be recovered, or invited, now.
var (
	ErrHasPasskey = errors.New("this user already has a passkey")
	ErrNoPasskey  = errors.New("this user has no passkey yet")
	ErrDisabled   = errors.New("this user is disabled")
)
