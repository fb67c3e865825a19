// Package account is what people do with their own account: look after its passkeys, see where it is signed in and what
// uses it, and sign out. Package enrol is how it begins, package recovery the way back into it.
//
//	/account  /account/passkeys  /account/sessions  /account/applications  /account/activity      (a session)
//	          /account/passkeys/add, …/remove                            (and a fresh step-up for the class "account")
package account

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/recovery"
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
	Issuer     string     // without a slash at the end; links in e-mails begin with it
	RPID       string     // for the Signal API
	Policy     idp.Policy // scopes and action classes, in words
	SignUp     bool       // false: only who is invited
	Insecure   bool       // http on localhost: a plain cookie name, no Secure
	// Recovery is how people come back who lost their passkeys; empty: recovery.ByCodes.
	Recovery recovery.Mode
	// RecoveryKey is what recovery codes are hashed under, shared by all replicas. Empty: a random key for the life of this
	// process.
	RecoveryKey []byte

	// Require answers whether this browser is signed in and, for a class, has stepped up for it; if not, it has begun the
	// interaction that gets there, and answered. Package login has it.
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
	// Client returns the client of this browser's interaction, or nil; nil: there are no interactions.
	Client func(r *http.Request, interaction string) *web.ClientChip
	// SignedUp notes on the interaction that its account was just created; nil: it is not noted.
	SignedUp func(ctx context.Context, r *http.Request, interaction string) error
}

// Account serves the pages of this package.
type Account struct {
	cfg   Config
	pages *web.Pages
	enrol *enrol.Service

	recovery      *recovery.Service
	codeKey       recovery.Key
	confirmations ephemeral.Bucket[confirmation]
	pending       ephemeral.Bucket[pendingCodes]
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
	a := &Account{cfg: c, pages: pages, confirmations: ephemeral.NewBucket[confirmation](c.Ephemeral, "email", enrol.CodeTTL)}
	a.enrol, err = enrol.New(enrol.Config{
		Shell: c.Shell, Sessions: c.Sessions, Ceremonies: c.Ceremonies, DB: c.DB, Ephemeral: c.Ephemeral, Mailer: c.Mailer,
		Issuer: c.Issuer, SignUp: c.SignUp, Insecure: c.Insecure, Client: c.Client, SignedUp: c.SignedUp, SignOut: a.leave,
	})
	if err != nil {
		return nil, err
	}
	if len(c.RecoveryKey) == 0 {
		c.RecoveryKey = make([]byte, 32)
		_, _ = rand.Read(c.RecoveryKey) // never fails
	}
	a.codeKey = recovery.NewKey(c.RecoveryKey)
	a.pending = ephemeral.NewBucket[pendingCodes](c.Ephemeral, "new-codes", pendingTTL)
	a.recovery, err = recovery.New(recovery.Config{
		Shell: c.Shell, Sessions: c.Sessions, DB: c.DB, Ephemeral: c.Ephemeral, Mailer: c.Mailer, Enrol: a.enrol,
		Issuer: c.Issuer, Mode: c.Recovery, Key: a.codeKey, Client: c.Client,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (a *Account) Mount(mux *http.ServeMux) {
	open := func(pattern string, h web.Handler) { a.cfg.Shell.Handle(mux, pattern, h) }
	a.enrol.Mount(mux)
	a.recovery.Mount(mux)

	// back is where a step-up for a POST returns to; a GET returns to itself.
	mine := func(pattern, class, reason, back string, h func(http.ResponseWriter, *http.Request, visitor) error) {
		a.cfg.Shell.Handle(mux, pattern, a.signedIn(class, reason, back, h))
	}
	const see = "see your account"
	codes := recoveryCodes{a}
	mine("GET /account", "", see, "", a.showProfile)
	mine("POST /account", "", see, "/account", a.saveProfile)
	mine("GET /account/email", "", see, "", a.showConfirm)
	mine("POST /account/email", "", see, "/account/email", a.confirm)
	mine("POST /account/email/code", "", see, "/account", a.sendCode)
	mine("GET /account/passkeys", "", see, "", a.showPasskeys)
	mine("POST /account/passkeys/{id}/rename", "", see, "/account/passkeys", a.renamePasskey)
	mine("GET /account/passkeys/add", ActionClass, "add a passkey", "", a.showAdd)
	mine("POST /account/passkeys/begin", ActionClass, "add a passkey", "/account/passkeys/add", a.beginAdd)
	mine("POST /account/passkeys/finish", ActionClass, "add a passkey", "/account/passkeys/add", a.finishAdd)
	mine("GET /account/passkeys/{id}/remove", ActionClass, "remove a passkey", "", a.confirmRemove)
	mine("POST /account/passkeys/{id}/remove", ActionClass, "remove a passkey", "/account/passkeys", a.removePasskey)
	mine("POST /account/passkeys/{id}/keep", ActionClass, "use a passkey again", "/account/passkeys", a.keepPasskey)
	mine("GET /account/codes", "", see, "", codes.showCodes)
	mine("GET /account/codes/new", ActionClass, "make recovery codes", "", codes.beginCodes)
	mine("POST /account/codes/new", ActionClass, "make recovery codes", "/account/codes/new", codes.makeCodes)
	mine("POST /account/codes/check", "", see, "/account/codes", codes.checkCodes)
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

// A visitor is a signed-in user.
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
		sess, ok := a.cfg.Require(w, r, class, reason, returnTo)
		if !ok {
			return nil // answered
		}
		u, err := a.cfg.DB.UserByID(r.Context(), sess.UserID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("load user: %w", err)
		}
		// A session from before a recovery has been ended; this is for one that began while it happened.
		if err == nil && sess.CreatedAt.Before(u.RecoveredAt) {
			if err := a.leave(w, r, sess); err != nil {
				return err
			}
			return seeOther(w, r, "/account/signed-out")
		}
		if err != nil || u.Disabled() {
			if err := a.cfg.Sessions.End(r.Context(), w, r); err != nil {
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
	return a.cfg.Shell.Render(w, r, a.pages, name, web.Page{
		Name: "account", Title: title, Status: status, Layout: web.LayoutHouse, Data: data,
		User: &web.Chip{Name: v.user.Name, Email: v.user.Email},
		Rail: rail, Nav: nav, SignOutURL: "/account/signout",
	})
}
