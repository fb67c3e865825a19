// Package desk is what the admin's pages have in common: who may see them, how a change is confirmed, and forms.
//
//	GET   needs a session and a role that reads
//	POST  needs a step-up of class admin as well: without one, the form is kept, the person confirms, and the form is
//	      sent on (GET /admin/resume/{id}), so that nobody types it twice
//
// Whether the person may do what the form says is decided by the operation, which reads their role anew.
package desk

import (
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// ActionClass is the class of the step-up before a change.
const ActionClass = "admin"

// Path is where the admin's pages are.
const Path = "/admin"

//go:embed parts/_parts.html
var parts embed.FS

// Config wires a Desk. All fields are needed.
type Config struct {
	Shell     *web.Shell
	Sessions  *session.Sessions
	DB        *store.DB
	Ephemeral ephemeral.Store
	// Require is login.Login.Require.
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
}

// A Desk is where admins are received. It is safe for concurrent use.
type Desk struct {
	cfg    Config
	house  *house.House
	drafts ephemeral.Bucket[draft]
	// changes has the handlers of all POSTs, for forms that were kept until their sender had confirmed.
	changes *http.ServeMux
}

// New returns a Desk.
func New(cfg Config) *Desk {
	return &Desk{
		cfg:     cfg,
		house:   house.New(house.Config{Shell: cfg.Shell, Sessions: cfg.Sessions, DB: cfg.DB, Require: cfg.Require}),
		drafts:  ephemeral.NewBucket[draft](cfg.Ephemeral, "console", draftTTL),
		changes: http.NewServeMux(),
	}
}

// Parse parses the pages of a package, with the templates of this one.
func (d *Desk) Parse(files fs.FS) (*web.Pages, error) {
	return d.cfg.Shell.Parse(withParts{files}, "pages/*.html", "parts/_parts.html")
}

// withParts is a file system with the templates of this package.
type withParts struct{ fs.FS }

// Open implements fs.FS.
func (f withParts) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "parts/") {
		return parts.Open(name)
	}
	return f.FS.Open(name)
}

// Mount returns what adds pages to the browser's mux, the one behind the cross-origin check.
func (d *Desk) Mount(mux *http.ServeMux) Mounting {
	d.cfg.Shell.Handle(mux, "GET "+resumePath+"{id}", d.resume)
	return Mounting{d, mux}
}

// A Visitor is a signed-in person with a role.
type Visitor struct {
	Session *idp.Session
	User    idp.User
	Actor   admin.Actor
}

// A Handler answers a request of a visitor. What an operation refused, it returns.
type Handler func(http.ResponseWriter, *http.Request, Visitor) error

// Mounting adds pages to a mux.
type Mounting struct {
	*Desk
	mux *http.ServeMux
}

// Get mounts a page that only reads.
func (m Mounting) Get(pattern string, h Handler) {
	m.cfg.Shell.Handle(m.mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
		v, ok, err := m.visit(w, r, "", "reason.console", r.URL.RequestURI())
		if !ok || err != nil {
			return err
		}
		return said(h(w, r, v))
	})
}

// Post mounts a change. reason is the key of the sentences shown while the person confirms; back is the page for those
// who are not signed in any more.
func (m Mounting) Post(pattern, reason, back string, h Handler) {
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

// Start mounts a form that begins something and changes nothing, so that it needs no confirmation.
func (m Mounting) Start(pattern, back string, h Handler) {
	m.cfg.Shell.Handle(m.mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
		if err := web.ReadForm(r); err != nil {
			return err
		}
		v, ok, err := m.visit(w, r, "", "reason.console", back)
		if !ok || err != nil {
			return err
		}
		return said(h(w, r, v))
	})
}

// Upload mounts a page for a file or a secret, and the change that takes it. Neither is kept while its sender confirms,
// so the page asks for the confirmation before the file is chosen; nothing of it is read from anybody else.
func (m Mounting) Upload(path, reason string, show, take Handler) {
	confirmed := func(h Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			v, ok, err := m.visit(w, r, ActionClass, reason, r.URL.RequestURI())
			if !ok || err != nil {
				return err
			}
			return said(h(w, r, v))
		}
	}
	m.cfg.Shell.Handle(m.mux, "GET "+path, confirmed(show))
	m.cfg.Shell.Handle(m.mux, "POST "+path, confirmed(take))
}

// visit returns the visitor; false if the request is answered, or an error.
func (d *Desk) visit(
	w http.ResponseWriter, r *http.Request, class, reason, returnTo string,
) (v Visitor, ok bool, err error) {
	at, ok, err := d.house.Visit(w, r, house.Need{Class: class, Reason: reason, ReturnTo: returnTo})
	if err != nil || !ok {
		return v, false, err
	}
	if !at.User.Role.Reads() {
		return v, false, &web.Problem{
			Status: http.StatusForbidden, Words: "console.norole", Args: []any{"email", at.User.Email}, NextURL: "/account",
		}
	}
	return Visitor{at.Session, at.User, actorOf(r, at.Session)}, true, nil
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

// FaultsOf returns the faults that an operation found; false if err is something else.
func FaultsOf(err error) (directory.Faults, bool) { return errors.AsType[directory.Faults](err) }

// rail is the navigation: seven words.
var rail = []web.Link{
	{Name: "Home", Text: words.T("console.rail.home"), URL: Path},
	{Name: "Clients", Text: words.T("console.rail.clients"), URL: Path + "/clients"},
	{Name: "People", Text: words.T("console.rail.people"), URL: Path + "/users"},
	{Name: "Groups", Text: words.T("console.rail.groups"), URL: Path + "/groups"},
	{Name: "Policy", Text: words.T("console.rail.policy"), URL: Path + "/policy"},
	{Name: "Events", Text: words.T("console.rail.events"), URL: Path + "/events"},
	{Name: "Account", Text: words.T("console.rail.account"), URL: "/account"},
}

// Render renders a page of the console.
func (d *Desk) Render(
	w http.ResponseWriter, r *http.Request, pages *web.Pages, v Visitor, template string, p web.Page,
) error {
	p.Name, p.Layout, p.Rail, p.SignOutURL = "admin", web.LayoutHouse, rail, "/account/signout"
	p.User = &web.Chip{Name: v.User.Name, Email: v.User.Email}
	return d.cfg.Shell.Render(w, r, pages, template, p)
}

// Done returns what a change did, for the page after it: the query names a text of the catalogue.
func Done(r *http.Request) words.Text {
	key := "console.done." + r.URL.Query().Get("done")
	if !words.Has(key) {
		return words.Text{}
	}
	return words.T(key)
}

// SeeOther redirects to a page of the console.
var SeeOther = house.SeeOther

// Changes and Supports report whether a visitor's role may change things, or make recovery links and sign people out.
// Pages hide what they may not do; operations refuse it.
func (v Visitor) Changes() bool {
	return v.User.Role == directory.RoleAdmin || v.User.Role == directory.RoleOwner
}

// Supports is described at Changes.
func (v Visitor) Supports() bool { return v.Changes() || v.User.Role == directory.RoleSupport }

// IsAlready reports whether nothing was left to change.
func IsAlready(err error) bool {
	return errors.Is(err, admin.ErrAlready) || errors.Is(err, admin.ErrNotDisabled)
}

// Fault returns a fault of a field.
func Fault(field, text string) directory.Fault {
	return directory.Fault{Field: field, Text: text}
}

// VersionOf is how a form carries the version of the object that it shows.
func VersionOf(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ReadVersion returns the version in a form.
func ReadVersion(f url.Values) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, f.Get("version"))
	if err != nil {
		return at, &web.Problem{Status: http.StatusBadRequest, Words: "problem.unread", Err: err}
	}
	return at, nil
}
