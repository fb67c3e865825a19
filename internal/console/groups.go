package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const groupsPath = Path + "/groups"

// groups has the pages of groups.
type groups struct{ *Console }

func (c groups) mount(m desk.Mounting) {
	m.Get("GET "+groupsPath, c.list)
	m.Get("GET "+groupsPath+"/new", c.showNew)
	m.Post("POST "+groupsPath+"/new", "reason.group", groupsPath+"/new", c.add)
	m.Get("GET "+groupsPath+"/{id}", c.show)
	change := func(name string, h desk.Handler) {
		m.Post("POST "+groupsPath+"/{id}/"+name, "reason.group", groupsPath, h)
	}
	change("edit", c.edit)
	change("add", c.addMember)
	change("drop", c.dropMember)
	change("nest", c.nest)
	change("unnest", c.unnest)
	change("remove", c.remove)
}

func groupPath(id string, more ...string) string {
	return desk.LinkTo(groupsPath+"/"+url.PathEscape(id), more...)
}

type groupList struct {
	Groups          []directory.Group
	Query           string
	Newest, Further string
	Notice          words.Text
	May             bool
	Files           map[string]string // that manage them, by ID
}

// list shows groups by name, from the one that was searched for.
func (c groups) list(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	q, after := desk.Query(r.URL.Query(), "q"), desk.Query(r.URL.Query(), "after")
	p := groupList{Query: q, Notice: desk.Done(r), May: v.Changes()}
	from := after
	if after == "" && q != "" {
		from = q
		g, err := c.cfg.Operations.Groups.Find(r.Context(), v.Actor, q)
		if err == nil {
			p.Groups = append(p.Groups, g)
		} else if !errors.Is(err, idp.ErrNotFound) {
			return err
		}
	}
	found, err := c.cfg.Operations.Groups.List(r.Context(), v.Actor, from, pageSize+1)
	if err != nil {
		return err
	}
	if len(found) > pageSize {
		found = found[:pageSize]
		p.Further = desk.LinkTo(groupsPath, "after", found[pageSize-1].Name)
	}
	if after != "" || q != "" {
		p.Newest = groupsPath
	}
	p.Groups = append(p.Groups, found...)
	ids := idsOf(p.Groups, func(g directory.Group) string { return g.ID })
	if p.Files, err = c.marks.Sources(r.Context(), declared.Group, ids...); err != nil {
		return err
	}
	return c.render(w, r, v, "groups", web.Page{Nav: "Groups", Data: p})
}

type groupFormPage struct{ desk.Form }

func groupForm(name, description string) desk.Form {
	return desk.Form{Sections: []desk.Section{{Open: true, Fields: []desk.Field{
		{Kind: desk.KindText, Name: "name", Key: "console.group.name", Value: name, Test: "group-name", Required: true},
		{
			Kind: desk.KindText, Name: "description", Key: "console.group.description", Value: description,
			Test: "group-description",
		},
	}}}}
}

func (c groups) showNew(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.render(w, r, v, "group-new", web.Page{Nav: "Groups", Data: groupFormPage{groupForm("", "")}})
}

func groupInput(f url.Values) admin.GroupInput {
	return admin.GroupInput{
		Name: strings.TrimSpace(f.Get("name")), Description: strings.TrimSpace(f.Get("description")),
	}
}

func (c groups) add(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	in := groupInput(r.PostForm)
	g, err := c.cfg.Operations.Groups.Create(r.Context(), v.Actor, in)
	if faults, wrong := desk.FaultsOf(err); wrong {
		p := groupFormPage{groupForm(in.Name, in.Description)}
		p.Blame(faults, nil)
		return c.render(w, r, v, "group-new", web.Page{Nav: "Groups", Status: http.StatusUnprocessableEntity, Data: p})
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, groupPath(g.ID, "done", "group.added"))
}

type groupPage struct {
	desk.Form
	Group           directory.Group
	Version         string
	Parents         []directory.Group
	Children        []directory.Group
	Members         []idp.User
	MemberFault     string // what is wrong with the address of a new member
	ParentFault     string
	Typed           string
	Newest, Further string
	Clients         []clientRow
	Notice          words.Text
	May             bool
	Directory       words.Text // which directory manages the group; zero: none
	File            string     // that manages it; empty: none
	Edits           bool       // the visitor may change more than its members
}

func (c groups) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.showWith(w, r, v, func(*groupPage) {})
}

// showWith shows a group, after a change to its page.
func (c groups) showWith(w http.ResponseWriter, r *http.Request, v desk.Visitor, change func(*groupPage)) error {
	ctx, ops, id := r.Context(), c.cfg.Operations, r.PathValue("id")
	g, err := ops.Groups.Get(ctx, v.Actor, id)
	if err != nil {
		return err
	}
	p := groupPage{
		Group: g, Form: groupForm(g.Name, g.Description), Version: desk.VersionOf(g.UpdatedAt),
		Notice: desk.Done(r), May: v.Changes(),
	}
	kept, err := managed.New(c.cfg.DB).Group(ctx, id)
	if err != nil {
		return err
	}
	if p.Directory, err = c.managedBy(ctx, kept.Managed, "console.managed.group"); err != nil {
		return err
	}
	if p.File, err = c.marks.Of(ctx, declared.Group, id); err != nil {
		return err
	}
	p.Edits = p.May && p.File == ""
	around, err := ops.Groups.Around(ctx, v.Actor, id)
	if err != nil {
		return err
	}
	p.Parents, p.Children = around.Parents, around.Children
	after := desk.Query(r.URL.Query(), "after")
	if p.Members, err = ops.Groups.Members(ctx, v.Actor, id, after, pageSize+1); err != nil {
		return err
	}
	if len(p.Members) > pageSize {
		p.Members = p.Members[:pageSize]
		p.Further = groupPath(id, "after", p.Members[pageSize-1].ID)
	}
	if after != "" {
		p.Newest = groupPath(id)
	}
	all, err := ops.Clients.List(ctx, v.Actor)
	if err != nil {
		return err
	}
	for _, cl := range all {
		if slices.Contains(cl.AllowedGroups, g.Name) {
			p.Clients = append(p.Clients, clientRow{ID: cl.ID, Name: cl.Name, URL: clientPath("show", cl.ID)})
		}
	}
	change(&p)
	status := 0
	if p.Count > 0 || p.MemberFault != "" || p.ParentFault != "" {
		status = http.StatusUnprocessableEntity
	}
	return c.render(w, r, v, "group", web.Page{Nav: "Groups", Status: status, Data: p})
}

func (c groups) edit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	version, err := desk.ReadVersion(r.PostForm)
	if err != nil {
		return err
	}
	in, id := groupInput(r.PostForm), r.PathValue("id")
	_, err = c.cfg.Operations.Groups.Change(r.Context(), v.Actor, id, in, version)
	if faults, wrong := desk.FaultsOf(err); wrong {
		return c.showWith(w, r, v, func(p *groupPage) {
			p.Form, p.Version = groupForm(in.Name, in.Description), r.PostForm.Get("version")
			p.Blame(faults, nil)
		})
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, groupPath(id, "done", "group.changed"))
}

func (c groups) addMember(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id, typed := r.PathValue("id"), desk.Query(r.PostForm, "email")
	u, err := c.cfg.Operations.Users.Find(r.Context(), v.Actor, typed)
	if errors.Is(err, idp.ErrNotFound) {
		return c.showWith(w, r, v, func(p *groupPage) {
			p.MemberFault, p.Typed = "there is no user with this address", typed
		})
	}
	if err == nil {
		err = c.cfg.Operations.Groups.AddMembers(r.Context(), v.Actor, id, u.ID)
	}
	if faults, wrong := desk.FaultsOf(err); wrong {
		return c.showWith(w, r, v, func(p *groupPage) { p.MemberFault, p.Typed = faults[0].Text, typed })
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, groupPath(id, "done", "group.joined"))
}

func (c groups) dropMember(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := r.PathValue("id")
	if err := c.cfg.Operations.Groups.RemoveMembers(r.Context(), v.Actor, id, desk.Query(r.PostForm, "user")); err != nil {
		return err
	}
	return desk.SeeOther(w, r, groupPath(id, "done", "group.left"))
}

func (c groups) nest(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id, typed := r.PathValue("id"), desk.Query(r.PostForm, "parent")
	parent, err := c.cfg.Operations.Groups.Find(r.Context(), v.Actor, typed)
	if errors.Is(err, idp.ErrNotFound) {
		return c.showWith(w, r, v, func(p *groupPage) { p.ParentFault = "there is no group with this name" })
	}
	if err == nil {
		err = c.cfg.Operations.Groups.Nest(r.Context(), v.Actor, id, parent.ID)
	}
	if faults, wrong := desk.FaultsOf(err); wrong {
		return c.showWith(w, r, v, func(p *groupPage) { p.ParentFault = faults[0].Text })
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, groupPath(id, "done", "group.changed"))
}

func (c groups) unnest(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := r.PathValue("id")
	err := c.cfg.Operations.Groups.Unnest(r.Context(), v.Actor, id, desk.Query(r.PostForm, "parent"))
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return err
	}
	return desk.SeeOther(w, r, groupPath(id, "done", "group.changed"))
}

func (c groups) remove(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	err := c.cfg.Operations.Groups.Remove(r.Context(), v.Actor, r.PathValue("id"))
	if faults, wrong := desk.FaultsOf(err); wrong {
		return c.showWith(w, r, v, func(p *groupPage) { p.Faults, p.Count = []string{faults.Error()}, len(faults) })
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, desk.LinkTo(groupsPath, "done", "group.removed"))
}
