package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/lookup"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const (
	usersPath = Path + "/users"
	// invitationTTL and recoveryTTL are how long links made here work.
	invitationTTL = 72 * time.Hour
	recoveryTTL   = time.Hour
	// shownEvents are those on the page of a user; the rest is a link away.
	shownEvents = 10
)

// users has the pages of people.
type users struct{ *Console }

func (c users) mount(m desk.Mounting) {
	m.Get("GET "+usersPath, c.list)
	m.Get("GET "+usersPath+"/invite", c.showInvite)
	m.Post("POST "+usersPath+"/invite", "reason.people", usersPath+"/invite", c.invite)
	m.Get("GET "+usersPath+"/{id}", c.show)
	change := func(name string, h desk.Handler) {
		m.Post("POST "+usersPath+"/{id}/"+name, "reason.people", usersPath, h)
	}
	change("edit", c.edit)
	change("signout", c.signOut)
	change("session", c.endSession)
	change("revoke", c.revoke)
	change("recovery", c.recover)
	change("disable", c.disable)
	change("enable", c.enable)
	change("remove", c.remove)
}

func userPath(id string, more ...string) string {
	return desk.LinkTo(usersPath+"/"+url.PathEscape(id), more...)
}

type userList struct {
	Users           []listedUser
	Query           string
	Newest, Further string
	Notice          words.Text
	May             bool
}

func (c users) list(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	q, after := desk.Query(r.URL.Query(), "q"), desk.Query(r.URL.Query(), "after")
	found, next, err := c.cfg.Operations.Users.Search(r.Context(), v.Actor, q, after, pageSize)
	if err != nil {
		return err
	}
	p := userList{Query: q, Notice: desk.Done(r), May: v.Changes()}
	for _, u := range found {
		lacks, err := c.lacks(r.Context(), u)
		if err != nil {
			return err
		}
		p.Users = append(p.Users, listedUser{u, lacks})
	}
	if next != "" {
		p.Further = desk.LinkTo(usersPath, "q", q, "after", next)
	}
	if after != "" {
		p.Newest = desk.LinkTo(usersPath, "q", q)
	}
	return c.render(w, r, v, "users", web.Page{Nav: "People", Data: p})
}

// A listedUser is a user with what their account lacks by the passkey rules.
type listedUser struct {
	idp.User
	Lacks int // passkeys
}

// lacks returns how many passkeys a user lacks by the operator's rules. A disabled account needs none.
func (c users) lacks(ctx context.Context, u idp.User) (int, error) {
	if c.cfg.Missing == nil || u.Disabled() {
		return 0, nil
	}
	n, err := c.cfg.Missing(ctx, u)
	if err != nil {
		return 0, fmt.Errorf("check passkeys: %w", err)
	}
	return n, nil
}

type userFormPage struct {
	desk.Form
	Mails bool
}

// roles returns the choices of a role.
func roles(on directory.Role) (list []desk.Choice) {
	for _, role := range directory.Roles {
		list = append(list, desk.Choice{Value: role.Name(), Text: words.T("console.role." + role.Name()), On: role == on})
	}
	return list
}

// userForm returns the form of a person.
func (c users) userForm(email, name string, role directory.Role, groups []string) desk.Form {
	return desk.Form{Sections: []desk.Section{{Open: true, Fields: []desk.Field{
		{Kind: desk.KindText, Name: "email", Key: "console.user.email", Value: email, Test: "user-email", Required: true},
		{Kind: desk.KindText, Name: "name", Key: "console.user.name", Value: name, Test: "user-name"},
		{Kind: desk.KindSelect, Name: "role", Key: "console.user.role", Choices: roles(role), Test: "user-role"},
		{
			Kind: desk.KindText, Name: "groups", Key: "console.user.groups", Value: strings.Join(groups, ", "),
			Example: "engineering, support", Test: "user-groups",
		},
	}}}}
}

func (c users) showInvite(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	role, _ := directory.ParseRole(r.URL.Query().Get("role"))
	if !role.Known() {
		role = directory.RoleUser
	}
	return c.render(w, r, v, "user-invite", web.Page{Nav: "People", Data: userFormPage{
		Form: c.userForm("", "", role, nil), Mails: c.cfg.Mails,
	}})
}

// A linkPage shows a one-time link, this once.
type linkPage struct {
	ID, Name, Email, Link string
	Until                 time.Time
	Mailed                bool
	Approve               string // where another admin approves it; empty: it works without
}

func (c users) invite(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	f := r.PostForm
	role, _ := directory.ParseRole(f.Get("role"))
	in := admin.NewUser{
		Email: f.Get("email"), Name: strings.TrimSpace(f.Get("name")), Role: role, Groups: desk.Listed(f.Get("groups")),
	}
	mailed := c.cfg.Mails && f.Get("mailed") != ""
	made, err := c.cfg.Operations.Users.Invite(r.Context(), v.Actor, in, invitationTTL, mailed)
	if errors.Is(err, admin.ErrHasPasskey) {
		err = directory.Faults{{Field: "email", Text: err.Error()}}
	}
	if faults, wrong := desk.FaultsOf(err); wrong {
		p := userFormPage{Form: c.userForm(in.Email, in.Name, role, in.Groups), Mails: c.cfg.Mails}
		p.Blame(faults, nil)
		return c.render(w, r, v, "user-invite", web.Page{Nav: "People", Status: http.StatusUnprocessableEntity, Data: p})
	}
	if err != nil {
		return err
	}
	p := linkPage{
		ID: made.User.ID, Name: made.User.Name, Email: made.User.Email, Link: made.Link.Reveal(), Until: made.Until,
		Mailed: mailed,
	}
	if mailed { // the link confirms the address: only its owner may have it
		p.Link = ""
	}
	return c.render(w, r, v, "user-invited", web.Page{Nav: "People", Once: true, Data: p})
}

type userGrant struct {
	ID, Name string
	Scopes   string
	Since    time.Time
}

type userPage struct {
	idp.User
	desk.Form
	Version      string
	Passkeys     []idp.Passkey
	Sessions     []idp.Session
	Applications []userGrant
	Events       []eventLine
	EventsURL    string
	Self         bool
	RoleText     words.Text
	Notice       words.Text
	May, Support bool
	ExplainURL   string
	Directory    words.Text         // which directory manages the user, or did; zero: none
	Lacks        int                // passkeys, by the rules
	Second       bool               // a recovery link needs the approval of a second admin
	Approval     *recovery.Approval // of the link that they have; nil: none needs one
	ApproveURL   string
}

func (c users) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.showWith(w, r, v, nil, nil)
}

// showWith shows a user, with the faults of a form that was sent.
func (c users) showWith(
	w http.ResponseWriter, r *http.Request, v desk.Visitor, sent url.Values, faults directory.Faults,
) error {
	ctx, ops, id := r.Context(), c.cfg.Operations, r.PathValue("id")
	u, err := ops.Users.Get(ctx, v.Actor, id)
	if err != nil {
		return err
	}
	groups, err := ops.Groups.Of(ctx, v.Actor, id)
	if err != nil {
		return err
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	p := userPage{
		User: u, Form: c.userForm(u.Email, u.Name, u.Role, names), Version: desk.VersionOf(u.UpdatedAt),
		Self:     u.ID == v.User.ID,
		RoleText: words.T("console.role." + u.Role.Name()), Notice: desk.Done(r), May: v.Changes(), Support: v.Supports(),
		EventsURL: desk.LinkTo(eventsPath, "user", u.ID), ExplainURL: desk.LinkTo(explainPath, "user", u.Email),
	}
	status := 0
	if sent != nil {
		role, _ := directory.ParseRole(sent.Get("role"))
		p.Form = c.userForm(sent.Get("email"), sent.Get("name"), role, desk.Listed(sent.Get("groups")))
		p.Blame(faults, nil)
		p.Version, status = sent.Get("version"), http.StatusUnprocessableEntity
	}
	kept, err := managed.New(c.cfg.DB).User(ctx, id)
	if err != nil {
		return err
	}
	if p.Directory, err = c.managedBy(ctx, kept.Managed, "console.managed.user"); err != nil {
		return err
	}
	if p.Passkeys, err = ops.Users.Passkeys(ctx, v.Actor, id); err != nil {
		return err
	}
	if p.Sessions, err = ops.Users.Sessions(ctx, v.Actor, id); err != nil {
		return err
	}
	if p.Lacks, err = c.lacks(ctx, u); err != nil {
		return err
	}
	if err := c.approval(r, v, &p); err != nil {
		return err
	}
	grants, err := ops.Users.Applications(ctx, v.Actor, id)
	if err != nil {
		return err
	}
	for _, g := range grants {
		cl, err := c.cfg.DB.Client(ctx, g.ClientID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("load client: %w", err)
		}
		p.Applications = append(p.Applications, userGrant{
			ID: g.ClientID, Name: cmp.Or(cl.Name, g.ClientID), Scopes: strings.Join(g.Scopes, " "), Since: g.CreatedAt,
		})
	}
	found, _, err := ops.Events.Search(ctx, v.Actor, lookup.Filter{UserID: id}, "", shownEvents)
	if err != nil {
		return err
	}
	p.Events = c.lines(ctx, found)
	return c.render(w, r, v, "user", web.Page{Nav: "People", Status: status, Data: p})
}

// approval adds what is known of a recovery link of the user that a second admin has to approve. Who sees the user may
// see it.
func (c users) approval(r *http.Request, v desk.Visitor, p *userPage) error {
	p.Second, p.ApproveURL = c.cfg.Approval, recovery.ApprovePath(p.ID)
	a, err := recovery.ApprovalOf(r.Context(), c.cfg.DB, p.ID, v.Actor.UserID, time.Now())
	if errors.Is(err, idp.ErrNotFound) {
		return nil
	}
	p.Approval = &a
	return err
}

func (c users) edit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	f, id := r.PostForm, r.PathValue("id")
	version, err := desk.ReadVersion(f)
	if err != nil {
		return err
	}
	was, err := c.cfg.Operations.Users.Get(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	email, name := strings.TrimSpace(f.Get("email")), strings.TrimSpace(f.Get("name"))
	role, known := directory.ParseRole(f.Get("role"))
	if !known {
		role = "?" // no role: the operation says so
	}
	change := admin.UserChange{Version: version}
	if email != was.Email {
		change.Email = &email
	}
	if name != was.Name {
		change.Name = &name
	}
	if role != was.Role {
		change.Role = &role
	}
	groups, err := c.cfg.Operations.Groups.Of(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	wanted := desk.Listed(f.Get("groups"))
	same := len(wanted) == len(groups) && !slices.ContainsFunc(groups, func(g directory.Group) bool {
		return !slices.Contains(wanted, g.Name)
	})
	if !same {
		change.Groups = &wanted
	}
	_, err = c.cfg.Operations.Users.Change(r.Context(), v.Actor, id, change)
	if faults, wrong := desk.FaultsOf(err); wrong {
		return c.showWith(w, r, v, f, faults)
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, userPath(id, "done", "user.changed"))
}

func (c users) signOut(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if _, err := c.cfg.Operations.Users.SignOut(r.Context(), v.Actor, r.PathValue("id")); err != nil {
		return err
	}
	return desk.SeeOther(w, r, userPath(r.PathValue("id"), "done", "user.signedout"))
}

func (c users) endSession(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	err := c.cfg.Operations.Users.EndSession(r.Context(), v.Actor, r.PathValue("id"), desk.Query(r.PostForm, "session"))
	if err != nil && !errors.Is(err, idp.ErrNotFound) { // it has ended by itself
		return err
	}
	return desk.SeeOther(w, r, userPath(r.PathValue("id"), "done", "user.sessionended"))
}

func (c users) revoke(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	clientID := desk.Query(r.PostForm, "client")
	err := c.cfg.Operations.Users.RevokeApplication(r.Context(), v.Actor, r.PathValue("id"), clientID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return err
	}
	return desk.SeeOther(w, r, userPath(r.PathValue("id"), "done", "user.revoked"))
}

func (c users) recover(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := r.PathValue("id")
	made, err := c.cfg.Operations.Users.OrderRecovery(r.Context(), v.Actor, id, recovery.Order{TTL: recoveryTTL})
	switch {
	case errors.Is(err, admin.ErrNoPasskey), errors.Is(err, admin.ErrDisabled):
		return &web.Problem{Status: http.StatusConflict, Words: "console.norecovery", NextURL: userPath(id), Err: err}
	case err != nil:
		return err
	}
	u, err := c.cfg.Operations.Users.Get(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	p := linkPage{ID: u.ID, Name: u.Name, Email: u.Email, Link: made.Link.Reveal(), Until: made.Until}
	if made.Second {
		p.Approve = c.cfg.Issuer + recovery.ApprovePath(u.ID)
	}
	return c.render(w, r, v, "user-recovery", web.Page{Nav: "People", Once: true, Data: p})
}

func (c users) disable(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if _, _, err := c.cfg.Operations.Users.Disable(r.Context(), v.Actor, r.PathValue("id")); err != nil {
		return err
	}
	return desk.SeeOther(w, r, userPath(r.PathValue("id"), "done", "user.disabled"))
}

func (c users) enable(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	err := c.cfg.Operations.Users.Enable(r.Context(), v.Actor, r.PathValue("id"))
	if err != nil && !desk.IsAlready(err) {
		return err
	}
	return desk.SeeOther(w, r, userPath(r.PathValue("id"), "done", "user.enabled"))
}

func (c users) remove(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if _, err := c.cfg.Operations.Users.Remove(r.Context(), v.Actor, r.PathValue("id")); err != nil {
		return err
	}
	return desk.SeeOther(w, r, desk.LinkTo(usersPath, "done", "user.removed"))
}
