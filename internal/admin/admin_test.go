package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

type house struct {
	*testing.T
	ctx       context.Context
	db        *store.DB
	ephemeral ephemeral.Store
	*admin.Operations
	users map[directory.Role]idp.User
}

// open returns the operations over real stores, and a user with a passkey for each role.
func open(t *testing.T, change ...func(*admin.Config)) *house {
	t.Helper()
	eph, err := ephemeral.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "ephemeral.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eph.Close() })
	h := &house{T: t, ctx: t.Context(), db: storetest.Open(t), ephemeral: eph, users: map[directory.Role]idp.User{}}
	c := admin.Config{
		DB: h.db, Ephemeral: eph, Issuer: "https://id.example.com",
		Policy: idp.Policy{Scopes: map[string]idp.Scope{"openid": {}, "profile": {}, "groups": {}, "payouts": {Name: "payouts"}}},
	}
	for _, f := range change {
		f(&c)
	}
	h.Operations = admin.New(c)
	for _, role := range directory.Roles {
		h.users[role] = h.user(role.Name()+"@example.org", role)
	}
	return h
}

// user adds a user with a passkey.
func (h *house) user(email string, role directory.Role) idp.User {
	h.Helper()
	u, err := h.Users.Create(h.ctx, admin.Operator(), admin.NewUser{Email: email, Role: role})
	h.must(err)
	h.must(h.db.AddPasskey(h.ctx, idp.Passkey{
		ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(email), PublicKey: []byte{1}, CreatedAt: time.Now(),
	}))
	return u
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// as is the actor with a role, at the console, who has just confirmed.
func (h *house) as(role directory.Role) admin.Actor {
	return admin.Actor{Channel: admin.ChannelConsole, UserID: h.users[role].ID, ConfirmedAt: time.Now()}
}

// denied checks that err is a denial by a rule; "" if there must be no error.
func (h *house) denied(name string, err error, rule string) {
	h.Helper()
	d, ok := errors.AsType[*admin.Denied](err)
	switch {
	case rule == "" && err != nil:
		h.Errorf("%s: %v", name, err)
	case rule != "" && (!ok || d.Rule != rule):
		h.Errorf("%s: %v, want a denial by %s", name, err, rule)
	}
}

func TestWhatEachRoleMayDo(t *testing.T) {
	h := open(t)
	target := h.user("target@example.org", directory.RoleUser)
	operations := []struct {
		name string
		do   func(admin.Actor) error
		may  []directory.Role
	}{
		{"read", func(by admin.Actor) error { _, err := h.Users.List(h.ctx, by, "", 10); return err }, directory.Roles[1:]},
		{
			"recovery link",
			func(by admin.Actor) error {
				_, _, err := h.Users.RecoveryLink(h.ctx, by, target.ID, time.Hour)
				return err
			},
			directory.Roles[2:],
		},
		{"sign out", func(by admin.Actor) error { _, err := h.Users.SignOut(h.ctx, by, target.ID); return err }, directory.Roles[2:]},
		{
			"change", func(by admin.Actor) error {
				_, err := h.Users.Change(h.ctx, by, target.ID, admin.UserChange{Name: ptr("Target " + by.UserID[30:])})
				return err
			}, directory.Roles[3:],
		},
		{
			"group", func(by admin.Actor) error {
				_, err := h.Groups.Create(h.ctx, by, admin.GroupInput{Name: "g" + by.UserID})
				return err
			}, directory.Roles[3:],
		},
		{
			"claim", func(by admin.Actor) error {
				_, err := h.Claims.Define(h.ctx, by, directory.Claim{Name: "tier", Type: "string", Scope: "profile"})
				return err
			}, directory.Roles[3:],
		},
		{
			"client", func(by admin.Actor) error {
				return h.Clients.Add(h.ctx, by, idp.Client{
					ID: "c" + by.UserID, Name: "C", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone,
					GrantTypes: []string{idp.GrantAuthorizationCode}, RedirectURIs: []string{"https://c.example/cb"}, Scopes: []string{"openid"},
				})
			}, directory.Roles[3:],
		},
	}
	for _, op := range operations {
		for _, role := range directory.Roles {
			rule := "role"
			for _, may := range op.may {
				if may == role {
					rule = ""
				}
			}
			h.denied(op.name+" by "+role.Name(), op.do(h.as(role)), rule)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestNobodyRaisesThemselvesOrTouchesAHigherRole(t *testing.T) {
	h := open(t)
	change := func(by, target directory.Role, c admin.UserChange) error {
		_, err := h.Users.Change(h.ctx, h.as(by), h.users[target].ID, c)
		return err
	}
	h.denied("admin to owner", change(directory.RoleAdmin, directory.RoleAdmin, admin.UserChange{Role: ptr(directory.RoleOwner)}), "own_role")
	h.denied("user to owner", change(directory.RoleAdmin, directory.RoleUser, admin.UserChange{Role: ptr(directory.RoleOwner)}), "own_role")
	h.denied("owner's name", change(directory.RoleAdmin, directory.RoleOwner, admin.UserChange{Name: ptr("X")}), "higher_role")
	_, _, err := h.Users.Disable(h.ctx, h.as(directory.RoleAdmin), h.users[directory.RoleOwner].ID)
	h.denied("disable an owner", err, "higher_role")
	_, err = h.Users.Remove(h.ctx, h.as(directory.RoleAdmin), h.users[directory.RoleOwner].ID)
	h.denied("remove an owner", err, "higher_role")
	_, err = h.Users.Create(h.ctx, h.as(directory.RoleAdmin), admin.NewUser{Email: "new@example.org", Role: directory.RoleOwner})
	h.denied("a new owner", err, "higher_role")
	other := h.user("admin2@example.org", directory.RoleAdmin)
	_, _, err = h.Users.RecoveryLink(h.ctx, h.as(directory.RoleAdmin), other.ID, time.Hour)
	h.denied("the account of another admin", err, "higher_role")
	_, err = h.Users.Change(h.ctx, h.as(directory.RoleAdmin), other.ID, admin.UserChange{Email: ptr("mine@example.org")})
	h.denied("the address of another admin", err, "higher_role")
	_, _, err = h.Users.RecoveryLink(h.ctx, h.as(directory.RoleSupport), h.users[directory.RoleAuditor].ID, time.Hour)
	h.denied("support and an auditor", err, "higher_role")
	h.denied("admin makes an admin", change(directory.RoleAdmin, directory.RoleUser, admin.UserChange{Role: ptr(directory.RoleAdmin)}), "")
	h.denied("owner makes an owner", change(directory.RoleOwner, directory.RoleAdmin, admin.UserChange{Role: ptr(directory.RoleOwner)}), "")
}

func TestTheLastOwnerStays(t *testing.T) {
	h := open(t)
	owner := h.users[directory.RoleOwner].ID
	_, err := h.Users.Change(h.ctx, h.as(directory.RoleOwner), owner, admin.UserChange{Role: ptr(directory.RoleAdmin)})
	h.denied("demote", err, "last_owner")
	_, _, err = h.Users.Disable(h.ctx, admin.Operator(), owner)
	h.denied("disable", err, "last_owner")
	_, err = h.Users.Remove(h.ctx, admin.Operator(), owner)
	h.denied("remove", err, "last_owner")
	h.user("second@example.org", directory.RoleOwner)
	_, err = h.Users.Remove(h.ctx, admin.Operator(), owner)
	h.denied("remove one of two", err, "")
}

func TestADisabledAdminMayDoNothingAndAChangeNeedsARecentConfirmation(t *testing.T) {
	h := open(t)
	by := h.as(directory.RoleAdmin)
	by.ConfirmedAt = time.Now().Add(-admin.ConfirmFor - time.Second)
	_, err := h.Groups.Create(h.ctx, by, admin.GroupInput{Name: "a"})
	h.denied("an old confirmation", err, "step_up")
	_, err = h.Groups.List(h.ctx, by, "", 1)
	h.denied("reading", err, "")
	_, _, err = h.Users.Disable(h.ctx, admin.Operator(), by.UserID)
	h.must(err)
	for _, op := range []func() error{
		func() error { _, err := h.Groups.List(h.ctx, by, "", 1); return err },
		func() error {
			_, err := h.Groups.Create(h.ctx, h.as(directory.RoleAdmin), admin.GroupInput{Name: "a"})
			return err
		},
	} {
		h.denied("a disabled admin", op(), "disabled")
	}
	_, err = h.Groups.Create(h.ctx, admin.Actor{Channel: admin.ChannelAPI, ClientID: "robot"}, admin.GroupInput{Name: "a"})
	h.denied("a client without a role", err, "role")
	_, err = h.Groups.Create(h.ctx, admin.Actor{Channel: admin.ChannelAPI}, admin.GroupInput{Name: "a"})
	h.denied("nobody", err, "role")
	_, err = h.Groups.Create(h.ctx, admin.Actor{Channel: admin.ChannelAPI, ClientID: "robot", Role: directory.RoleAdmin}, admin.GroupInput{Name: "a"})
	h.denied("a client with a role", err, "")
}

func TestEachFaultOfAnInputNamesItsField(t *testing.T) {
	h := open(t)
	op := admin.Operator()
	faults := func(name string, err error, fields ...string) {
		t.Helper()
		f, ok := errors.AsType[directory.Faults](err)
		for _, field := range fields {
			if !ok || !f.Has(field) {
				t.Errorf("%s: %v, want a fault in %s", name, err, field)
			}
		}
	}
	_, err := h.Users.Create(h.ctx, op, admin.NewUser{Email: "no", Name: "\u202e", Role: "king", Groups: []string{"none"}})
	faults("user", err, "email", "name", "role", "groups")
	_, err = h.Users.Create(h.ctx, op, admin.NewUser{Email: "OWNER@example.org"})
	faults("taken address", err, "email")
	for _, name := range []string{"", " a", "a,b", "ad\u200bmins", "\u202eadmins", "a\u00adb", "a\nb", "\u3164", strings.Repeat("a", 101), "a\xff", "e\u0301"} {
		_, err = h.Groups.Create(h.ctx, op, admin.GroupInput{Name: name})
		faults("group "+name, err, "name")
	}
	g, err := h.Groups.Create(h.ctx, op, admin.GroupInput{Name: "Admins"})
	h.must(err)
	_, err = h.Groups.Create(h.ctx, op, admin.GroupInput{Name: "ａｄｍｉｎｓ"})
	faults("a name in another spelling", err, "name")
	faults("a group in itself", h.Groups.Nest(h.ctx, op, g.ID, g.ID), "within")
	_, err = h.Claims.Define(h.ctx, op, directory.Claim{Name: "sub", Type: "text", Scope: "openid", SeenBy: []directory.Party{"all"}, EditedBy: []directory.Party{"user"}})
	faults("claim", err, "name", "type", "scope", "seen_by", "edited_by")
	_, err = h.Claims.Define(h.ctx, op, directory.Claim{Name: "tier", Type: "string", Scope: "payouts", SeenBy: directory.Parties, EditedBy: []directory.Party{"scim"}})
	h.must(err)
	faults("a claim for directories", h.Claims.SetUser(h.ctx, op, h.users[""].ID, map[string]json.RawMessage{"tier": json.RawMessage(`"x"`), "no": nil}), "tier", "no")
	h.must(h.Claims.SetUser(h.ctx, admin.Actor{Channel: admin.ChannelSCIM, ClientID: "d", Role: directory.RoleAdmin}, h.users[""].ID, map[string]json.RawMessage{"tier": json.RawMessage(`"x"`)}))
	err = h.Clients.Add(h.ctx, op, idp.Client{ID: "c", AllowedGroups: []string{"admins", "none"}})
	faults("client", err, "allowed_groups", "client_name")
}

func TestAGroupThatAClientNamesIsNeitherRenamedNorRemoved(t *testing.T) {
	h := open(t)
	op := admin.Operator()
	g, err := h.Groups.Create(h.ctx, op, admin.GroupInput{Name: "dev"})
	h.must(err)
	c := idp.Client{
		ID: "c", Name: "C", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, Scopes: []string{"openid"},
		GrantTypes: []string{idp.GrantAuthorizationCode}, RedirectURIs: []string{"https://c.example/cb"}, AllowedGroups: []string{"dev"},
	}
	h.must(h.Clients.Add(h.ctx, op, c))
	if _, err := h.Groups.Change(h.ctx, op, g.ID, admin.GroupInput{Name: "ops"}, time.Time{}); err == nil {
		t.Error("renamed")
	}
	if err := h.Groups.Remove(h.ctx, op, g.ID); err == nil {
		t.Error("removed")
	}
	changed, err := h.Groups.Change(h.ctx, op, g.ID, admin.GroupInput{Name: "dev", Description: "Developers"}, g.UpdatedAt)
	h.must(err)
	if _, err := h.Groups.Change(h.ctx, op, g.ID, admin.GroupInput{Name: "dev"}, g.UpdatedAt); !errors.Is(err, admin.ErrStale) {
		t.Errorf("an outdated version: %v", err)
	}
	c.AllowedGroups = nil
	_, err = h.Clients.Change(h.ctx, op, "c", c, time.Time{})
	h.must(err)
	h.must(h.Groups.Remove(h.ctx, op, changed.ID))
}

func TestAnOperationIsRecordedWithItsActor(t *testing.T) {
	h := open(t)
	by := h.as(directory.RoleOwner)
	by.Address, by.RequestID = "192.0.2.1", "r1"
	inv, err := h.Users.Invite(h.ctx, by, admin.NewUser{Email: "new@example.org"}, time.Hour, false)
	h.must(err)
	events, err := h.db.EventsOf(h.ctx, inv.User.ID, 10)
	h.must(err)
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	for _, e := range events {
		if e.ActorID != by.UserID || e.Address != "192.0.2.1" || e.RequestID != "r1" || e.Detail["by"] != "console" {
			t.Errorf("%+v", e)
		}
	}
}

func TestAFileWithAFaultInItsLastRowInvitesNobody(t *testing.T) {
	h := open(t)
	op := admin.Operator()
	_, err := h.Groups.Create(h.ctx, op, admin.GroupInput{Name: "dev"})
	h.must(err)
	var file strings.Builder
	file.WriteString("\ufeffemail,name,groups\n")
	const rows = 100_000
	for i := range rows - 1 {
		file.WriteString("p" + strconv.Itoa(i) + "@example.org,P,\n")
	}
	nobody := func(admin.Invitation) error { t.Error("invited"); return nil }
	p, err := h.Users.Import(h.ctx, op, strings.NewReader(file.String()+"p7@example.org,P,ops; dev\n"), time.Hour, false, nobody)
	if !errors.Is(err, admin.ErrWrongRows) || p.Rows != rows || p.Wrong != 1 || p.Faults[0].Row != rows || p.Faults[0].Line != rows+1 || len(p.Faults[0].Faults) != 2 {
		t.Errorf("%v: %d rows, %d wrong, %+v", err, p.Rows, p.Wrong, p.Faults)
	}
	if _, err := h.Users.Preview(h.ctx, op, strings.NewReader(file.String()+"a@example.org,A,\nb@example.org,B,\n")); err == nil {
		t.Error("more rows than allowed")
	}
	users, err := h.Users.List(h.ctx, op, "", 100)
	h.must(err)
	if len(users) != len(directory.Roles) {
		t.Errorf("%d users", len(users))
	}
}

func TestAFileInvitesEverybodyInIt(t *testing.T) {
	h := open(t)
	op := admin.Operator()
	_, err := h.Groups.Create(h.ctx, op, admin.GroupInput{Name: "dev"})
	h.must(err)
	var links []string
	_, err = h.Users.Import(h.ctx, op, strings.NewReader("email,groups,role\na@example.org,dev,\nb@example.org,,auditor\n"), time.Hour, false,
		func(inv admin.Invitation) error { links = append(links, inv.Link.Reveal()); return nil })
	h.must(err)
	a, err := h.Users.Find(h.ctx, op, "a@example.org")
	h.must(err)
	b, err := h.Users.Find(h.ctx, op, "b@example.org")
	h.must(err)
	if len(links) != 2 || !strings.Contains(links[0], "/enrol#") || len(a.Membership.Groups) != 1 || b.Role != directory.RoleAuditor {
		t.Errorf("%d links, groups %v, role %q", len(links), a.Membership.Groups, b.Role)
	}
	for _, bad := range []string{"", "name\nA\n", "email,email\na,b\n", "email\n\"a", "email,name\na@example.org\n", "email\nb@example.org\n"} {
		p, err := h.Users.Preview(h.ctx, op, strings.NewReader(bad))
		if err == nil && p.Wrong == 0 {
			t.Errorf("%q has no fault", bad)
		}
	}
	p, err := h.Users.Preview(h.ctx, h.as(directory.RoleAdmin), strings.NewReader("email,role\nc@example.org,owner\n"))
	if err != nil || p.Wrong != 1 || !p.Faults[0].Faults.Has("role") {
		t.Errorf("an owner made by an admin: %v %+v", err, p)
	}
}
