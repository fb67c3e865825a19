package scim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/scim/resource"
	"github.com/stepward/stepward/internal/store/managed"
)

func (s users) userList(clientID string) list[managed.User] {
	return list[managed.User]{
		kind: resource.User, id: func(u managed.User) string { return u.ID },
		page: s.records.Users, find: s.records.FindUsers, size: s.records.CountUsers,
		documents: func(ctx context.Context, users []managed.User, p resource.Projection) ([]resource.Document, error) {
			if p.Wants("groups") {
				if err := s.records.WithGroups(ctx, users); err != nil {
					return nil, err
				}
			}
			docs := make([]resource.Document, len(users))
			for i, u := range users {
				docs[i] = s.userDocument(u, clientID)
			}
			return docs, nil
		},
	}
}

func (s users) listUsers(ctx context.Context, r *request) (*answer, error) {
	return s.queryUsers(ctx, r, r.URL.Query())
}

func (s users) searchUsers(ctx context.Context, r *request) (*answer, error) {
	q, err := searched(r.body)
	if err != nil {
		return nil, err
	}
	return s.queryUsers(ctx, r, q)
}

func (s users) queryUsers(ctx context.Context, r *request, values url.Values) (*answer, error) {
	q, err := queryOf(resource.User, values)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Operations.MayRead(ctx, r.actor); err != nil {
		return nil, err
	}
	return s.userList(r.actor.ClientID).answer(ctx, q, r.actor.ClientID)
}

// user returns a user whom their directory has not deleted; idp.ErrNotFound.
func (s users) user(ctx context.Context, r *request) (managed.User, error) {
	if err := s.cfg.Operations.MayRead(ctx, r.actor); err != nil {
		return managed.User{}, err
	}
	u, err := s.records.User(ctx, r.PathValue("id"))
	if err == nil && !u.RemovedAt.IsZero() {
		err = idp.ErrNotFound
	}
	return u, err
}

func (s users) getUser(ctx context.Context, r *request) (*answer, error) {
	u, err := s.user(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.showUser(ctx, r, u)
}

func (s users) showUser(ctx context.Context, r *request, u managed.User) (*answer, error) {
	p, err := resource.User.Projection(r.URL.Query())
	if err != nil {
		return nil, err
	}
	docs, err := s.userList(r.actor.ClientID).documents(ctx, []managed.User{u}, p)
	if err != nil {
		return nil, err
	}
	return &answer{doc: p.Of(docs[0]), etag: etag(u.User.UpdatedAt), location: s.at(resource.User, u.ID)}, nil
}

func (s users) createUser(ctx context.Context, r *request) (*answer, error) {
	p, err := describedUser(r.body)
	if err != nil {
		return nil, err
	}
	former, err := s.free(ctx, p, "")
	if err != nil {
		return nil, err
	}
	if former != nil {
		return s.bringBack(ctx, r, *former, p)
	}
	keep := p.managed(r.actor.ClientID)
	in := admin.NewUser{Email: p.email, Name: p.name, Profile: p.profile, Managed: &keep}
	var u idp.User
	if s.cfg.Mails && (p.active == nil || *p.active) {
		var invited admin.Invitation
		invited, err = s.cfg.Operations.Users.Invite(ctx, r.actor, in, admin.MaxInvitation, true)
		u = invited.User
	} else {
		u, err = s.cfg.Operations.Users.Create(ctx, r.actor, in)
	}
	if err != nil {
		return nil, err
	}
	if err := s.finish(ctx, r, u.ID, p); err != nil {
		return nil, err
	}
	return s.created(ctx, r, u.ID)
}

func (s users) created(ctx context.Context, r *request, id string) (*answer, error) {
	u, err := s.records.User(ctx, id)
	if err != nil {
		return nil, err
	}
	a, err := s.showUser(ctx, r, u)
	if err == nil {
		a.status = http.StatusCreated
	}
	return a, err
}

func describedUser(body []byte) (person, error) {
	raw, err := resource.Object(body)
	if err != nil {
		return person{}, err
	}
	doc, err := resource.User.Clean(raw)
	if err != nil {
		return person{}, err
	}
	return personOf(doc)
}

// managed returns what is kept of the person beside the account.
func (p person) managed(clientID string) directory.Managed {
	text, _ := json.Marshal(p.kept) // it came from JSON
	return directory.Managed{
		ClientID: clientID, ExternalID: p.externalID, UserName: p.userName, Attributes: string(text),
	}
}

// free returns an error if the user name or the address belongs to another user than the one with this ID. For somebody
// new, it returns the user whom the directory has deleted and now brings back: the one with the same externalId. The
// same name alone is not enough, because organisations give addresses of people who left to others, who must not get
// their accounts.
func (s users) free(ctx context.Context, p person, id string) (former *managed.User, err error) {
	byName, err := s.records.UserNamed(ctx, p.userName)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return nil, err
	}
	holders := []managed.User{byName}
	for _, email := range []string{p.email, p.userName} {
		email, _ = directory.NormalizeEmail(email)
		u, err := s.cfg.DB.UserByEmail(ctx, cmp.Or(email, p.email))
		if errors.Is(err, idp.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		holder, err := s.records.User(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		holders = append(holders, holder)
	}
	for _, u := range holders {
		switch {
		case u.ID == "" || u.ID == id:
		case id == "" && !u.RemovedAt.IsZero() && p.externalID != "" && u.ExternalID == p.externalID:
			former = &u
		case !u.RemovedAt.IsZero():
			return nil, taken("a user whom a directory deleted, and who is disabled, has this userName or e-mail address; " +
				"an admin can remove them")
		default:
			return nil, taken("another user has this userName or e-mail address")
		}
	}
	return former, nil
}

// bringBack gives a user whom the directory had deleted their account back.
func (s users) bringBack(ctx context.Context, r *request, u managed.User, p person) (*answer, error) {
	if err := s.sync.May(ctx, r.actor, u.Managed); err != nil {
		return nil, err
	}
	if p.active == nil {
		yes := true
		p.active = &yes
	}
	if err := s.save(ctx, r, u, p, time.Time{}); err != nil {
		return nil, err
	}
	return s.created(ctx, r, u.ID)
}

func (s users) replaceUser(ctx context.Context, r *request) (*answer, error) {
	u, err := s.user(ctx, r)
	if err != nil {
		return nil, err
	}
	p, err := describedUser(r.body)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, r, u, p)
}

func (s users) patchUser(ctx context.Context, r *request) (*answer, error) {
	u, err := s.user(ctx, r)
	if err != nil {
		return nil, err
	}
	ops, err := resource.Operations(r.body)
	if err != nil {
		return nil, err
	}
	doc, err := resource.User.Clean(resource.Copied(s.userDocument(u, r.actor.ClientID)))
	if err != nil {
		return nil, err
	}
	delete(doc, "active") // what is not patched stays as it is
	if err := resource.User.Patch(doc, ops); err != nil {
		return nil, err
	}
	if doc, err = resource.User.Clean(doc); err != nil {
		return nil, err
	}
	p, err := personOf(doc)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, r, u, p)
}

// change makes a user what the directory says, and shows the result.
func (s users) change(ctx context.Context, r *request, u managed.User, p person) (*answer, error) {
	version, err := r.version(u.User.UpdatedAt)
	if err != nil {
		return nil, err
	}
	if err := s.sync.May(ctx, r.actor, u.Managed); err != nil {
		return nil, err
	}
	if _, err := s.free(ctx, p, u.ID); err != nil {
		return nil, err
	}
	if err := s.save(ctx, r, u, p, version); err != nil {
		return nil, err
	}
	if u, err = s.records.User(ctx, u.ID); err != nil {
		return nil, err
	}
	return s.showUser(ctx, r, u)
}

// save changes what differs between a user and what the directory says.
func (s users) save(ctx context.Context, r *request, u managed.User, p person, version time.Time) error {
	c := admin.UserChange{Version: version}
	differs := false
	if p.name != u.Name {
		c.Name, differs = &p.name, true
	}
	if p.email != u.Email {
		c.Email, differs = &p.email, true
	}
	was, _ := profileOf(keptOf(u.Managed))
	if profile := over(u.Profile, was, p.profile); profile != u.Profile {
		c.Profile, differs = &profile, true
	}
	keep := p.managed(r.actor.ClientID)
	keep.DisabledAt = u.Managed.DisabledAt
	if keep != u.Managed {
		c.Managed, differs = &keep, true
	}
	if differs {
		if _, err := s.cfg.Operations.Users.Change(ctx, r.actor, u.ID, c); err != nil {
			return err
		}
	}
	return s.finish(ctx, r, u.ID, p)
}

// finish does what is not part of the account: its claims, and whether it is enabled.
func (s users) finish(ctx context.Context, r *request, id string, p person) error {
	if err := s.setClaims(ctx, r.actor, id, p); err != nil {
		return err
	}
	if p.active == nil {
		return nil
	}
	if !*p.active {
		return s.disable(ctx, r, id, false)
	}
	u, err := s.records.User(ctx, id)
	if err != nil || !u.Disabled() || !u.Managed.DisabledAt.Equal(u.User.DisabledAt) {
		return err // enabled, or disabled by somebody else: an admin, or the user who wants to leave
	}
	if err := s.cfg.Operations.Users.Enable(ctx, r.actor, id); err != nil && !errors.Is(err, admin.ErrNotDisabled) {
		return err
	}
	return s.invite(ctx, r, u.User)
}

// invite sends an invitation to a user who has no passkey yet.
func (s users) invite(ctx context.Context, r *request, u idp.User) error {
	if !s.cfg.Mails {
		return nil
	}
	_, err := s.cfg.Operations.Users.Invite(ctx, r.actor, admin.NewUser{Email: u.Email}, admin.MaxInvitation, true)
	if errors.Is(err, admin.ErrHasPasskey) {
		return nil
	}
	return err
}

// disable disables a user, ends their sessions and tokens, and notes that the directory wanted it. If an earlier
// attempt left sessions, they end now.
func (s users) disable(ctx context.Context, r *request, id string, remove bool) error {
	_, already, err := s.cfg.Operations.Users.Disable(ctx, r.actor, id)
	if err != nil || already && !remove {
		return err
	}
	u, err := s.records.User(ctx, id)
	if err != nil {
		return err
	}
	keep := u.Managed
	keep.ClientID, keep.UserName = r.actor.ClientID, cmp.Or(keep.UserName, u.Email)
	if !already {
		keep.DisabledAt = u.User.DisabledAt
	}
	if remove {
		keep.RemovedAt = time.Now().Truncate(time.Millisecond)
	}
	_, err = s.cfg.Operations.Users.Change(ctx, r.actor, id, admin.UserChange{Managed: &keep})
	return err
}

// deleteUser disables the account, and hides it from directories. What it was stays until an admin removes it: a wrong
// filter in a directory must not erase the passkeys of everybody.
func (s users) deleteUser(ctx context.Context, r *request) (*answer, error) {
	u, err := s.user(ctx, r)
	if err != nil {
		return nil, err
	}
	if _, err := r.version(u.User.UpdatedAt); err != nil {
		return nil, err
	}
	if err := s.sync.May(ctx, r.actor, u.Managed); err != nil {
		return nil, err
	}
	return &answer{}, s.disable(ctx, r, u.ID, true)
}

// setClaims sets the defined claims that have the name of an attribute, as far as directories may edit them.
func (s users) setClaims(ctx context.Context, by admin.Actor, id string, p person) error {
	defined, err := s.cfg.Operations.Claims.List(ctx, by)
	if err != nil || len(defined) == 0 {
		return err
	}
	values := map[string]json.RawMessage{}
	said := p.claims()
	for _, c := range defined {
		value, known := said[claimKey(c.Name)]
		if !known || !c.MayEdit(directory.PartySCIM) || c.Type != directory.ClaimString {
			continue
		}
		values[c.Name] = nil
		if value != "" {
			values[c.Name], _ = json.Marshal(value)
		}
	}
	if len(values) == 0 {
		return nil
	}
	have, err := s.cfg.Operations.Claims.OfUser(ctx, by, id)
	if err != nil {
		return err
	}
	for name, value := range values {
		if same(have, name, string(value)) {
			delete(values, name)
		}
	}
	if len(values) == 0 {
		return nil
	}
	return s.cfg.Operations.Claims.SetUser(ctx, by, id, values)
}

func same(have []directory.Value, name, value string) bool {
	for _, v := range have {
		if v.Claim == name {
			return v.JSON == value
		}
	}
	return value == ""
}
