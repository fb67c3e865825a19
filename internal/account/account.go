// Package account is what people do with their own account: create it, look after its passkeys, see where it is signed in
// and what uses it, and sign out.
//
//	GET /signup ─▶ POST ─▶ mail with a code ─▶ /signup/verify ──┐
//	                                                            ├─▶ enrolment ─▶ /signup/passkey ─▶ /login?i=… or /account
//	invitation ─▶ /enrol#token ─▶ POST (takes the link) ────────┘   (15 minutes, own cookie)
//
//	/account  /account/passkeys  /account/sessions  /account/applications  /account/activity      (a session)
//	          /account/passkeys/add, …/remove                            (and a fresh step-up for the class "account")
//
// An enrolment is no session: its one power is to register passkeys for its user, and it ends in an ordinary sign-in, so
// that every session begins with an assertion. A new user is stored together with the first passkey, never without.
package account

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// ActionClass is the class of the step-up that adding and removing a passkey needs. Its window, in the operator's policy,
// is at most five minutes.
const ActionClass = "account"

//go:embed pages/*.html
var files embed.FS

// Config is what the pages are made of.
type Config struct {
	Shell      *web.Shell
	Sessions   *session.Sessions
	Ceremonies *passkey.Ceremonies
	DB         *store.DB
	Ephemeral  ephemeral.Store
	Mailer     *mail.Mailer
	Issuer     string     // without a slash at the end; links in letters begin with it
	RPID       string     // for the Signal API
	Policy     idp.Policy // scopes and action classes, in words
	SignUp     bool       // false: only who is invited
	Insecure   bool       // http on localhost: a plain cookie name, no Secure

	// Require answers whether this browser is signed in and, for a class, has stepped up for it; if not, it has begun the
	// interaction that gets there, and answered. Package login has it.
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
	// Client shows whose interaction this browser is in; nil, or an answer of nil: nobody's.
	Client func(r *http.Request, interaction string) *web.ClientChip
	// SignedUp notes on the interaction that its account was just created; nil: nobody asks.
	SignedUp func(ctx context.Context, r *http.Request, interaction string) error
}

// Account serves the pages of this package.
type Account struct {
	Config
	pages      *web.Pages
	signUps    ephemeral.Bucket[signUp]
	enrolments ephemeral.Bucket[enrolment]
}

// New parses the pages.
func New(c Config) (*Account, error) {
	sub, err := fs.Sub(files, "pages")
	if err != nil {
		return nil, fmt.Errorf("account pages: %w", err)
	}
	pages, err := c.Shell.Parse(sub, "*.html")
	if err != nil {
		return nil, fmt.Errorf("account pages: %w", err)
	}
	c.Issuer = strings.TrimSuffix(c.Issuer, "/")
	return &Account{
		Config:     c,
		pages:      pages,
		signUps:    ephemeral.NewBucket[signUp](c.Ephemeral, "signup", codeTTL),
		enrolments: ephemeral.NewBucket[enrolment](c.Ephemeral, "enrolment", enrolmentTTL),
	}, nil
}

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (a *Account) Mount(mux *http.ServeMux) {
	open := func(pattern string, h web.Handler) { a.Shell.Handle(mux, pattern, h) }
	open("GET /signup", a.showSignUp)
	open("POST /signup", a.startSignUp)
	open("GET /signup/verify", a.showVerify)
	open("POST /signup/verify", a.verify)
	open("POST /signup/resend", a.resend)
	open("GET /enrol", a.showInvitation)
	open("POST /enrol", a.acceptInvitation)
	open("GET /signup/passkey", a.showEnrolment)
	open("POST /signup/passkey/begin", a.beginEnrolment)
	open("POST /signup/passkey/finish", a.finishEnrolment)
	open("POST /signup/passkey/done", a.endEnrolment)

	// back is where a step-up for a POST returns to; a GET returns to itself.
	mine := func(pattern, class, reason, back string, h func(http.ResponseWriter, *http.Request, visitor) error) {
		a.Shell.Handle(mux, pattern, a.signedIn(class, reason, back, h))
	}
	const see = "see your account"
	mine("GET /account", "", see, "", a.showProfile)
	mine("POST /account", "", see, "/account", a.saveProfile)
	mine("GET /account/passkeys", "", see, "", a.showPasskeys)
	mine("POST /account/passkeys/{id}/rename", "", see, "/account/passkeys", a.renamePasskey)
	mine("GET /account/passkeys/add", ActionClass, "add a passkey", "", a.showAdd)
	mine("POST /account/passkeys/begin", ActionClass, "add a passkey", "/account/passkeys/add", a.beginAdd)
	mine("POST /account/passkeys/finish", ActionClass, "add a passkey", "/account/passkeys/add", a.finishAdd)
	mine("GET /account/passkeys/{id}/remove", ActionClass, "remove a passkey", "", a.confirmRemove)
	mine("POST /account/passkeys/{id}/remove", ActionClass, "remove a passkey", "/account/passkeys", a.removePasskey)
	mine("GET /account/sessions", "", see, "", a.showSessions)
	mine("POST /account/sessions/revoke", "", see, "/account/sessions", a.revokeSession)
	mine("POST /account/sessions/revoke-others", "", see, "/account/sessions", a.revokeOthers)
	mine("POST /account/windows/close", "", see, "/account/sessions", a.closeWindow)
	mine("GET /account/applications", "", see, "", a.showApplications)
	mine("POST /account/applications/remove", "", see, "/account/applications", a.removeApplication)
	mine("GET /account/activity", "", see, "", a.showActivity)
	open("POST /account/signout", a.signOut)
	open("GET /account/signed-out", a.showSignedOut)
}

// A visitor is somebody who is signed in.
type visitor struct {
	session *idp.Session
	user    idp.User
}

// signedIn lets only visitors with what Require demands through to h.
func (a *Account) signedIn(class, reason, back string, h func(http.ResponseWriter, *http.Request, visitor) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		returnTo := back
		if returnTo == "" {
			returnTo = r.URL.RequestURI()
		}
		sess, ok := a.Require(w, r, class, reason, returnTo)
		if !ok {
			return nil // answered
		}
		u, err := a.DB.UserByID(r.Context(), sess.UserID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("load user: %w", err)
		}
		if err != nil || u.Disabled() {
			if err := a.Sessions.End(r.Context(), w, r); err != nil {
				return fmt.Errorf("end session: %w", err)
			}
			return &web.Problem{
				Status: http.StatusForbidden, Title: "This account is closed",
				Text: "You have been signed out.", Next: "If you think this is a mistake, ask whoever runs this service.",
			}
		}
		return h(w, r, visitor{sess, u})
	}
}

// rail is the way around the house.
var rail = []web.Link{
	{Text: "Profile", URL: "/account"},
	{Text: "Passkeys", URL: "/account/passkeys"},
	{Text: "Sessions", URL: "/account/sessions"},
	{Text: "Applications", URL: "/account/applications"},
	{Text: "Activity", URL: "/account/activity"},
}

// house renders a page of the signed-in part; nav is the section of the rail it belongs to.
func (a *Account) house(w http.ResponseWriter, r *http.Request, v visitor, status int, name, nav, title string, data any) error {
	return a.Shell.Render(w, r, a.pages, name, web.Page{
		Name: "account", Title: title, Status: status, Layout: web.LayoutHouse, Data: data,
		User: &web.Chip{Name: v.user.Name, Email: v.user.Email},
		Rail: rail, Nav: nav, SignOutURL: "/account/signout",
	})
}

// threshold renders a page of the way in.
func (a *Account) threshold(w http.ResponseWriter, r *http.Request, page, name, title, interaction string, status int, data any) error {
	p := web.Page{Name: page, Title: title, Layout: web.LayoutThreshold, Status: status, Data: data}
	if a.Client != nil && interaction != "" {
		p.Client = a.Client(r, interaction)
	}
	return a.Shell.Render(w, r, a.pages, name, p)
}

// interactionID reads the interaction a page was opened in; anything that cannot be one counts as none.
func interactionID(r *http.Request) string {
	id := r.FormValue("i")
	if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_'
	}) {
		return ""
	}
	return id
}

// onward is where somebody goes to sign in: back to the interaction, or to the account.
func onward(interaction string) string {
	if interaction == "" {
		return "/account"
	}
	return "/login?i=" + url.QueryEscape(interaction)
}

// form reads fields of a posted form, without the blanks around them; missing ones are empty.
func form(r *http.Request, names ...string) ([]string, error) {
	if err := web.ReadForm(r); err != nil {
		return nil, err
	}
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = strings.TrimSpace(r.PostFormValue(name))
	}
	return values, nil
}

// notice sends a letter about a change that has happened. The change stands whether or not the letter can be queued, so a
// failure is a matter for the record only.
func (a *Account) notice(r *http.Request, m mail.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	if err := a.Mailer.Send(ctx, m); err != nil {
		web.Note(r.Context(), slog.Any("notice", err))
	}
}
