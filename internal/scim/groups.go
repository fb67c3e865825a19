package scim

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/admin/sync"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/scim/resource"
	"github.com/stepward/stepward/internal/store/managed"
)

// maxMembers is how many members a response has: those of a group, or of all groups in a list.
const maxMembers = 10_000

func (s groups) groupList(clientID string) list[managed.Group] {
	return list[managed.Group]{
		kind: resource.Group, id: func(g managed.Group) string { return g.ID },
		page: s.records.Groups, find: s.records.FindGroups, size: s.records.CountGroups,
		documents: func(ctx context.Context, groups []managed.Group, p resource.Projection) ([]resource.Document, error) {
			return s.groupDocuments(ctx, groups, p, clientID)
		},
	}
}

func (s groups) groupDocuments(
	ctx context.Context, groups []managed.Group, p resource.Projection, clientID string,
) ([]resource.Document, error) {
	members := map[string][]any{}
	if p.Wants("members") {
		ids := make([]string, len(groups))
		for i, g := range groups {
			ids[i] = g.ID
		}
		found, err := s.records.Members(ctx, ids, maxMembers+1)
		if err != nil {
			return nil, err
		}
		if len(found) > maxMembers {
			return nil, resource.Bad("tooMany", "there are more than %d members: leave them out with excludedAttributes=members",
				maxMembers)
		}
		for _, m := range found {
			members[m.GroupID] = append(members[m.GroupID], resource.Document{
				"value": m.UserID, "$ref": s.at(resource.User, m.UserID), "type": "User",
			})
		}
	}
	docs := make([]resource.Document, len(groups))
	for i, g := range groups {
		docs[i] = resource.Document{"displayName": g.Name}
		if g.ExternalID != "" && g.ClientID == clientID {
			docs[i]["externalId"] = g.ExternalID
		}
		if list := members[g.ID]; len(list) > 0 {
			docs[i]["members"] = list
		}
		s.label(docs[i], resource.Group, g.ID, g.CreatedAt, g.UpdatedAt)
	}
	return docs, nil
}

func (s groups) listGroups(ctx context.Context, r *request) (*answer, error) {
	return s.queryGroups(ctx, r, r.URL.Query())
}

func (s groups) searchGroups(ctx context.Context, r *request) (*answer, error) {
	q, err := searched(r.body)
	if err != nil {
		return nil, err
	}
	return s.queryGroups(ctx, r, q)
}

// queryGroups answers a query. A filter about members finds the groups of a user by index, and need not read the others
// who are in them.
func (s groups) queryGroups(ctx context.Context, r *request, values url.Values) (*answer, error) {
	q, err := queryOf(resource.Group, values)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Operations.MayRead(ctx, r.actor); err != nil {
		return nil, err
	}
	list := s.groupList(r.actor.ClientID)
	if q.filter != nil && !q.filter.About("members") {
		list.documents = func(
			ctx context.Context, found []managed.Group, _ resource.Projection,
		) ([]resource.Document, error) {
			return s.groupDocuments(ctx, found, q.projection, r.actor.ClientID)
		}
	}
	return list.answer(ctx, q, r.actor.ClientID)
}

func (s groups) group(ctx context.Context, r *request) (managed.Group, error) {
	if err := s.cfg.Operations.MayRead(ctx, r.actor); err != nil {
		return managed.Group{}, err
	}
	return s.records.Group(ctx, r.PathValue("id"))
}

func (s groups) getGroup(ctx context.Context, r *request) (*answer, error) {
	g, err := s.group(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.showGroup(ctx, r, g)
}

func (s groups) showGroup(ctx context.Context, r *request, g managed.Group) (*answer, error) {
	p, err := resource.Group.Projection(r.URL.Query())
	if err != nil {
		return nil, err
	}
	docs, err := s.groupDocuments(ctx, []managed.Group{g}, p, r.actor.ClientID)
	if err != nil {
		return nil, err
	}
	return &answer{doc: p.Of(docs[0]), etag: etag(g.UpdatedAt), location: s.at(resource.Group, g.ID)}, nil
}

// A roll is what a request says about a group: its name, and who comes, goes, or alone remains.
type roll struct {
	name, externalID string
	all              bool            // members are exactly those of in with true
	in               map[string]bool // user ID → whether they are a member
}

func rollOf(doc resource.Document) (out roll, err error) {
	if out.name = textOf(doc, "displayName"); out.name == "" {
		return out, resource.Bad("invalidValue", "displayName is missing")
	}
	out.externalID, out.in = textOf(doc, "externalId"), map[string]bool{}
	err = out.mark(doc["members"], true)
	return out, err
}

// mark notes that the members of a list are, or are not, in the group.
func (g *roll) mark(members any, in bool) error {
	list, _ := members.([]any)
	for _, v := range list {
		element, _ := v.(resource.Document)
		kind, _ := element["type"].(string)
		if kind != "" && !strings.EqualFold(kind, "User") {
			return resource.Bad("invalidValue", "members must be users; groups in groups are not for directories")
		}
		id, _ := element["value"].(string)
		if id == "" {
			return resource.Bad("invalidValue", "a member has no value")
		}
		g.in[id] = in
	}
	return nil
}

func (s groups) createGroup(ctx context.Context, r *request) (*answer, error) {
	in, err := describedGroup(r.body)
	if err != nil {
		return nil, err
	}
	g, err := s.sync.Group(ctx, r.actor, "", sync.GroupSync{
		Name: in.name, ExternalID: in.externalID, Add: in.those(true),
	})
	if err != nil {
		return nil, err
	}
	kept, err := s.records.Group(ctx, g.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.showGroup(ctx, r, kept)
	if err == nil {
		a.status = http.StatusCreated
	}
	return a, err
}

func describedGroup(body []byte) (roll, error) {
	raw, err := resource.Object(body)
	if err != nil {
		return roll{}, err
	}
	doc, err := resource.Group.Clean(raw)
	if err != nil {
		return roll{}, err
	}
	return rollOf(doc)
}

// those returns the users who are, or are not, in the group.
func (g roll) those(in bool) (ids []string) {
	for id, is := range g.in {
		if is == in {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (s groups) replaceGroup(ctx context.Context, r *request) (*answer, error) {
	g, err := s.group(ctx, r)
	if err != nil {
		return nil, err
	}
	in, err := describedGroup(r.body)
	if err != nil {
		return nil, err
	}
	in.all = true
	return s.changeGroup(ctx, r, g, in)
}

func (s groups) patchGroup(ctx context.Context, r *request) (*answer, error) {
	g, err := s.group(ctx, r)
	if err != nil {
		return nil, err
	}
	ops, err := resource.Operations(r.body)
	if err != nil {
		return nil, err
	}
	in := roll{name: g.Name, in: map[string]bool{}}
	if g.ClientID == r.actor.ClientID {
		in.externalID = g.ExternalID
	}
	for _, o := range ops {
		if err := in.operate(o); err != nil {
			return nil, err
		}
	}
	return s.changeGroup(ctx, r, g, in)
}

// operate makes an operation of a PATCH. Members are not read for it: there may be very many.
func (g *roll) operate(o resource.Operation) error {
	if o.Path == "" {
		members, ok := o.Value.(resource.Document)
		if !ok {
			return resource.Bad("invalidValue", "an operation without a path needs an object as its value")
		}
		for name, value := range members {
			at, known := resource.Group.Resolve(name)
			if !known || at.Attr.Mutability == "readOnly" || at.Attr.Name == "schemas" {
				continue
			}
			if err := g.operate(resource.Operation{Op: o.Op, Path: name, Value: value}); err != nil {
				return err
			}
		}
		return nil
	}
	t, err := resource.Group.Target(o.Path)
	if err != nil {
		return err
	}
	if t.Attr == nil || t.Attr.Name != "members" {
		return g.rename(t, o)
	}
	if t.Filter != nil {
		return g.drop(t, o)
	}
	value, err := t.Attr.Clean(o.Value)
	switch {
	case err != nil:
		return err
	case t.Sub != nil:
		return resource.Bad("invalidPath", "members are added and removed as a whole")
	case o.Op == "add":
		return g.mark(value, true)
	case o.Op == "remove" && value != nil: // as Entra ID does
		return g.mark(value, false)
	}
	g.all, g.in = true, map[string]bool{}
	return g.mark(value, true)
}

// rename makes an operation on displayName or externalId.
func (g *roll) rename(t resource.Target, o resource.Operation) error {
	if t.Attr == nil || t.Filter != nil || t.Sub != nil {
		return resource.Bad("invalidPath", "%q is no path here", o.Path)
	}
	doc := resource.Document{"displayName": g.name, "externalId": g.externalID}
	if err := resource.Set(doc, *t.Attr, o); err != nil {
		return err
	}
	g.name, g.externalID = textOf(doc, "displayName"), textOf(doc, "externalId")
	if g.name == "" {
		return resource.Bad("invalidValue", "displayName is missing")
	}
	return nil
}

// drop makes an operation on members[value eq "…"].
func (g *roll) drop(t resource.Target, o resource.Operation) error {
	keys, ok := within(t.Filter, resource.Group, "members", "")
	if !ok || o.Op != "remove" || t.Sub != nil || !t.Filter.Only("value") {
		return resource.Bad("invalidPath", "members[value eq \"…\"] can be removed; nothing else is possible with a filter")
	}
	for _, k := range keys {
		g.in[k.Value] = false
	}
	return nil
}

// changeGroup makes a group what the directory says, and shows the result.
func (s groups) changeGroup(ctx context.Context, r *request, g managed.Group, in roll) (*answer, error) {
	if _, err := r.version(g.UpdatedAt); err != nil {
		return nil, err
	}
	add, remove, err := s.difference(ctx, g.ID, in)
	if err != nil {
		return nil, err
	}
	if _, err := s.sync.Group(ctx, r.actor, g.ID, sync.GroupSync{
		Name: in.name, ExternalID: in.externalID, Add: add, Remove: remove, Version: g.UpdatedAt,
	}); err != nil {
		return nil, err
	}
	if g, err = s.records.Group(ctx, g.ID); err != nil {
		return nil, err
	}
	if r.Method == http.MethodPatch && !r.URL.Query().Has("attributes") { // RFC 7644 §3.5.2 allows either
		return &answer{etag: etag(g.UpdatedAt)}, nil
	}
	return s.showGroup(ctx, r, g)
}

// difference returns who must be added to a group and removed from it.
func (s groups) difference(ctx context.Context, groupID string, in roll) (add, remove []string, err error) {
	wanted := in.those(true)
	if len(in.in) > sync.MaxMembers {
		return nil, nil, resource.Bad("tooMany", "a request can change %d members; send more in several", sync.MaxMembers)
	}
	if !in.all {
		among, err := s.records.Among(ctx, groupID, append(wanted, in.those(false)...))
		if err != nil {
			return nil, nil, err
		}
		for id, is := range in.in {
			switch {
			case is && !among[id]:
				add = append(add, id)
			case !is && among[id]:
				remove = append(remove, id)
			}
		}
		return add, remove, nil
	}
	now, err := s.records.Members(ctx, []string{groupID}, maxMembers+1)
	if err != nil {
		return nil, nil, err
	}
	if len(now) > maxMembers {
		return nil, nil, resource.Bad("tooMany", "the group has more than %d members: change them with PATCH", maxMembers)
	}
	is := map[string]bool{}
	for _, m := range now {
		if is[m.UserID] = true; !in.in[m.UserID] {
			remove = append(remove, m.UserID)
		}
	}
	for _, id := range wanted {
		if !is[id] {
			add = append(add, id)
		}
	}
	return add, remove, nil
}

func (s groups) deleteGroup(ctx context.Context, r *request) (*answer, error) {
	g, err := s.group(ctx, r)
	if err != nil {
		return nil, err
	}
	if _, err := r.version(g.UpdatedAt); err != nil {
		return nil, err
	}
	if err := s.sync.May(ctx, r.actor, g.Managed); err != nil {
		return nil, err
	}
	err = s.cfg.Operations.Groups.Remove(ctx, r.actor, g.ID)
	if faults, ok := err.(directory.Faults); ok { // clients refer to it
		return nil, &resource.Failure{Status: http.StatusConflict, Detail: "the group " + faults[0].Text}
	}
	return &answer{}, err
}
