package rules

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const claimsPath = desk.Path + "/claims"

// claims has the pages of the claims that admins define.
type claims struct{ *Rules }

func (c claims) mount(m desk.Mounting) {
	m.Get("GET "+claimsPath, c.list)
	m.Get("GET "+claimsPath+"/edit", c.showEdit)
	m.Post("POST "+claimsPath+"/edit", "reason.claims", claimsPath, c.edit)
	m.Post("POST "+claimsPath+"/remove", "reason.claims", claimsPath, c.remove)
	values(c).mount(m)
}

// A claimRow is a claim as the list shows it.
type claimRow struct {
	directory.Claim
	TypeText     words.Text
	Seen, Edited []words.Text
	EditURL      string
}

type claimList struct {
	Rows   []claimRow
	Notice words.Text
	May    bool
}

func (c claims) list(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	defined, err := c.ops.Claims.List(r.Context(), v.Actor)
	if err != nil {
		return err
	}
	p := claimList{Notice: desk.Done(r), May: v.Changes()}
	for _, d := range defined {
		p.Rows = append(p.Rows, claimRow{
			Claim: d, TypeText: words.T("console.claim.type." + string(d.Type)), Seen: parties(d.SeenBy),
			Edited: parties(d.EditedBy), EditURL: desk.LinkTo(claimsPath+"/edit", "name", d.Name),
		})
	}
	return c.render(w, r, v, "claims", web.Page{Data: p})
}

func parties(list []directory.Party) (texts []words.Text) {
	for _, p := range directory.Parties {
		if slices.Contains(list, p) {
			texts = append(texts, words.T("console.claim.party."+string(p)))
		}
	}
	return texts
}

// Seers and Editors are the parties as one text.
func (r claimRow) Seers() words.Text { return words.Join("list.comma", r.Seen...) }

// Editors is described at Seers.
func (r claimRow) Editors() words.Text { return words.Join("list.comma", r.Edited...) }

type claimFormPage struct {
	desk.Form
	Name string // of an existing claim
}

// form returns the form of a claim. The name and the type of an existing one stay.
func (c claims) form(d directory.Claim, isNew bool) desk.Form {
	text := func(name, value string) desk.Field {
		return desk.Field{Kind: desk.KindText, Name: name, Key: "console.claim." + name, Value: value, Test: "claim-" + name}
	}
	several := func(name string, on []directory.Party) desk.Field {
		f := desk.Field{Kind: desk.KindChecks, Name: name, Key: "console.claim." + name}
		for _, p := range directory.Parties {
			f.Choices = append(f.Choices, desk.Choice{
				Value: string(p), Text: words.T("console.claim.party." + string(p)), On: slices.Contains(on, p),
			})
		}
		return f
	}
	kind := desk.Field{Kind: desk.KindSelect, Name: "type", Key: "console.claim.type", Test: "claim-type"}
	for _, t := range directory.ClaimTypes {
		kind.Choices = append(kind.Choices, desk.Choice{
			Value: string(t), Text: words.T("console.claim.type." + string(t)), On: t == d.Type,
		})
	}
	var fields []desk.Field
	if isNew {
		name := text("name", d.Name)
		name.Required, name.Example = true, "department"
		fields = append(fields, name)
	}
	return desk.Form{Sections: []desk.Section{{Open: true, Fields: append(
		fields, kind,
		desk.Field{
			Kind: desk.KindSelect, Name: "scope", Key: "console.claim.scope",
			Choices: desk.Choices(c.ops.Claims.Scopes(), d.Scope), Test: "claim-scope",
		},
		text("description", d.Description), several("seen_by", d.SeenBy), several("edited_by", d.EditedBy),
	)}}}
}

// named returns a claim by its name; idp.ErrNotFound.
func (c claims) named(r *http.Request, v desk.Visitor, name string) (directory.Claim, error) {
	defined, err := c.ops.Claims.List(r.Context(), v.Actor)
	if err != nil {
		return directory.Claim{}, err
	}
	i := slices.IndexFunc(defined, func(d directory.Claim) bool { return d.Name == name })
	if i < 0 {
		return directory.Claim{}, idp.ErrNotFound
	}
	return defined[i], nil
}

func (c claims) showEdit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	name := desk.Query(r.URL.Query(), "name")
	both := []directory.Party{directory.PartyAdmin, directory.PartySCIM}
	d := directory.Claim{Type: directory.ClaimString, Scope: "profile", SeenBy: both, EditedBy: both}
	if name != "" {
		var err error
		if d, err = c.named(r, v, name); err != nil {
			return err
		}
		file, err := c.marks.Of(r.Context(), declared.Claim, name)
		if err != nil {
			return err
		}
		if file != "" {
			return desk.ManagedBy(file, claimsPath)
		}
	}
	return c.render(w, r, v, "claim-form", web.Page{Data: claimFormPage{c.form(d, name == ""), name}})
}

func (c claims) edit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	f, name := r.PostForm, desk.Query(r.URL.Query(), "name")
	d := directory.Claim{
		Name: name, Type: directory.ClaimType(f.Get("type")), Scope: f.Get("scope"),
		Description: strings.TrimSpace(f.Get("description")),
	}
	for _, p := range directory.Parties {
		if slices.Contains(f["seen_by"], string(p)) {
			d.SeenBy = append(d.SeenBy, p)
		}
		if slices.Contains(f["edited_by"], string(p)) {
			d.EditedBy = append(d.EditedBy, p)
		}
	}
	var err error
	if name == "" {
		d.Name = strings.TrimSpace(f.Get("name"))
		if _, taken := c.named(r, v, d.Name); taken == nil {
			err = directory.Faults{desk.Fault("name", "is defined already")}
		}
	} else {
		_, err = c.named(r, v, name) // one that was removed since is not defined anew
	}
	if err == nil {
		_, err = c.ops.Claims.Define(r.Context(), v.Actor, d)
	}
	if faults, wrong := desk.FaultsOf(err); wrong {
		p := claimFormPage{c.form(d, name == ""), name}
		p.Blame(faults, nil)
		return c.render(w, r, v, "claim-form", web.Page{Status: http.StatusUnprocessableEntity, Data: p})
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, desk.LinkTo(claimsPath, "done", "claim.saved"))
}

func (c claims) remove(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if err := c.ops.Claims.Remove(r.Context(), v.Actor, desk.Query(r.PostForm, "name")); err != nil {
		return err
	}
	return desk.SeeOther(w, r, desk.LinkTo(claimsPath, "done", "claim.removed"))
}

// values has the page of the values of a person or of a group.
type values struct{ *Rules }

func (c values) mount(m desk.Mounting) {
	m.Get("GET "+claimsPath+"/of", c.show)
	m.Post("POST "+claimsPath+"/of", "reason.claims", claimsPath, c.save)
}

// An owner is who has values.
type owner struct {
	ID, Name, URL string
	group         bool
}

type valuesPage struct {
	desk.Form
	Owner  owner
	Action string
	Others []directory.Value // that admins see and do not edit
	File   string            // that manages the group; empty: none
	Notice words.Text
	May    bool
}

// owner returns the person or group of a request.
func (c values) owner(r *http.Request, v desk.Visitor) (owner, error) {
	if id := desk.Query(r.URL.Query(), "group"); id != "" {
		g, err := c.ops.Groups.Get(r.Context(), v.Actor, id)
		return owner{g.ID, g.Name, desk.Path + "/groups/" + url.PathEscape(id), true}, err
	}
	u, err := c.ops.Users.Get(r.Context(), v.Actor, desk.Query(r.URL.Query(), "user"))
	return owner{u.ID, u.Name, desk.Path + "/users/" + url.PathEscape(u.ID), false}, err
}

func (o owner) page(more ...string) string {
	kind := "user"
	if o.group {
		kind = "group"
	}
	return desk.LinkTo(claimsPath+"/of", append([]string{kind, o.ID}, more...)...)
}

func (c values) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.showWith(w, r, v, nil, nil)
}

// showWith shows the values, or what was sent with its faults.
func (c values) showWith(
	w http.ResponseWriter, r *http.Request, v desk.Visitor, sent url.Values, faults directory.Faults,
) error {
	o, err := c.owner(r, v)
	if err != nil {
		return err
	}
	defined, err := c.ops.Claims.List(r.Context(), v.Actor)
	if err != nil {
		return err
	}
	load := c.ops.Claims.OfUser
	if o.group {
		load = c.ops.Claims.OfGroup
	}
	present, err := load(r.Context(), v.Actor, o.ID)
	if err != nil {
		return err
	}
	p := valuesPage{Owner: o, Action: o.page(), Notice: desk.Done(r), May: v.Changes()}
	if o.group {
		if p.File, err = c.marks.Of(r.Context(), declared.Group, o.ID); err != nil {
			return err
		}
	}
	var fields []desk.Field
	for _, d := range defined {
		i := slices.IndexFunc(present, func(value directory.Value) bool { return value.Claim == d.Name })
		var value directory.Value
		if i >= 0 {
			value = present[i]
		}
		switch {
		case d.MayEdit(directory.PartyAdmin) && p.May && p.File == "":
			fields = append(fields, valueField(d, value.JSON, sent))
		case i >= 0:
			p.Others = append(p.Others, value)
		}
	}
	if len(fields) > 0 {
		p.Sections = []desk.Section{{Open: true, Fields: fields}}
	}
	status := 0
	if len(faults) > 0 {
		status = http.StatusUnprocessableEntity
		p.Blame(faults, nil)
	}
	return c.render(w, r, v, "claim-values", web.Page{Status: status, Data: p})
}

// valueField returns the field of a claim: its name is the label, and its description the hint.
func valueField(d directory.Claim, value string, sent url.Values) desk.Field {
	f := desk.Field{
		Kind: desk.KindText, Name: d.Name, Title: words.T("console.plain", "text", d.Name), Value: d.Typed(value),
		Test: "value-" + d.Name,
	}
	if d.Description != "" {
		f.Help = words.T("console.plain", "text", d.Description)
	}
	if sent != nil {
		f.Value = sent.Get(d.Name)
	}
	if d.Type == directory.ClaimBoolean {
		f.Kind = desk.KindSelect
		for _, choice := range []string{"", "true", "false"} {
			f.Choices = append(f.Choices, desk.Choice{Value: choice, Name: choice, On: choice == f.Value})
		}
		f.Choices[0].Text, f.Choices[1].Text, f.Choices[2].Text = words.T("console.claim.unset"),
			words.T("console.claim.true"), words.T("console.claim.false")
	}
	return f
}

func (c values) save(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	o, err := c.owner(r, v)
	if err != nil {
		return err
	}
	defined, err := c.ops.Claims.List(r.Context(), v.Actor)
	if err != nil {
		return err
	}
	typed := map[string]json.RawMessage{}
	for _, d := range defined {
		if text, given := r.PostForm[d.Name]; given {
			typed[d.Name] = nil
			if text := strings.TrimSpace(text[0]); text != "" {
				typed[d.Name] = d.ParseValue(text)
			}
		}
	}
	set := c.ops.Claims.SetUser
	if o.group {
		set = c.ops.Claims.SetGroup
	}
	err = set(r.Context(), v.Actor, o.ID, typed)
	if faults, wrong := desk.FaultsOf(err); wrong {
		return c.showWith(w, r, v, r.PostForm, faults)
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, o.page("done", "claim.values"))
}
