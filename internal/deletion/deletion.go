// Package deletion lets users delete their account.
//
//	/account/delete ─▶ step-up ─▶ disabled for a week, all sessions and tokens end ─▶ erased by a job (Run)
//	                                   │
//	                 a sign-in shows   └─▶ /account/keep ─▶ enabled again
//
// While an account waits for its end, it is disabled, so no other part of the program has to know of this: a sign-in
// gives no session. It leads to the one page on which the user can change their mind, for this browser and for ten
// minutes.
package deletion

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/erasure"
	"github.com/stepward/stepward/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// Config wires a Service. All fields are needed.
type Config struct {
	Shell     *web.Shell
	House     *house.House
	Sessions  *session.Sessions
	DB        *store.DB
	Ephemeral ephemeral.Store
	Mailer    *mail.Mailer
	Enrol     *enrol.Service
	Issuer    string // without a slash at the end
}

// Service serves the pages of this package, and erases accounts.
type Service struct {
	cfg      Config
	pages    *web.Pages
	erasures *erasure.Erasures
	offers   ephemeral.Bucket[offer]
}

const (
	askPath  = "/account/delete"
	keepPath = "/account/keep"
	// offerTTL is how long a person who signed in can change their mind before they have to sign in again.
	offerTTL = 10 * time.Minute
)

// An offer to keep an account is stored under the hash of the browser that signed in.
type offer struct {
	UserID      string    `json:"user"`
	PasskeyID   string    `json:"passkey"`
	Interaction string    `json:"i,omitempty"`
	ExpiresAt   time.Time `json:"expires"`
}

// New parses the pages.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages of deletion: %w", err)
	}
	return &Service{
		cfg: cfg, pages: pages, erasures: erasure.New(cfg.DB),
		offers: ephemeral.NewBucket[offer](cfg.Ephemeral, "keep", offerTTL),
	}, nil
}

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	need := house.StepUp("reason.delete", askPath)
	s.cfg.House.Handle(mux, "GET "+askPath, need, s.show)
	s.cfg.House.Handle(mux, "POST "+askPath, need, s.ask)
	s.cfg.Shell.Handle(mux, "GET "+askPath+"/asked", s.showAsked)
	s.cfg.Shell.Handle(mux, "GET "+keepPath, s.showKeep)
	s.cfg.Shell.Handle(mux, "POST "+keepPath, s.keep)
	s.cfg.Shell.Handle(mux, "POST "+keepPath+"/leave", s.leave)
}

type askPage struct {
	Wait time.Duration
}

// show says what the deletion means.
func (s *Service) show(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	return s.cfg.House.Render(w, r, v, s.pages, "ask", web.Page{
		Nav: "Profile", Data: askPage{Wait: directory.DeletionWait},
	})
}

// ask begins the deletion.
func (s *Service) ask(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	typed, err := enrol.ReadForm(r, "sure")
	if err != nil {
		return err
	}
	if typed[0] == "" { // a form without the box that the page has
		return house.SeeOther(w, r, askPath)
	}
	now := time.Now()
	event := web.Event(r, idp.EventDeletionAsked, v.User.ID)
	event.SessionID = v.Session.ID
	err = s.erasures.Ask(r.Context(), v.User.ID, now, event)
	switch {
	case errors.Is(err, store.ErrLastOwner):
		return &web.Problem{Status: http.StatusConflict, Code: "last_owner", Words: "deletion.owner", NextURL: "/account"}
	case errors.Is(err, idp.ErrClosed):
		return &web.Problem{
			Status: http.StatusForbidden, Code: "closed_after_recovery", Words: "deletion.closed",
			Args: []any{"time", idp.RecoveryClosed}, NextURL: "/account",
		}
	case errors.Is(err, idp.ErrNotFound): // another tab was faster
		return house.SeeOther(w, r, askPath+"/asked")
	case err != nil:
		return fmt.Errorf("ask for deletion: %w", err)
	}
	if err := s.cfg.House.EndAll(r, v.User.ID, ""); err != nil {
		return err
	}
	notice := s.cfg.Enrol.NewNotice(r, idp.Passkey{})
	notice.Link = s.cfg.Issuer + "/account"
	until := now.Add(directory.DeletionWait)
	s.cfg.Enrol.NotifyAll(r, v.User, func(w mail.Writer, to string) mail.Message {
		return w.DeletionAsked(to, until, notice)
	})
	return house.SeeOther(w, r, askPath+"/asked")
}

func (s *Service) threshold(w http.ResponseWriter, r *http.Request, template string, p web.Page) error {
	p.Name, p.Layout = "account", web.LayoutThreshold
	return s.cfg.Shell.Render(w, r, s.pages, template, p)
}

// showAsked is for everybody, because nobody is signed in any more. It says nothing about an account.
func (s *Service) showAsked(w http.ResponseWriter, r *http.Request) error {
	return s.threshold(w, r, "asked", web.Page{Data: askPage{Wait: directory.DeletionWait}})
}

// Offer returns the page to show to a person who proved that a disabled account is theirs: the one on which they can
// keep it. It is empty unless they asked for the deletion themselves.
func (s *Service) Offer(
	w http.ResponseWriter, r *http.Request, u idp.User, passkeyID, interaction string,
) (string, error) {
	if _, err := s.erasures.Of(r.Context(), u.ID); errors.Is(err, idp.ErrNotFound) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	err := s.offers.Put(r.Context(), s.cfg.Sessions.EnsureBrowser(w, r).Hash(), offer{
		UserID: u.ID, PasskeyID: passkeyID, Interaction: interaction, ExpiresAt: time.Now().Add(offerTTL),
	})
	if err != nil {
		return "", fmt.Errorf("store offer: %w", err)
	}
	return keepPath, nil
}

func over() error {
	return &web.Problem{Status: http.StatusGone, Code: "offer_over", Words: "deletion.over", NextURL: "/account"}
}

// present returns this browser's offer, and its account with the deletion.
func (s *Service) present(r *http.Request) (offer, idp.User, erasure.Deletion, error) {
	browser := s.cfg.Sessions.Browser(r)
	if browser == "" {
		return offer{}, idp.User{}, erasure.Deletion{}, over()
	}
	o, err := s.offers.Get(r.Context(), browser.Hash())
	if err == nil && !time.Now().Before(o.ExpiresAt) {
		err = idp.ErrNotFound
	}
	var u idp.User
	var d erasure.Deletion
	if err == nil {
		u, err = s.cfg.DB.UserByID(r.Context(), o.UserID)
	}
	if err == nil {
		d, err = s.erasures.Of(r.Context(), o.UserID)
	}
	if errors.Is(err, idp.ErrNotFound) {
		return o, u, d, over()
	} else if err != nil {
		return o, u, d, fmt.Errorf("load offer: %w", err)
	}
	return o, u, d, nil
}

type keepPage struct{ At time.Time }

func (s *Service) showKeep(w http.ResponseWriter, r *http.Request) error {
	_, u, d, err := s.present(r)
	if err != nil {
		return err
	}
	web.SavedLanguage(r.Context(), u.Profile.Locale)
	return s.threshold(w, r, "keep", web.Page{
		User: &web.Chip{Name: u.Name, Email: u.Email}, Data: keepPage{d.At()},
	})
}

// keep enables the account again. The person then signs in as ever.
func (s *Service) keep(w http.ResponseWriter, r *http.Request) error {
	o, u, _, err := s.present(r)
	if err != nil {
		return err
	}
	event := web.Event(r, idp.EventDeletionStopped, u.ID)
	event.PasskeyID = o.PasskeyID
	if err := s.erasures.Keep(r.Context(), u.ID, time.Now(), event); errors.Is(err, idp.ErrNotFound) {
		return over()
	} else if err != nil {
		return fmt.Errorf("keep account: %w", err)
	}
	s.forget(r)
	notice := s.cfg.Enrol.NewNotice(r, idp.Passkey{})
	notice.Link = s.cfg.Issuer + "/account/passkeys"
	s.cfg.Enrol.NotifyAll(r, u, func(w mail.Writer, to string) mail.Message { return w.DeletionStopped(to, notice) })
	next := "/account"
	if o.Interaction != "" {
		next = "/login?i=" + url.QueryEscape(o.Interaction)
	}
	return house.SeeOther(w, r, next)
}

// leave ends the offer; the deletion goes on.
func (s *Service) leave(w http.ResponseWriter, r *http.Request) error {
	s.forget(r)
	return house.SeeOther(w, r, "/account/signed-out")
}

// forget ends this browser's offer. It would end by itself.
func (s *Service) forget(r *http.Request) {
	browser := s.cfg.Sessions.Browser(r)
	if err := s.offers.Delete(context.WithoutCancel(r.Context()), browser.Hash()); err != nil {
		web.Note(r.Context(), slog.Any("forget_offer", err))
	}
}
