// Package house is what the signed-in pages of different packages share: who visits them and what a page needs of its
// visitor, the layout with the navigation, and how sessions end.
package house

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// ActionClass is the class of the step-up needed to change how one signs in. Its window comes from the policy.
const ActionClass = "account"

// Config wires a House. All fields are needed.
type Config struct {
	Shell    *web.Shell
	Sessions *session.Sessions
	DB       *store.DB
	// Require returns the session if this browser is signed in and, with a class, has stepped up for it. Otherwise it has
	// answered the request by starting that interaction (login.Login.Require).
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
}

// House serves signed-in pages. It is safe for concurrent use.
type House struct{ cfg Config }

// New returns a House.
func New(c Config) *House { return &House{c} }

// A Need says what a page needs of its visitor.
type Need struct {
	Class    string // of the step-up; empty: a session is enough
	Reason   string // key of the sentences shown while they sign in or step up: "Sign in to …"
	ReturnTo string // where they return afterwards; empty: to the page itself, which must be a GET
}

// SignedIn needs a session.
func SignedIn(returnTo string) Need { return Need{Reason: "reason.account", ReturnTo: returnTo} }

// StepUp needs a step-up for ActionClass.
func StepUp(reason, returnTo string) Need { return Need{ActionClass, reason, returnTo} }

// A Visitor is a signed-in user.
type Visitor struct {
	Session *idp.Session
	User    idp.User
}

// A Handler answers a request of a visitor.
type Handler func(http.ResponseWriter, *http.Request, Visitor) error

// Handle adds a page for visitors who meet the need. Others sign in or step up first.
func (h *House) Handle(mux *http.ServeMux, pattern string, need Need, handler Handler) {
	h.cfg.Shell.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
		v, ok, err := h.Visit(w, r, need)
		if err != nil || !ok {
			return err
		}
		return handler(w, r, v)
	})
}

// Visit returns the visitor; false if the request is answered.
func (h *House) Visit(w http.ResponseWriter, r *http.Request, need Need) (Visitor, bool, error) {
	sess, ok := h.cfg.Require(w, r, need.Class, need.Reason, cmp.Or(need.ReturnTo, r.URL.RequestURI()))
	if !ok {
		return Visitor{}, false, nil
	}
	u, err := h.cfg.DB.UserByID(r.Context(), sess.UserID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return Visitor{}, false, fmt.Errorf("load user: %w", err)
	}
	// A recovery ends all sessions; this catches one that started while it ran.
	if err == nil && sess.CreatedAt.Before(u.RecoveredAt) {
		if err := h.EndOwn(w, r, sess); err != nil {
			return Visitor{}, false, err
		}
		return Visitor{}, false, SeeOther(w, r, "/account/signed-out")
	}
	if err != nil || u.Disabled() {
		if err := h.cfg.Sessions.End(r.Context(), w, r); err != nil {
			return Visitor{}, false, fmt.Errorf("end session: %w", err)
		}
		return Visitor{}, false, &web.Problem{Status: http.StatusForbidden, Words: "account.disabled"}
	}
	web.SavedLanguage(r.Context(), u.Profile.Locale)
	return Visitor{sess, u}, true, nil
}

// rail is the navigation of the signed-in pages.
var rail = []web.Link{
	{Name: "Profile", Text: words.T("rail.profile"), URL: "/account"},
	{Name: "Passkeys", Text: words.T("rail.passkeys"), URL: "/account/passkeys"},
	{Name: "Sessions", Text: words.T("rail.sessions"), URL: "/account/sessions"},
	{Name: "Applications", Text: words.T("rail.applications"), URL: "/account/applications"},
	{Name: "Activity", Text: words.T("rail.activity"), URL: "/account/activity"},
}

// adminRail also leads people with a role to the console.
var adminRail = append(rail[:len(rail):len(rail)],
	web.Link{Name: "Console", Text: words.T("rail.console"), URL: "/admin"})

// Render renders a page with the visitor's name and the rail.
func (h *House) Render(
	w http.ResponseWriter, r *http.Request, v Visitor, pages *web.Pages, template string, p web.Page,
) error {
	p.Name = cmp.Or(p.Name, "account")
	p.Layout, p.Rail, p.SignOutURL = web.LayoutHouse, rail, "/account/signout"
	if v.User.Role.Reads() {
		p.Rail = adminRail
	}
	p.User = &web.Chip{Name: v.User.Name, Email: v.User.Email, RecoveryFrom: v.User.RecoveryReadyAt}
	return h.cfg.Shell.Render(w, r, pages, template, p)
}

// EndOwn ends this browser's session and the tokens issued in it.
func (h *House) EndOwn(w http.ResponseWriter, r *http.Request, sess *idp.Session) error {
	if err := h.cfg.Sessions.End(r.Context(), w, r); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return h.EndTokens(r, idp.EventSignedOut, sess.UserID, sess.ID)
}

// EndAll ends the user's sessions, except one, and the tokens issued in them; not those for offline access.
func (h *House) EndAll(r *http.Request, userID, exceptSID string) error {
	ended, err := h.cfg.Sessions.RevokeAll(context.WithoutCancel(r.Context()), userID, exceptSID)
	if err != nil {
		return fmt.Errorf("revoke sessions: %w", err)
	}
	for _, sid := range ended {
		if err := h.EndTokens(r, idp.EventSessionRevoked, userID, sid); err != nil {
			return err
		}
	}
	return nil
}

// EndTokens revokes the tokens of a session that has ended, and queues the logout requests to its clients.
func (h *House) EndTokens(r *http.Request, kind idp.EventKind, userID, sid string) error {
	ev := web.Event(r, kind, userID)
	ev.SessionID = sid
	// The session has already ended, so its tokens must end even if the browser disconnects.
	if _, err := h.cfg.DB.EndSession(context.WithoutCancel(r.Context()), userID, sid, time.Now(), ev); err != nil {
		return fmt.Errorf("end tokens of the session: %w", err)
	}
	return nil
}

// SeeOther redirects after a form.
func SeeOther(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
