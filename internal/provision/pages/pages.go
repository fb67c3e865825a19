// Package pages has the admin's pages about an application that people are sent to over SCIM. They are beside the
// console, behind the same desk.
package pages

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

//go:embed pages/*.html
var files embed.FS

const (
	path       = desk.Path + "/provisioning"
	pathEdit   = path + "/edit"
	reason     = "reason.client"
	clientPage = desk.Path + "/clients/show"
)

// Pages serves the pages of this package.
type Pages struct {
	desk  *desk.Desk
	ops   *admin.Operations
	sends *provision.Service
	pages *web.Pages
}

// Mount parses the pages and adds them.
func Mount(m desk.Mounting, operations *admin.Operations, sends *provision.Service) error {
	pages, err := m.Parse(files)
	if err != nil {
		return fmt.Errorf("pages of provisioning: %w", err)
	}
	p := &Pages{m.Desk, operations, sends, pages}
	p.mount(m)
	return nil
}

// mount adds the pages. The form has a token in it, so it is not kept while its sender confirms: they confirm before
// they see it. The ID of the client is in the query: it may be a URL.
func (p *Pages) mount(m desk.Mounting) {
	m.Get("GET "+path, p.show)
	m.Get("GET "+path+"/preview", p.preview)
	m.Upload(pathEdit, reason, p.showEdit, p.edit)
	m.Post("POST "+path+"/pause", reason, path, p.do("paused", p.sends.Pause))
	m.Post("POST "+path+"/resume", reason, path, p.do("resumed", p.sends.Resume))
	m.Post("POST "+path+"/all", reason, path, p.do("all", p.sends.SendAll))
	m.Post("POST "+path+"/remove", reason, path, p.do("removed", p.sends.Remove))
}

// at returns the address of a page about a client.
func at(page, clientID string, more ...string) string {
	return desk.LinkTo(page, append([]string{"id", clientID}, more...)...)
}

func (p *Pages) render(w http.ResponseWriter, r *http.Request, v desk.Visitor, template string, page web.Page) error {
	page.Nav = "Clients"
	return p.desk.Render(w, r, p.pages, v, template, page)
}

type showPage struct {
	ID, Name string
	There    bool // people are sent
	provision.View
	StateText                       words.Text
	Notice                          words.Text
	May                             bool
	EditURL, PreviewURL, ClientURL  string
	Pause, Resume, All, Remove, Key string
}

// Groups are the names of the groups as one text, SendGroups those that are sent.
func (p showPage) GroupNames() string { return strings.Join(p.Groups, ", ") }

// SentNames is described at GroupNames.
func (p showPage) SentNames() string { return strings.Join(p.SendGroups, ", ") }

func (p *Pages) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := desk.Query(r.URL.Query(), "id")
	c, err := p.ops.Clients.Get(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	page := showPage{
		ID: c.ID, Name: c.Name, Notice: desk.Done(r), May: v.Changes(), EditURL: at(pathEdit, c.ID),
		PreviewURL: at(path+"/preview", c.ID), ClientURL: at(clientPage, c.ID), Pause: path + "/pause",
		Resume: path + "/resume", All: path + "/all", Remove: path + "/remove",
	}
	page.View, err = p.sends.Get(r.Context(), v.Actor, id)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return err
	}
	page.There = err == nil
	page.StateText = stateOf(page.View)
	return p.render(w, r, v, "provisioning", web.Page{Data: page})
}

func stateOf(v provision.View) words.Text {
	switch {
	case v.PausedBy == provisioning.ByFailures:
		return words.T("console.sends.stopped")
	case v.Paused():
		return words.T("console.sends.off")
	case v.Failures > 0:
		return words.T("console.sends.retry")
	}
	return words.T("console.sends.on")
}

type formPage struct {
	desk.Form
	ID, Name, Action, Version string
}

func (p *Pages) showEdit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := desk.Query(r.URL.Query(), "id")
	c, err := p.ops.Clients.Get(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	known, err := p.sends.Get(r.Context(), v.Actor, id)
	in := provision.Input{
		BaseURL: known.Settings.BaseURL, Groups: known.Groups, SendGroups: known.SendGroups,
		Attributes: known.Settings.Attributes, Claims: known.Settings.Claims, Delete: known.Settings.Delete,
	}
	if errors.Is(err, idp.ErrNotFound) {
		in.Attributes, err = provision.DefaultAttributes, nil
	}
	if err != nil {
		return err
	}
	return p.form(w, r, v, c, in, desk.VersionOf(known.UpdatedAt), nil)
}

// form renders the form with an input, without its token.
func (p *Pages) form(
	w http.ResponseWriter, r *http.Request, v desk.Visitor, c idp.Client, in provision.Input, version string,
	faults directory.Faults,
) error {
	text := func(name, value, example string) desk.Field {
		return desk.Field{
			Kind: desk.KindText, Name: name, Key: "console.sends." + name, Value: value, Example: example, Test: "sends-" + name,
		}
	}
	var claims []string
	for _, claim := range slices.Sorted(maps.Keys(in.Claims)) {
		claims = append(claims, claim+" "+in.Claims[claim])
	}
	address := text("base_url", in.BaseURL, "https://app.example.com/scim/v2")
	address.Required = true
	page := formPage{
		ID: c.ID, Name: c.Name, Action: at(pathEdit, c.ID), Version: version,
		Form: desk.Form{Sections: []desk.Section{
			{Open: true, Fields: []desk.Field{address, text("token", "", "")}},
			{Open: true, Fields: []desk.Field{
				text("groups", strings.Join(in.Groups, ", "), ""), text("send_groups", strings.Join(in.SendGroups, ", "), ""),
				{Kind: desk.KindCheck, Name: "delete", Key: "console.sends.delete", On: in.Delete, Test: "sends-delete"},
			}},
			{Open: true, Fields: []desk.Field{
				{
					Kind: desk.KindChecks, Name: "attributes", Key: "console.sends.attributes",
					Choices: desk.Choices(provision.Attributes, in.Attributes...),
				},
				{
					Kind: desk.KindLines, Name: "claims", Key: "console.sends.claims", Value: strings.Join(claims, "\n"),
					Test: "sends-claims",
				},
			}},
		}},
	}
	status := 0
	if len(faults) > 0 {
		status = http.StatusUnprocessableEntity
		page.Blame(faults, nil)
	}
	return p.render(w, r, v, "provisioning-form", web.Page{Status: status, Data: page})
}

func (p *Pages) edit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	c, err := p.ops.Clients.Get(r.Context(), v.Actor, desk.Query(r.URL.Query(), "id"))
	if err != nil {
		return err
	}
	in, faults := read(r.PostForm)
	version, err := desk.ReadVersion(r.PostForm)
	if err != nil {
		return err
	}
	err = faults.Err()
	if err == nil && version.IsZero() {
		err = p.none(r.Context(), v, c.ID)
	}
	if err == nil {
		_, err = p.sends.Set(r.Context(), v.Actor, c.ID, in, version)
	}
	if found, wrong := desk.FaultsOf(err); wrong {
		return p.form(w, r, v, c, in, r.PostForm.Get("version"), found)
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, at(path, c.ID, "done", "sends.saved"))
}

// none is admin.ErrStale if people are sent to a client by now.
func (p *Pages) none(ctx context.Context, v desk.Visitor, clientID string) error {
	_, err := p.sends.Get(ctx, v.Actor, clientID)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return nil
	case err == nil:
		return admin.ErrStale
	}
	return err
}

// read returns the input of a form.
func read(f url.Values) (in provision.Input, faults directory.Faults) {
	in = provision.Input{
		BaseURL: strings.TrimSpace(f.Get("base_url")), Token: idp.Secret(strings.TrimSpace(f.Get("token"))),
		Groups: desk.Listed(f.Get("groups")), SendGroups: desk.Listed(f.Get("send_groups")),
		Attributes: desk.Checked(f, "attributes", provision.Attributes), Claims: map[string]string{},
		Delete: f.Get("delete") != "",
	}
	if in.Attributes == nil {
		in.Attributes = []string{}
	}
	for _, line := range desk.Lines(f, "claims") {
		claim, attribute, ok := strings.Cut(line, " ")
		if !ok {
			faults = append(faults, desk.Fault("claims", fmt.Sprintf("%q needs a claim and an attribute", line)))
		}
		in.Claims[claim] = strings.TrimSpace(attribute)
	}
	return in, faults
}
