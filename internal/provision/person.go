package provision

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store/provisioning"
)

// An Action is what happens to a user at an application.
type Action string

// Actions, with those that a preview counts.
const (
	Nothing Action = ""
	Create  Action = "create"
	Update  Action = "update"
	Disable Action = "disable"
	Delete  Action = "delete"
)

// A plan is what a user needs.
type plan struct {
	action Action
	doc    object   // as it should be; nil: the user leaves
	groups []string // IDs of groups whose member they should be
}

// plan compares what an application should have of a user with what it has. An account that was removed here for good
// is deleted there as well, whatever happens to others who leave.
func (d *delivery) plan(p provisioning.Person) plan {
	there := p.Link.RemoteID != ""
	if !belongs(d.client, d.target.Settings, p) {
		switch {
		case there && (p.Removed || d.target.Settings.Delete):
			return plan{action: Delete}
		case there && p.Link.GoneAt.IsZero() || len(p.Link.Groups) > 0:
			return plan{action: Disable}
		}
		return plan{}
	}
	out := plan{
		doc:    document(d.target.Settings, p.User, d.cfg.Names.Sub(d.client, p.User.ID)),
		groups: groupsOf(p, d.target.Settings.SendGroups),
	}
	set, gone := differs(out.doc, p.Link.Digest)
	switch {
	case !there:
		out.action = Create
	case len(set)+len(gone) > 0 || !slices.Equal(out.groups, p.Link.Groups):
		out.action = Update
	}
	return out
}

// isRemote reports whether an error is one of the application or of the way to it.
func isRemote(err error) bool {
	_, refused := errors.AsType[*refusal](err)
	return refused || errors.Is(err, errAnswer) || errors.Is(err, outbound.ErrFailed)
}

// send brings a user up to date.
func (d *delivery) send(ctx context.Context, p provisioning.Person) error {
	plan := d.plan(p)
	switch plan.action {
	case Nothing:
		return nil
	case Delete:
		if err := d.remote.remove(ctx, at("/Users", p.Link.RemoteID)); err != nil {
			return err
		}
		return d.records.PutLink(ctx, d.client.ID, p.User.ID, provisioning.Link{})
	case Disable:
		return d.leave(ctx, p)
	}
	var link provisioning.Link
	var err error
	if plan.action == Create {
		link, err = d.create(ctx, p.User.ID, plan.doc)
	} else {
		link, err = d.update(ctx, p, plan.doc)
	}
	if err != nil {
		return err
	}
	return d.join(ctx, p.User.ID, link, plan.groups, p.Link.Digest == "")
}

// leave disables a user's account there, and takes it out of the groups. One that is gone there is forgotten.
func (d *delivery) leave(ctx context.Context, p provisioning.Person) error {
	if p.Link.GoneAt.IsZero() {
		off := object{"active": false}
		whole := object{"schemas": []string{userSchema}, "userName": p.User.Email, "active": false}
		err := d.remote.change(ctx, at("/Users", p.Link.RemoteID), off, nil, whole)
		if refusedWith(err, http.StatusNotFound, http.StatusGone) {
			return d.records.PutLink(ctx, d.client.ID, p.User.ID, provisioning.Link{})
		}
		if err != nil {
			return err
		}
		link := p.Link
		link.GoneAt, link.Digest = time.Now(), ""
		if err := d.put(ctx, p.User.ID, link); err != nil {
			return err
		}
	}
	return d.join(ctx, p.User.ID, p.Link, nil, false)
}

// put stores a link, also while the server is stopping: the application has it.
func (d *delivery) put(ctx context.Context, userID string, l provisioning.Link) error {
	return d.records.PutLink(context.WithoutCancel(ctx), d.client.ID, userID, l)
}

// create adds an account there, or takes the one that has the name already (409).
func (d *delivery) create(ctx context.Context, userID string, doc object) (provisioning.Link, error) {
	whole := withSchemas(doc)
	id, err := d.remote.create(ctx, "/Users", whole)
	if refusedWith(err, http.StatusConflict) {
		id, err = d.adopt(ctx, doc, err)
	}
	if err != nil {
		return provisioning.Link{}, err
	}
	link := provisioning.Link{RemoteID: id, Digest: digest(doc)}
	return link, d.put(ctx, userID, link)
}

// adopt takes over the account that conflicts with a new one: that with our ID for the user, or with the same name and
// no ID of somebody else.
func (d *delivery) adopt(ctx context.Context, doc object, conflict error) (string, error) {
	sub, name := doc["externalId"].(string), doc["userName"].(string)
	id, err := d.remote.find(ctx, "/Users", equals("externalId", sub), func(r resource) bool {
		return r.ExternalID == sub
	})
	if err != nil && !concerns(err) {
		return "", err
	}
	if id == "" { // also where this filter is not supported
		id, err = d.remote.find(ctx, "/Users", equals("userName", name), func(r resource) bool {
			return directory.GroupKey(r.UserName) == directory.GroupKey(name) && (r.ExternalID == "" || r.ExternalID == sub)
		})
	}
	if err != nil {
		return "", err
	}
	if id == "" {
		return "", conflict
	}
	return id, d.remote.change(ctx, at("/Users", id), doc, nil, withSchemas(doc))
}

func withSchemas(doc object) object {
	whole := object{"schemas": schemasOf(doc)}
	for name, v := range doc {
		whole[name] = v
	}
	return whole
}

// update sends what differs. An account that is gone there is created again.
func (d *delivery) update(ctx context.Context, p provisioning.Person, doc object) (provisioning.Link, error) {
	link := p.Link
	set, gone := differs(doc, link.Digest)
	if len(set)+len(gone) == 0 {
		return link, nil
	}
	err := d.remote.change(ctx, at("/Users", link.RemoteID), set, gone, withSchemas(doc))
	if refusedWith(err, http.StatusNotFound, http.StatusGone) {
		if err := d.records.PutLink(ctx, d.client.ID, p.User.ID, provisioning.Link{}); err != nil {
			return link, err
		}
		return d.create(ctx, p.User.ID, doc)
	}
	if err != nil {
		return link, err
	}
	link.Digest, link.GoneAt = digest(doc), time.Time{}
	return link, d.put(ctx, p.User.ID, link)
}
