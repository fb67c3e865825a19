package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recipe"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const (
	clientsPath = Path + "/clients"
	pageSize    = 50
)

// clients has the pages of clients.
type clients struct{ *Console }

func (c clients) mount(m desk.Mounting) {
	m.Get("GET "+clientsPath, c.list)
	m.Get("GET "+clientsPath+"/choose", c.choose)
	m.Get("GET "+clientsPath+"/new", c.showNew)
	m.Post("POST "+clientsPath+"/new", "reason.client", clientsPath+"/choose", c.add)
	// The ID is in the query: it may be a URL, which a path cannot hold.
	m.Get("GET "+clientsPath+"/show", c.show)
	m.Get("GET "+clientsPath+"/edit", c.showEdit)
	m.Post("POST "+clientsPath+"/edit", "reason.client", clientsPath, c.edit)
	ops := c.cfg.Operations.Clients
	m.Post("POST "+clientsPath+"/disable", "reason.client", clientsPath, c.do("disabled", ops.Disable))
	m.Post("POST "+clientsPath+"/enable", "reason.client", clientsPath, c.do("enabled", ops.Enable))
	m.Post("POST "+clientsPath+"/remove", "reason.client", clientsPath, c.remove)
	m.Post("POST "+clientsPath+"/secret", "reason.client", clientsPath, c.addSecret)
	m.Post("POST "+clientsPath+"/secret/remove", "reason.client", clientsPath, c.removeSecret)
}

// sendsPath returns the address of the page about sending people to a client.
func sendsPath(id string) string { return desk.LinkTo(Path+"/provisioning", "id", id) }

// clientPath returns the address of a page about a client.
func clientPath(page, id string, more ...string) string {
	return desk.LinkTo(clientsPath+"/"+page, append([]string{"id", id}, more...)...)
}

type clientRow struct {
	ID, Name, Host, URL string
	Disabled, Dynamic   bool
	CreatedAt           time.Time
	File                string // that manages it; empty: none
}

type clientList struct {
	Rows            []clientRow
	Query           string
	Newest, Further string // links; empty: none
	Notice          words.Text
	May             bool // change clients
}

func (c clients) list(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	q, after := desk.Query(r.URL.Query(), "q"), desk.Query(r.URL.Query(), "after")
	found, err := c.cfg.Operations.Clients.Search(r.Context(), v.Actor, q, after, pageSize+1)
	if err != nil {
		return err
	}
	p := clientList{Query: q, Notice: desk.Done(r), May: v.Changes()}
	if len(found) > pageSize {
		found = found[:pageSize]
		p.Further = desk.LinkTo(clientsPath, "q", q, "after", found[pageSize-1].ID)
	}
	if after != "" {
		p.Newest = desk.LinkTo(clientsPath, "q", q)
	}
	ids := idsOf(found, func(cl idp.Client) string { return cl.ID })
	files, err := c.marks.Sources(r.Context(), declared.Client, ids...)
	if err != nil {
		return err
	}
	for _, cl := range found {
		row := clientRow{
			ID: cl.ID, Name: cl.Name, URL: clientPath("show", cl.ID), Disabled: !cl.DisabledAt.IsZero(), Dynamic: cl.Dynamic,
			CreatedAt: cl.CreatedAt, File: files[cl.ID],
		}
		if len(cl.RedirectURIs) > 0 {
			row.Host = hostOf(cl.RedirectURIs[0])
		}
		p.Rows = append(p.Rows, row)
	}
	return c.render(w, r, v, "clients", web.Page{Nav: "Clients", Data: p})
}

func idsOf[T any](list []T, id func(T) string) (ids []string) {
	for _, t := range list {
		ids = append(ids, id(t))
	}
	return ids
}

type choosePage struct{ Applications []recipe.Recipe }

func (c clients) choose(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.render(w, r, v, "client-choose", web.Page{Nav: "Clients", Data: choosePage{recipe.Recipes}})
}

type clientFormPage struct {
	desk.Form
	New          bool
	Name, Action string // of an existing client; where the form goes
	ID           string // of an existing client
	Recipe       string // of a new client
	Version      string
}

// addressField asks for the address of an application whose redirect URIs follow from it.
func addressField(rec recipe.Recipe, typed string) *desk.Field {
	if rec.ID == "" || rec.NoAddress {
		return nil
	}
	return &desk.Field{
		Kind: desk.KindText, Name: "address", Key: "console.client.address", Value: typed, Example: rec.Example,
		Test: "client-address", Required: true,
	}
}

func (c clients) showNew(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	cl := newClient(time.Now())
	rec, known := recipe.ByID(r.URL.Query().Get("recipe"))
	if known {
		cl = rec.Client("")
	}
	return c.render(w, r, v, "client-form", web.Page{Nav: "Clients", Data: clientFormPage{
		Form: c.clientForm(cl, true, addressField(rec, "")), New: true, Action: clientsPath + "/new", Recipe: rec.ID,
		Name: rec.Name,
	}})
}

func (c clients) add(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	f := r.PostForm
	rec, known := recipe.ByID(f.Get("recipe"))
	base, address := newClient(time.Now()), ""
	_, typed := f["address"]
	wrong := false
	if known {
		var ok bool
		if address, ok = recipe.ParseAddress(f.Get("address")); typed && !ok {
			wrong = true
		}
		base = rec.Client(address)
		base.CreatedAt, base.UpdatedAt = time.Now(), time.Now()
	}
	cl, faults := c.readClient(base, f)
	if wrong {
		faults = append(faults, desk.Fault("address", "must be the address of the application, such as "+rec.Example))
	}
	cl.ID = cmp.Or(strings.TrimSpace(f.Get("client_id")), idp.NewID())
	if known && rec.API && len(cl.Audience) == 0 && address != "" {
		cl.Audience = []string{address + "/"}
	}
	var secret idp.Secret
	if cl.AuthMethod == idp.AuthMethodBasic || cl.AuthMethod == idp.AuthMethodPost {
		secret = cl.AddSecret(time.Now())
	}
	err := faults.Err()
	if err == nil {
		err = c.cfg.Operations.Clients.Add(r.Context(), v.Actor, cl)
	}
	if found, wrong := desk.FaultsOf(err); wrong {
		if f.Get("client_id") == "" {
			cl.ID = ""
		}
		p := clientFormPage{
			Form: c.clientForm(cl, true, addressField(rec, f.Get("address"))), New: true, Action: clientsPath + "/new",
			Recipe: rec.ID, Name: rec.Name,
		}
		names := clientNames
		if typed {
			names = map[string]string{"redirect_uris": "address", "redirect_uri": "address"}
		}
		p.Blame(found, names)
		return c.render(w, r, v, "client-form", web.Page{Nav: "Clients", Status: http.StatusUnprocessableEntity, Data: p})
	}
	if err != nil {
		return err
	}
	return c.showSecret(w, r, v, cl, rec, secret, "client-added")
}

// A secretPage shows a secret, this once.
type secretPage struct {
	ID, Name, Issuer, Secret string
	Snippets                 []recipe.Snippet
	Recipe                   string
	URL, EditURL             string
}

func (c clients) showSecret(
	w http.ResponseWriter, r *http.Request, v desk.Visitor, cl idp.Client, rec recipe.Recipe, secret idp.Secret,
	template string,
) error {
	p := secretPage{
		ID: cl.ID, Name: cl.Name, Issuer: c.cfg.Issuer, Secret: secret.Reveal(), Recipe: rec.Name,
		URL: clientPath("show", cl.ID), EditURL: clientPath("edit", cl.ID),
	}
	p.Snippets = c.fill(rec, cl, secret.Reveal())
	return c.render(w, r, v, template, web.Page{Nav: "Clients", Once: true, Data: p})
}

// fill returns the snippets of a recipe with the values of a client.
func (c clients) fill(rec recipe.Recipe, cl idp.Client, secret string) (snippets []recipe.Snippet) {
	values := recipe.Values{Issuer: c.cfg.Issuer, ClientID: cl.ID, Secret: secret, Address: rec.Address(cl)}
	if len(cl.RedirectURIs) > 0 {
		values.Redirect = cl.RedirectURIs[0]
	}
	for _, s := range rec.Snippets {
		snippets = append(snippets, recipe.Snippet{Place: recipe.Snippet{Text: s.Place}.Fill(values), Text: s.Fill(values)})
	}
	return snippets
}

type clientPage struct {
	idp.Client
	Issuer     string
	Who        words.Text
	Auth       words.Text
	Disabled   bool
	Notice     words.Text
	May        bool
	EditURL    string
	Used       registry.Usage
	Shared     []secretRow // its secrets
	EventURL   string
	SendsURL   string // provisioning over SCIM
	ExplainURL string
	Recipe     recipe.Recipe
	Recipes    []desk.Choice
	Snippets   []recipe.Snippet
	File       string // that manages the client; empty: none
	Edits      bool   // the visitor may change it here
	Rotates    bool   // and its secrets
}

func (c clients) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	cl, err := c.cfg.Operations.Clients.Get(r.Context(), v.Actor, desk.Query(r.URL.Query(), "id"))
	if err != nil {
		return err
	}
	rec, known := recipe.ByID(r.URL.Query().Get("recipe"))
	if !known {
		rec, _ = recipe.Of(cl)
	}
	p := clientPage{
		Client: cl, Issuer: c.cfg.Issuer, Who: whoWords(cl), Auth: methodWords(authOf(cl)), Disabled: !cl.DisabledAt.IsZero(),
		Notice: desk.Done(r), May: v.Changes(), EditURL: clientPath("edit", cl.ID), Recipe: rec,
		Snippets: c.fill(rec, cl, "CLIENT_SECRET"),
	}
	if p.File, err = c.marks.Of(r.Context(), declared.Client, cl.ID); err != nil {
		return err
	}
	listed, err := c.marks.Of(r.Context(), declared.Secrets, cl.ID)
	if err != nil {
		return err
	}
	p.Edits, p.Rotates = p.May && p.File == "", p.May && listed == ""
	used, err := c.cfg.Operations.Clients.Usage(r.Context(), v.Actor, cl.ID)
	if err != nil {
		return err
	}
	p.Used, p.EventURL = used[cl.ID], desk.LinkTo(eventsPath, "client", cl.ID)
	p.SendsURL = sendsPath(cl.ID)
	p.ExplainURL = desk.LinkTo(explainPath, "client", cl.ID)
	for _, secret := range cl.Secrets {
		p.Shared = append(p.Shared, secretRow{
			ID: secret.ID, Name: secret.Name, CreatedAt: secret.CreatedAt, ExpiresAt: secret.ExpiresAt,
			UsedAt: p.Used.Secrets[secret.ID], Expired: !secret.ExpiresAt.IsZero() && time.Now().After(secret.ExpiresAt),
			Last: len(cl.Secrets) == 1,
		})
	}
	for _, each := range recipe.Recipes {
		p.Recipes = append(p.Recipes, desk.Choice{Value: each.ID, Name: each.Name, On: each.ID == rec.ID})
	}
	return c.render(w, r, v, "client", web.Page{Nav: "Clients", Data: p})
}

// A secretRow is a secret as the page shows it.
type secretRow struct {
	ID, Name                     string
	CreatedAt, ExpiresAt, UsedAt time.Time
	Expired, Last                bool
}

// addSecret adds a secret; the ones before it go on working, so that the application can change over.
func (c clients) addSecret(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := desk.Query(r.PostForm, "id")
	in := admin.NewSecret{Name: strings.TrimSpace(r.PostForm.Get("name"))}
	secret, _, err := c.cfg.Operations.Clients.AddSecret(r.Context(), v.Actor, id, in, time.Time{})
	if _, wrong := desk.FaultsOf(err); wrong {
		return &web.Problem{
			Status: http.StatusUnprocessableEntity, Words: "console.secrets.full", NextURL: clientPath("show", id), Err: err,
		}
	}
	if err != nil {
		return err
	}
	cl, err := c.cfg.Operations.Clients.Get(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	rec, _ := recipe.Of(cl)
	return c.showSecret(w, r, v, cl, rec, secret, "client-secret")
}

func (c clients) removeSecret(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := desk.Query(r.PostForm, "id")
	err := c.cfg.Operations.Clients.RemoveSecret(r.Context(), v.Actor, id, desk.Query(r.PostForm, "secret"), time.Time{})
	if _, wrong := desk.FaultsOf(err); wrong {
		return &web.Problem{
			Status: http.StatusConflict, Words: "console.secrets.last", NextURL: clientPath("show", id), Err: err,
		}
	}
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return err
	}
	return desk.SeeOther(w, r, clientPath("show", id, "done", "client.secretremoved"))
}

func (c clients) showEdit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	cl, err := c.cfg.Operations.Clients.Get(r.Context(), v.Actor, desk.Query(r.URL.Query(), "id"))
	if err != nil {
		return err
	}
	if file, err := c.marks.Of(r.Context(), declared.Client, cl.ID); err != nil {
		return err
	} else if file != "" { // before anybody fills the form in
		return desk.ManagedBy(file, clientPath("show", cl.ID))
	}
	return c.render(w, r, v, "client-form", web.Page{Nav: "Clients", Data: c.editPage(cl)})
}

func (c clients) editPage(cl idp.Client) clientFormPage {
	return clientFormPage{
		Form: c.clientForm(cl, false, nil), Name: cl.Name, Action: clientPath("edit", cl.ID),
		ID: cl.ID, Version: desk.VersionOf(cl.UpdatedAt),
	}
}

func (c clients) edit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	id := desk.Query(r.URL.Query(), "id")
	was, err := c.cfg.Operations.Clients.Get(r.Context(), v.Actor, id)
	if err != nil {
		return err
	}
	version, err := desk.ReadVersion(r.PostForm)
	if err != nil {
		return err
	}
	cl, faults := c.readClient(was, r.PostForm)
	err = faults.Err()
	if err == nil {
		_, err = c.cfg.Operations.Clients.Change(r.Context(), v.Actor, id, cl, version)
	}
	if found, wrong := desk.FaultsOf(err); wrong {
		p := c.editPage(cl)
		p.Name, p.Version = was.Name, r.PostForm.Get("version")
		p.Blame(found, clientNames)
		return c.render(w, r, v, "client-form", web.Page{Nav: "Clients", Status: http.StatusUnprocessableEntity, Data: p})
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, clientPath("show", id, "done", "client.changed"))
}

// do returns the handler of a change that needs only the ID.
func (c clients) do(what string, change func(context.Context, admin.Actor, string) error) desk.Handler {
	return func(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
		id := desk.Query(r.PostForm, "id")
		if err := change(r.Context(), v.Actor, id); err != nil && !desk.IsAlready(err) {
			return err
		}
		return desk.SeeOther(w, r, clientPath("show", id, "done", "client."+what))
	}
}

func (c clients) remove(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if err := c.cfg.Operations.Clients.Remove(r.Context(), v.Actor, desk.Query(r.PostForm, "id")); err != nil {
		return fmt.Errorf("remove client: %w", err)
	}
	return desk.SeeOther(w, r, desk.LinkTo(clientsPath, "done", "client.removed"))
}
