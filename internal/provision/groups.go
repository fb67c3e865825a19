package provision

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/provisioning"
)

// syncGroups renames groups there that have another name here, removes those that are no longer sent, and adds those
// that are not there, also empty ones.
func (d *delivery) syncGroups(ctx context.Context) error {
	for id, g := range d.groups {
		var err error
		switch {
		case g.Name == "" || !slices.Contains(d.target.Settings.SendGroups, id):
			err = d.remote.remove(ctx, at("/Groups", g.RemoteID))
			g.RemoteID = ""
		case g.Name != g.Sent:
			err = d.remote.change(ctx, at("/Groups", g.RemoteID), object{"displayName": g.Name}, nil, groupDocument(g))
			if refusedWith(err, http.StatusNotFound, http.StatusGone) {
				g.RemoteID, err = "", nil // it is added again, and its members with it
			}
			g.Sent = g.Name
		default:
			continue
		}
		if err != nil {
			return aboutGroups(err)
		}
		if err := d.records.PutGroup(context.WithoutCancel(ctx), d.client.ID, g); err != nil {
			return err
		}
		d.groups[id] = g
		if g.RemoteID == "" {
			delete(d.groups, id)
		}
	}
	for _, id := range d.target.Settings.SendGroups {
		if err := d.haveGroup(ctx, id); err != nil && !errors.Is(err, idp.ErrNotFound) {
			return err
		}
	}
	return nil
}

// aboutGroups returns an error of a request about a group: it is about no user.
func aboutGroups(err error) error {
	if isRemote(err) {
		return &failed{err}
	}
	return err
}

func groupDocument(g provisioning.Group) object {
	return object{"schemas": []string{groupSchema}, "displayName": g.Name, "externalId": g.ID}
}

// haveGroup adds a group there unless it is there, or takes the one with its name.
func (d *delivery) haveGroup(ctx context.Context, id string) error {
	if d.groups[id].RemoteID != "" {
		return nil
	}
	now, err := d.roster.Group(ctx, id)
	if err != nil {
		return err
	}
	g := provisioning.Group{ID: id, Name: now.Name, Sent: now.Name}
	g.RemoteID, err = d.remote.create(ctx, "/Groups", groupDocument(g))
	if refusedWith(err, http.StatusConflict) {
		conflict := err
		g.RemoteID, err = d.remote.find(ctx, "/Groups", equals("displayName", g.Name), func(r resource) bool {
			return directory.GroupKey(r.Name) == directory.GroupKey(g.Name)
		})
		if err == nil && g.RemoteID == "" {
			err = conflict
		}
	}
	if err != nil {
		return aboutGroups(err)
	}
	d.groups[id] = g
	return d.records.PutGroup(context.WithoutCancel(ctx), d.client.ID, g)
}

// join makes a user a member there of exactly these groups, of those that we send. anew adds
// them again.
func (d *delivery) join(ctx context.Context, userID string, link provisioning.Link, groups []string, anew bool) error {
	for _, id := range link.Groups {
		if slices.Contains(groups, id) {
			continue
		}
		if g := d.groups[id]; g.RemoteID != "" {
			path := `members[value eq ` + marshal(link.RemoteID) + `]`
			err := d.remote.patch(ctx, at("/Groups", g.RemoteID), object{"op": "remove", "path": path})
			if err != nil && !refusedWith(err, http.StatusNotFound, http.StatusGone) {
				return err
			}
		}
		if err := d.member(ctx, userID, id, false); err != nil {
			return err
		}
	}
	for _, id := range groups {
		if slices.Contains(link.Groups, id) && !anew {
			continue
		}
		if err := d.haveGroup(ctx, id); err != nil {
			return err
		}
		members := []any{object{"value": link.RemoteID}}
		err := d.remote.patch(ctx, at("/Groups", d.groups[id].RemoteID),
			object{"op": "add", "path": "members", "value": members})
		if refusedWith(err, http.StatusNotFound, http.StatusGone) { // the next try adds the group again
			gone := provisioning.Group{ID: id}
			delete(d.groups, id)
			return errors.Join(err, d.records.PutGroup(ctx, d.client.ID, gone))
		}
		if err != nil {
			return err
		}
		if err := d.member(ctx, userID, id, true); err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) member(ctx context.Context, userID, groupID string, in bool) error {
	return d.records.PutMember(context.WithoutCancel(ctx), provisioning.Membership{
		ClientID: d.client.ID, UserID: userID, GroupID: groupID,
	}, in)
}
