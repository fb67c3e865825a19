// Package console serves the admin's pages at /admin, over the operations of package admin.
//
//	GET   needs a session and a role that reads
//	POST  needs a step-up of class admin as well: without one, the form is kept, the person confirms, and the form is
//	      sent on (GET /admin/resume/{id}), so that nobody types it twice
//
// Whether the person may do what the form says is decided by the operation, which reads their role anew.
package console

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// ActionClass is the class of the step-up before a change.
const ActionClass = "admin"

// Path is where the console is.
const Path = "/admin"

//go:embed pages/*.html
var files embed.FS

// Config wires a Console. All fields are needed.
type Config struct {
	Shell      *web.Shell
	Sessions   *session.Sessions
	DB         *store.DB
	Ephemeral  ephemeral.Store
	Operations *admin.Operations
	Policy     idp.Policy
	Issuer     string // without a trailing slash
	Version    string
	Mails      bool // whether there is a mail server
	Explain    explain.Service
	Hardware   bool // attestations are verified against metadata
	// Require is login.Login.Require.
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
}

// Console serves the pages of this package.
type Console struct {
	cfg    Config
	house  *house.House
	pages  *web.Pages
	drafts ephemeral.Bucket[draft]
	// changes has the handlers of all POSTs, for forms that were kept until their sender had confirmed.
	changes *http.ServeMux
}

// New parses the pages.
func New(cfg Config) (*Console, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("console pages: %w", err)
	}
	return &Console{
		cfg: cfg, pages: pages,
		house:   house.New(house.Config{Shell: cfg.Shell, Sessions: cfg.Sessions, DB: cfg.DB, Require: cfg.Require}),
		drafts:  ephemeral.NewBucket[draft](cfg.Ephemeral, "console", draftTTL),
		changes: http.NewServeMux(),
	}, nil
}

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (c *Console) Mount(mux *http.ServeMux) {
	m := mounting{c, mux}
	home{c}.mount(m)
	clients{c}.mount(m)
	users{c}.mount(m)
	groups{c}.mount(m)
	events{c}.mount(m)
	explainer{c}.mount(m)
	m.get("GET /admin/resume/{id}", nil)
}

// A visitor is a signed-in person with a role.
type visitor struct {
	session *idp.Session
	user    idp.User
	actor   admin.Actor
}

type handler func(http.ResponseWriter, *http.Request, visitor) error

// mounting adds pages to a mux.
type mounting struct {
	*Console
	mux *http.ServeMux
}

// get mounts a page that only reads.
func (m mounting) get(pattern string, h handler) {
	m.cfg.Shell.Handle(m.mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
		if strings.HasPrefix(r.URL.Path, resumePath) {
			return m.resume(w, r)
		}
		v, ok, err := m.visit(w, r, "", "reason.console", r.URL.RequestURI())
		if !ok || err != nil {
			return err
		}
		return said(h(w, r, v))
	})
}

// post mounts a change. reason is the key of the sentences shown while the person confirms; back is the page for those
// who are not signed in any more.
func (m mounting) post(pattern, reason, back string, h handler) {
	change := func(w http.ResponseWriter, r *http.Request) error {
		if err := web.ReadForm(r); err != nil {
			return err
		}
		if ok, err := m.confirmed(w, r, reason, back); !ok || err != nil {
			return err
		}
		v, ok, err := m.visit(w, r, ActionClass, reason, back)
		if !ok || err != nil {
			return err
		}
		return said(h(w, r, v))
	}
	m.cfg.Shell.Handle(m.mux, pattern, change)
	m.cfg.Shell.Handle(m.changes, pattern, change)
}

// visit returns the visitor; false if the request is answered, or an error.
func (c *Console) visit(
	w http.ResponseWriter, r *http.Request, class, reason, returnTo string,
) (v visitor, ok bool, err error) {
	at, ok, err := c.house.Visit(w, r, house.Need{Class: class, Reason: reason, ReturnTo: returnTo})
	if err != nil || !ok {
		return v, false, err
	}
	if !at.User.Role.Reads() {
		return v, false, &web.Problem{
			Status: http.StatusForbidden, Words: "console.norole", Args: []any{"email", at.User.Email}, NextURL: "/account",
		}
	}
	return visitor{at.Session, at.User, actorOf(r, at.Session)}, true, nil
}

// actorOf returns the person of a session as operations see them.
func actorOf(r *http.Request, sess *idp.Session) admin.Actor {
	a := admin.Actor{
		Channel: admin.ChannelConsole, UserID: sess.UserID, SessionID: sess.ID,
		Address: web.ClientAddress(r), Agent: web.Agent(r.UserAgent()), RequestID: web.RequestID(r.Context()),
	}
	for _, held := range sess.Authentications {
		for _, class := range held.OpenClasses() {
			if class == ActionClass && held.ClientID == "" { // a client's windows are not ours
				a.ConfirmedAt = held.AuthTime()
			}
		}
	}
	return a
}

// said turns what an operation refused into what people read.
func said(err error) error {
	denied, no := errors.AsType[*admin.Denied](err)
	switch {
	case err == nil:
		return nil
	case no:
		p := &web.Problem{Status: http.StatusForbidden, Words: "console.denied", NextURL: Path, Err: err}
		if key := "console.denied." + denied.Rule; words.Has(key + ".text") {
			p.Words = key
		}
		return p
	case errors.Is(err, admin.ErrStale):
		return &web.Problem{Status: http.StatusConflict, Words: "console.stale", NextURL: Path, Err: err}
	case errors.Is(err, idp.ErrNotFound):
		return &web.Problem{Status: http.StatusNotFound, Words: "console.gone", NextURL: Path, Err: err}
	}
	return err
}

// faultsOf returns the faults that an operation found; false if err is something else.
func faultsOf(err error) (directory.Faults, bool) { return errors.AsType[directory.Faults](err) }

// rail is the navigation.
var rail = []web.Link{
	{Name: "Home", Text: words.T("console.rail.home"), URL: Path},
	{Name: "Clients", Text: words.T("console.rail.clients"), URL: Path + "/clients"},
	{Name: "People", Text: words.T("console.rail.people"), URL: Path + "/users"},
	{Name: "Groups", Text: words.T("console.rail.groups"), URL: Path + "/groups"},
	{Name: "Events", Text: words.T("console.rail.events"), URL: Path + "/events"},
	{Name: "Explain", Text: words.T("console.rail.explain"), URL: Path + "/explain"},
	{Name: "Account", Text: words.T("console.rail.account"), URL: "/account"},
}

// render renders a page of the console.
func (c *Console) render(w http.ResponseWriter, r *http.Request, v visitor, template string, p web.Page) error {
	p.Name, p.Layout, p.Rail, p.SignOutURL = "admin", web.LayoutHouse, rail, "/account/signout"
	p.User = &web.Chip{Name: v.user.Name, Email: v.user.Email}
	return c.cfg.Shell.Render(w, r, c.pages, template, p)
}

// done returns what a change did, for the page after it: the query names a text of the catalogue.
func done(r *http.Request) words.Text {
	key := "console.done." + r.URL.Query().Get("done")
	if !words.Has(key) {
		return words.Text{}
	}
	return words.T(key)
}

// seeOther redirects to a page of the console.
var seeOther = house.SeeOther

// changes and supports report whether a visitor's role may change things, or make recovery links and sign people out.
// Pages hide what they may not do; operations refuse it.
func (v visitor) changes() bool {
	return v.user.Role == directory.RoleAdmin || v.user.Role == directory.RoleOwner
}

func (v visitor) supports() bool { return v.changes() || v.user.Role == directory.RoleSupport }

// isAlready reports whether nothing was left to change.
func isAlready(err error) bool {
	return errors.Is(err, admin.ErrAlready) || errors.Is(err, admin.ErrNotDisabled)
}

func directoryFault(field, text string) directory.Fault {
	return directory.Fault{Field: field, Text: text}
}
