// Package address serves the pages on which users look after their e-mail addresses: several confirmed ones, of which
// one is primary.
//
//	/account/email ─▶ add ─▶ e-mail with a code to the new address ─▶ /account/email/code ─▶ added
//	      │
//	      ├─▶ remove (the former address is told of recoveries for a while)
//	      └─▶ make primary ─▶ e-mail with a link to the former one ─▶ /account/email/undo#token (72 hours, once)
//
// Only addresses that were confirmed are ever stored beside the primary one, so each of them can sign in and recover
// the account. The pages do not say whether a new address belongs to another account; an e-mail to it does.
package address

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

//go:embed pages/*.html
var files embed.FS

// Config wires a Service. All fields are needed.
type Config struct {
	Shell     *web.Shell
	House     *house.House
	DB        *store.DB
	Ephemeral ephemeral.Store
	Mailer    *mail.Mailer
	Enrol     *enrol.Service
	Issuer    string // without a slash at the end
}

// Service serves the pages of this package.
type Service struct {
	cfg           Config
	pages         *web.Pages
	addresses     *addresses.Addresses
	confirmations ephemeral.Bucket[confirmation]
}

// New parses the pages.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages of addresses: %w", err)
	}
	return &Service{
		cfg: cfg, pages: pages, addresses: addresses.New(cfg.DB),
		confirmations: ephemeral.NewBucket[confirmation](cfg.Ephemeral, "email", enrol.CodeTTL),
	}, nil
}

const listPath = "/account/email"

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	handle := func(pattern string, need house.Need, h house.Handler) { s.cfg.House.Handle(mux, pattern, need, h) }
	handle("GET "+listPath, house.SignedIn(""), s.showList)
	handle("POST "+listPath+"/confirm", house.SignedIn(listPath), s.sendCode)
	handle("GET "+listPath+"/add", house.StepUp("reason.email", ""), s.whenOpen(s.showAdd))
	handle("POST "+listPath+"/add", house.StepUp("reason.email", listPath+"/add"), s.whenOpen(s.add))
	handle("GET "+listPath+"/code", house.SignedIn(""), s.showCode)
	handle("POST "+listPath+"/code", house.SignedIn(listPath+"/code"), s.confirm)
	handle("GET "+listPath+"/{id}/primary", house.StepUp("reason.email", ""), s.whenOpen(s.showChange))
	handle("POST "+listPath+"/{id}/primary", house.StepUp("reason.email", listPath), s.makePrimary)
	handle("GET "+listPath+"/{id}/remove", house.StepUp("reason.email", ""), s.whenOpen(s.showRemove))
	handle("POST "+listPath+"/{id}/remove", house.StepUp("reason.email", listPath), s.remove)
	s.cfg.Shell.Handle(mux, "GET "+listPath+"/undo", s.showUndo)
	s.cfg.Shell.Handle(mux, "POST "+listPath+"/undo", s.undo)
	s.cfg.Shell.Handle(mux, "GET "+listPath+"/undone", s.showUndone)
}

func (s *Service) render(
	w http.ResponseWriter, r *http.Request, v house.Visitor, template string, status int, data any,
) error {
	return s.cfg.House.Render(w, r, v, s.pages, template, web.Page{Nav: "Profile", Status: status, Data: data})
}

type listPage struct {
	Email    string // the primary one
	Verified bool
	Confirms bool // the service can e-mail a code
	Others   []addresses.Address
	Full     bool
	Max      int
	Closed   words.Text // why, and until when, nothing can be changed; empty: it can
	Notice   words.Text
}

var listNotices = map[string]string{
	"confirmed": "addresses.confirmed",
	"added":     "addresses.added",
	"removed":   "addresses.removed",
	"primary":   "addresses.changed",
	"spent":     "emailpage.spent",
}

func (s *Service) showList(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	p := listPage{
		Email: v.User.Email, Verified: v.User.EmailVerified, Confirms: s.cfg.Mailer.Delivers(), Max: directory.MaxAddresses,
	}
	if done := listNotices[r.URL.Query().Get("done")]; done != "" {
		p.Notice = words.T(done)
	}
	var err error
	if p.Others, err = s.addresses.Of(r.Context(), v.User.ID); err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	p.Full = len(p.Others)+1 >= directory.MaxAddresses
	if p.Closed, err = s.closed(r, v); err != nil {
		return err
	}
	return s.render(w, r, v, "list", http.StatusOK, p)
}

// closed says why, and until when, the visitor cannot change addresses: after a recovery, and after a change of the
// primary one was undone. It is empty if they can.
func (s *Service) closed(r *http.Request, v house.Visitor) (words.Text, error) {
	recovered, undone, err := s.addresses.ClosedUntil(r.Context(), v.User.ID)
	switch now := time.Now(); {
	case err != nil:
		return words.Text{}, fmt.Errorf("find undone change: %w", err)
	case now.Before(undone) && !undone.Before(recovered):
		return words.T("addresses.undone.until", "at", words.Moment(undone)), nil
	case now.Before(recovered):
		return words.T("addresses.closed.until", "at", words.Moment(recovered)), nil
	}
	return words.Text{}, nil
}

// whenOpen refuses a page for a change while the visitor can make none. The store refuses the change itself.
func (s *Service) whenOpen(page house.Handler) house.Handler {
	return func(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
		closed, err := s.closed(r, v)
		if err == nil && closed.Key != "" {
			err = gone(idp.ErrClosed)
		}
		if err != nil {
			return err
		}
		return page(w, r, v)
	}
}

type changePage struct {
	Address addresses.Address
	Email   string // the primary one
	// Told means that the primary one was confirmed, so it is told and can undo the change.
	Told bool
	Time time.Duration // to undo the change
}

// address returns the address of the path, which belongs to the visitor.
func (s *Service) address(r *http.Request, v house.Visitor) (addresses.Address, error) {
	id := r.PathValue("id")
	if len(id) > 64 {
		return addresses.Address{}, gone(idp.ErrNotFound)
	}
	a, err := s.addresses.Get(r.Context(), v.User.ID, id)
	return a, gone(err)
}

// gone says what the store's errors mean for a person.
func gone(err error) error {
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return &web.Problem{Status: http.StatusNotFound, Words: "addresses.gone", NextURL: listPath, Err: err}
	case errors.Is(err, idp.ErrClosed):
		return &web.Problem{
			Status: http.StatusForbidden, Code: "closed_after_recovery", Words: "addresses.closed",
			Args: []any{"time", idp.RecoveryClosed}, NextURL: listPath, Err: err,
		}
	}
	return err
}

func (s *Service) showChange(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	return s.showQuestion(w, r, v, "primary")
}

func (s *Service) showRemove(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	return s.showQuestion(w, r, v, "remove")
}

func (s *Service) showQuestion(w http.ResponseWriter, r *http.Request, v house.Visitor, template string) error {
	a, err := s.address(r, v)
	if err != nil {
		return err
	}
	return s.render(w, r, v, template, http.StatusOK, changePage{
		Address: a, Email: v.User.Email, Told: v.User.EmailVerified && s.cfg.Mailer.Delivers(), Time: directory.AddressUndo,
	})
}

func (s *Service) makePrimary(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	a, err := s.address(r, v)
	if err != nil {
		return err
	}
	link := idp.NewSecret()
	event := s.event(r, v, idp.EventEmailChanged)
	if err := s.addresses.MakePrimary(r.Context(), v.User.ID, a.ID, link.Hash(), time.Now(), event); err != nil {
		return gone(err)
	}
	notice, u := s.notice(r), v.User
	undo := notice
	undo.Link = UndoLink(s.cfg.Issuer, link)
	u.Email = a.Email
	s.cfg.Enrol.NotifyAll(r, u, func(w mail.Writer, to string) mail.Message {
		if to == v.User.Email {
			return w.AddressLeft(to, a.Email, undo)
		}
		return w.AddressChanged(to, a.Email, notice)
	})
	return house.SeeOther(w, r, listPath+"?done=primary")
}

func (s *Service) remove(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	a, err := s.address(r, v)
	if err != nil {
		return err
	}
	event := s.event(r, v, idp.EventEmailRemoved)
	if err := s.addresses.Remove(r.Context(), v.User.ID, a.ID, time.Now(), event); err != nil {
		return gone(err)
	}
	notice := s.notice(r)
	s.cfg.Enrol.NotifyAll(r, v.User, func(w mail.Writer, to string) mail.Message {
		return w.AddressRemoved(to, a.Email, notice)
	})
	return house.SeeOther(w, r, listPath+"?done=removed")
}

func (s *Service) event(r *http.Request, v house.Visitor, kind idp.EventKind) idp.Event {
	ev := web.Event(r, kind, v.User.ID)
	ev.SessionID = v.Session.ID
	return ev
}

func (s *Service) notice(r *http.Request) mail.Notice {
	n := s.cfg.Enrol.NewNotice(r, idp.Passkey{})
	n.Link = s.cfg.Issuer + listPath
	return n
}
