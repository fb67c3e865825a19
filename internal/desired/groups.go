package desired

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/pkg/adminapi"
)

// described is what a file says of a claim.
type described struct {
	Type        directory.ClaimType `json:"type"`
	Scope       string              `json:"scope"`
	Description string              `json:"description"`
	SeenBy      []directory.Party   `json:"seen_by"`
	EditedBy    []directory.Party   `json:"edited_by"`
}

func describe(c directory.Claim) described {
	return described{c.Type, c.Scope, c.Description, ordered(c.SeenBy), ordered(c.EditedBy)}
}

func ordered(parties []directory.Party) []directory.Party {
	list := slices.Clone(parties)
	slices.Sort(list)
	return append([]directory.Party{}, list...)
}

// claims defines claims.
func (w *work) claims(ctx context.Context) error {
	list, err := w.ops.Claims.List(ctx, w.by)
	if err != nil {
		return err
	}
	for i, c := range w.state.Claims {
		path := fmt.Sprintf("claims[%d]", i)
		at := slices.IndexFunc(list, func(is directory.Claim) bool { return is.Name == c.Name })
		if at < 0 {
			w.claim(key{declared.Claim, c.Name}, path)
			w.note(adminapi.PlannedChange{Action: adminapi.ActionAdd, Kind: "claim", Name: c.Name}, "")
		} else if !w.settle(key{declared.Claim, c.Name}, path, c.Name, between(describe(list[at]), describe(c)),
			list[at].UpdatedAt) {
			continue
		}
		_, err := w.ops.Claims.Define(ctx, w.by, c)
		if err := w.failed(path, err); err != nil {
			return err
		}
	}
	return nil
}

// leaveClaims removes the claims that are no longer described, with all their values.
func (w *work) leaveClaims(ctx context.Context) error {
	list, err := w.ops.Claims.List(ctx, w.by)
	if err != nil {
		return err
	}
	for _, name := range w.left(declared.Claim) {
		known := slices.ContainsFunc(list, func(c directory.Claim) bool { return c.Name == name })
		if !known || !w.leave(key{declared.Claim, name}, name) {
			continue
		}
		if err := w.failed("claims", w.ops.Claims.Remove(ctx, w.by, name)); err != nil {
			return err
		}
	}
	return nil
}

// pageOfGroups is how many groups are read at once.
const pageOfGroups = 1000

// everyGroup returns all groups, by name.
func everyGroup(ctx context.Context, ops *admin.Operations, by admin.Actor) (all []directory.Group, err error) {
	for after := ""; ; after = all[len(all)-1].Name {
		page, err := ops.Groups.List(ctx, by, after, pageOfGroups)
		if all = append(all, page...); err != nil || len(page) < pageOfGroups {
			return all, err
		}
	}
}

// allGroups brings groups, their nesting and their values into the state.
func (w *work) allGroups(ctx context.Context) error {
	list, err := everyGroup(ctx, w.ops, w.by)
	if err != nil {
		return err
	}
	w.groups = map[string]directory.Group{}
	byID := map[string]directory.Group{}
	for _, g := range list {
		w.groups[g.Key()], byID[g.ID] = g, g
	}
	edges, err := w.roster.Edges(ctx)
	if err != nil {
		return err
	}
	within := map[string][]string{} // names of parents by key
	for _, e := range edges {
		child := byID[e.ChildID].Key()
		within[child] = append(within[child], byID[e.ParentID].Name)
	}
	if !w.checkNesting(within) {
		return nil
	}
	changes := make([]groupChange, len(w.state.Groups))
	for i, g := range w.state.Groups {
		if changes[i], err = w.group(ctx, fmt.Sprintf("groups[%d]", i), g, within[directory.GroupKey(g.Name)]); err != nil {
			return err
		}
	}
	for _, nest := range []bool{false, true} { // out of groups first, so that no cycle arises in between
		for i, c := range changes {
			if err := w.nest(ctx, fmt.Sprintf("groups[%d]", i), c, nest); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNesting reports whether the nesting is sound as it would be.
func (w *work) checkNesting(within map[string][]string) bool {
	next := map[string][]string{}
	known := map[string]bool{}
	for k := range w.groups {
		known[k] = true
	}
	for child, parents := range within {
		for _, name := range parents {
			next[child] = append(next[child], directory.GroupKey(name))
		}
	}
	for _, g := range w.state.Groups {
		known[directory.GroupKey(g.Name)] = true
	}
	good := true
	for i, g := range w.state.Groups {
		var parents []string
		for _, name := range g.Within {
			if parent := directory.GroupKey(name); known[parent] {
				parents = append(parents, parent)
				continue
			}
			good = false
			w.faults = append(w.faults, directory.Fault{
				Field: fmt.Sprintf("groups[%d].within", i), Text: fmt.Sprintf("there is no group %q", name),
			})
		}
		next[directory.GroupKey(g.Name)] = parents
	}
	found := w.state.nestingFaults(next)
	w.faults = append(w.faults, found...)
	return good && len(found) == 0
}

// groupChange is how a group changes its place.
type groupChange struct {
	id        string
	in, outOf []string // names
}

// group adds or changes a group without its place.
func (w *work) group(ctx context.Context, path string, g Group, within []string) (c groupChange, err error) {
	is, known := w.groups[directory.GroupKey(g.Name)]
	if !known {
		w.note(adminapi.PlannedChange{Action: adminapi.ActionAdd, Kind: "group", Name: g.Name}, "")
		is, err = w.ops.Groups.Create(ctx, w.by, admin.GroupInput{Name: g.Name, Description: g.Description})
		if err != nil {
			return c, w.failed(path, err)
		}
		w.groups[is.Key()] = is
		w.claim(key{declared.Group, is.ID}, path)
		return groupChange{id: is.ID, in: g.Within}, w.values(ctx, path, is.ID, changedValues(nil, g.Claims))
	}
	values, err := w.valuesOf(ctx, is.ID)
	if err != nil {
		return c, err
	}
	type shape struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Within      []string `json:"within"`
	}
	fields := between(shape{is.Name, is.Description, sorted(within)}, shape{g.Name, g.Description, sorted(g.Within)})
	changed := changedValues(values, g.Claims)
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		fields = append(fields, adminapi.FieldChange{Name: "claims." + name, From: values[name], To: changed[name]})
	}
	if !w.settle(key{declared.Group, is.ID}, path, g.Name, fields, is.UpdatedAt) {
		return groupChange{id: is.ID}, nil
	}
	if is.Name != g.Name || is.Description != g.Description {
		in := admin.GroupInput{Name: g.Name, Description: g.Description}
		if _, err := w.ops.Groups.Change(ctx, w.by, is.ID, in, is.UpdatedAt); err != nil {
			return c, w.failed(path, err)
		}
	}
	c = groupChange{id: is.ID, in: missing(g.Within, within), outOf: missing(within, g.Within)}
	return c, w.values(ctx, path, is.ID, changed)
}

func sorted(names []string) []string {
	list := append([]string{}, names...)
	slices.Sort(list)
	return list
}

// missing returns the names of groups that are not among others, in any spelling.
func missing(names, others []string) (left []string) {
	for _, name := range names {
		if !slices.ContainsFunc(others, func(o string) bool { return directory.GroupKey(o) == directory.GroupKey(name) }) {
			left = append(left, name)
		}
	}
	return left
}

// valuesOf returns the values of a group that admins edit.
func (w *work) valuesOf(ctx context.Context, id string) (map[string]json.RawMessage, error) {
	list, err := w.ops.Claims.List(ctx, w.by)
	if err != nil {
		return nil, err
	}
	edited := map[string]bool{}
	for _, c := range list {
		edited[c.Name] = c.MayEdit(directory.PartyAdmin)
	}
	values, err := w.ops.Claims.OfGroup(ctx, w.by, id)
	out := map[string]json.RawMessage{}
	for _, v := range values {
		if edited[v.Claim] {
			out[v.Claim] = canonical(json.RawMessage(v.JSON))
		}
	}
	return out, err
}

// changedValues returns the values that differ; nil: one that is removed.
func changedValues(was map[string]json.RawMessage, is adminapi.ClaimValues) map[string]json.RawMessage {
	changed := map[string]json.RawMessage{}
	for name, value := range is {
		if value = canonical(value); !bytes.Equal(value, was[name]) {
			changed[name] = value
		}
	}
	for name := range was {
		if _, stays := is[name]; !stays {
			changed[name] = nil
		}
	}
	return changed
}

func (w *work) values(ctx context.Context, path, id string, values map[string]json.RawMessage) error {
	if len(values) == 0 {
		return nil
	}
	return w.failed(path+".claims", w.ops.Claims.SetGroup(ctx, w.by, id, values))
}

// nest puts a group into others, or takes it out of others.
func (w *work) nest(ctx context.Context, path string, c groupChange, in bool) error {
	names, do := c.outOf, w.ops.Groups.Unnest
	if in {
		names, do = c.in, w.ops.Groups.Nest
	}
	for _, name := range names {
		parent, known := w.groups[directory.GroupKey(name)]
		if !known || c.id == "" { // it is at fault
			continue
		}
		if err := w.failed(path, do(ctx, w.by, c.id, parent.ID)); err != nil {
			return err
		}
	}
	return nil
}

// leaveGroups removes the groups that are no longer described.
func (w *work) leaveGroups(ctx context.Context) error {
	var groups []directory.Group
	for _, id := range w.left(declared.Group) {
		g, err := w.ops.Groups.Get(ctx, w.by, id)
		switch {
		case errors.Is(err, idp.ErrNotFound):
		case err != nil:
			return err
		default:
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b directory.Group) int { return strings.Compare(a.Key(), b.Key()) })
	for _, g := range groups {
		if !w.leave(key{declared.Group, g.ID}, g.Name) {
			continue
		}
		if err := w.failed("groups", w.ops.Groups.Remove(ctx, w.by, g.ID)); err != nil {
			return err
		}
	}
	return nil
}
