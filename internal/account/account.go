// Package account serves the pages on which users manage their own account: profile, passkeys, recovery codes,
// sessions, applications and activity. Package enrol creates an account's first passkeys, package recovery replaces
// lost ones.
//
//	/account  /account/passkeys  …/codes  …/sessions  …/applications  …/activity      need a session
//	/account/passkeys/add  …/other/new  …/{id}/keep  …/{id}/remove  /account/codes/new   and a step-up for "account",
//	/account/data  /account/data/download                                             as do these
package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/address"
	"github.com/stepward/stepward/internal/checkup"
	"github.com/stepward/stepward/internal/deletion"
	"github.com/stepward/stepward/internal/details"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/notices"
	"github.com/stepward/stepward/internal/otherdevice"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/personal"
	"github.com/stepward/stepward/internal/takeout"
	"github.com/stepward/stepward/internal/web"
)

// ActionClass is the class of the step-up needed to change passkeys or make recovery codes.
const ActionClass = house.ActionClass

//go:embed pages/*.html
var files embed.FS

// Config wires an Account.
type Config struct {
	Shell      *web.Shell
	Sessions   *session.Sessions
	Ceremonies *passkey.Ceremonies
	DB         *store.DB
	Ephemeral  ephemeral.Store
	Mailer     *mail.Mailer
	Issuer     string     // without a trailing slash; links in e-mails begin with it
	RPID       string     // for the Signal API
	Policy     idp.Policy // scopes and action classes, in words
	SignUp     bool       // false: by invitation only
	Insecure   bool       // http on localhost: cookies without __Host- and Secure
	// Recovery says how users recover their account; empty: recovery.ByCodes.
	Recovery recovery.Mode
	// RecoveryHold is how long recovery.ByEmailWithDelay waits; zero: directory.MinRecoveryHold.
	RecoveryHold time.Duration
	// Passkeys says which passkeys people need, by group and role.
	Passkeys directory.PasskeyPolicy
	// HelpURL is where people ask the operator for help; may be empty.
	HelpURL string
	// RecoveryKey keys the hash of recovery codes and is shared by all replicas. Empty: a random key, so that codes stop
	// working when the process ends.
	RecoveryKey []byte

	// Require returns the session if this browser is signed in and, with a class, has stepped up for it. Otherwise it has
	// answered the request by starting that interaction (login.Login.Require).
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
	// Client returns the client of this browser's interaction, or nil. A nil func means that there are no interactions.
	Client func(r *http.Request, interaction string) *web.ClientChip
	// SignedUp records in the interaction that its account was just created. May be nil.
	SignedUp func(ctx context.Context, r *http.Request, interaction string) error
}

// Account serves the pages of this package.
type Account struct {
	cfg   Config
	pages *web.Pages
	house *house.House
	enrol *enrol.Service

	recovery    *recovery.Service
	checkup     *checkup.Service
	details     *details.Service
	otherDevice otherDevice
	codeKey     recoverycode.Key
	addresses   *address.Service
	deletions   *deletion.Service
	notices     *notices.Service
	pending     ephemeral.Bucket[pendingCodes]
}

// New parses the pages.
func New(c Config) (*Account, error) {
	pages, err := c.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("account pages: %w", err)
	}
	c.Issuer = strings.TrimSuffix(c.Issuer, "/")
	a := &Account{
		cfg: c, pages: pages,
		house:   house.New(house.Config{Shell: c.Shell, Sessions: c.Sessions, DB: c.DB, Require: c.Require}),
		pending: ephemeral.NewBucket[pendingCodes](c.Ephemeral, "new-codes", pendingTTL),
	}
	if len(c.RecoveryKey) == 0 {
		c.RecoveryKey = make([]byte, 32)
		_, _ = rand.Read(c.RecoveryKey) // never fails
	}
	a.codeKey = recoverycode.NewKey(c.RecoveryKey)
	codes := c.Recovery != recovery.AdminOnly && c.Mailer.Delivers()
	if a.checkup, err = checkup.New(checkup.Config{
		Shell: c.Shell, House: a.house, DB: c.DB, Ceremonies: c.Ceremonies, Policy: c.Passkeys, Key: a.codeKey,
		Codes: codes,
	}); err != nil {
		return nil, err
	}
	if a.details, err = details.New(c.Shell, a.house, c.DB); err != nil {
		return nil, err
	}
	a.enrol, err = enrol.New(enrol.Config{
		Shell: c.Shell, Sessions: c.Sessions, Ceremonies: c.Ceremonies, DB: c.DB, Ephemeral: c.Ephemeral, Mailer: c.Mailer,
		Issuer: c.Issuer, SignUp: c.SignUp, Insecure: c.Insecure,
		CodeKey: a.codeKey, Codes: codes, Need: a.checkup.Need, Kind: a.checkup.Kind,
		Client: c.Client, SignedUp: c.SignedUp, SignOut: a.house.EndOwn,
	})
	if err != nil {
		return nil, err
	}
	a.recovery, err = recovery.New(recovery.Config{
		Shell: c.Shell, Sessions: c.Sessions, DB: c.DB, Ephemeral: c.Ephemeral, Mailer: c.Mailer, Enrol: a.enrol,
		Issuer: c.Issuer, Mode: c.Recovery, Hold: c.RecoveryHold, Key: a.codeKey, Client: c.Client,
		Require: c.Require, HelpURL: c.HelpURL,
	})
	if err != nil {
		return nil, err
	}
	a.addresses, err = address.New(address.Config{
		Shell: c.Shell, House: a.house, DB: c.DB, Ephemeral: c.Ephemeral, Mailer: c.Mailer, Enrol: a.enrol, Issuer: c.Issuer,
	})
	if err != nil {
		return nil, err
	}
	a.deletions, err = deletion.New(deletion.Config{
		Shell: c.Shell, House: a.house, Sessions: c.Sessions, DB: c.DB, Ephemeral: c.Ephemeral, Mailer: c.Mailer,
		Enrol: a.enrol, Issuer: c.Issuer,
	})
	if err != nil {
		return nil, err
	}
	known := hmac.New(sha256.New, c.RecoveryKey) // a key of its own
	known.Write([]byte("stepward known browsers"))
	a.notices, err = notices.New(notices.Config{
		Shell: c.Shell, House: a.house, DB: c.DB, Mailer: c.Mailer, Issuer: c.Issuer, Key: known.Sum(nil),
		Insecure: c.Insecure,
	})
	if err != nil {
		return nil, err
	}
	offers, err := otherdevice.New(otherdevice.Config{
		Shell: c.Shell, Sessions: c.Sessions, Ceremonies: c.Ceremonies, DB: c.DB, Ephemeral: c.Ephemeral, Enrol: a.enrol,
		Issuer: c.Issuer, RPID: c.RPID, Key: c.RecoveryKey, Insecure: c.Insecure,
	})
	if err != nil {
		return nil, err
	}
	a.otherDevice = otherDevice{a, offers}
	return a, nil
}

// Remind reminds the owners of recoveries that wait ([recovery.Service.Remind]).
func (a *Account) Remind(ctx context.Context, now time.Time) error {
	return a.recovery.Remind(ctx, now)
}

// Notices are the e-mails that users can switch off.
func (a *Account) Notices() *notices.Service { return a.notices }

// Deletions are the accounts that are to be deleted.
func (a *Account) Deletions() *deletion.Service { return a.deletions }

// Checkup says what accounts lack.
func (a *Account) Checkup() *checkup.Service { return a.checkup }

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (a *Account) Mount(mux *http.ServeMux) {
	a.enrol.Mount(mux)
	a.recovery.Mount(mux)
	a.addresses.Mount(mux)
	a.checkup.Mount(mux)
	a.details.Mount(mux)
	a.deletions.Mount(mux)
	a.notices.Mount(mux)
	a.otherDevice.offers.Mount(mux)

	handle := func(pattern string, need house.Need, h house.Handler) { a.house.Handle(mux, pattern, need, h) }
	signedIn, stepUp := house.SignedIn, house.StepUp
	codes := recoveryCodes{a}
	handle("GET /account", signedIn(""), a.showProfile)
	handle("POST /account", signedIn("/account"), a.saveProfile)
	handle("GET /account/passkeys", signedIn(""), a.showPasskeys)
	handle("POST /account/passkeys/{id}/rename", signedIn("/account/passkeys"), a.renamePasskey)
	handle("GET /account/passkeys/add", stepUp("reason.add", ""), a.showAdd)
	handle("POST /account/passkeys/begin", stepUp("reason.add", "/account/passkeys/add"), a.beginAdd)
	handle("POST /account/passkeys/finish", stepUp("reason.add", "/account/passkeys/add"), a.finishAdd)
	other := a.otherDevice
	handle("GET /account/passkeys/other", signedIn(""), other.show)
	handle("GET /account/passkeys/other/new", stepUp("reason.add", ""), other.explain)
	handle("POST /account/passkeys/other/new", stepUp("reason.add", otherDevicePath+"/new"), other.start)
	handle("GET /account/passkeys/other/state", signedIn(otherDevicePath), other.state)
	handle("POST /account/passkeys/other/confirm", stepUp("reason.add", otherDevicePath), other.confirm)
	handle("POST /account/passkeys/other/refuse", signedIn(otherDevicePath), other.refuse)
	handle("GET /account/passkeys/{id}/remove", stepUp("reason.remove", ""), a.confirmRemove)
	handle("POST /account/passkeys/{id}/remove", stepUp("reason.remove", "/account/passkeys"), a.removePasskey)
	handle("POST /account/passkeys/{id}/keep", stepUp("reason.keep", "/account/passkeys"), a.keepPasskey)
	handle("GET /account/codes", signedIn(""), codes.showCodes)
	handle("GET /account/codes/new", stepUp("reason.codes", ""), codes.beginCodes)
	handle("POST /account/codes/new", stepUp("reason.codes", "/account/codes/new"), codes.makeCodes)
	handle("POST /account/codes/check", signedIn("/account/codes"), codes.checkCodes)
	handle("GET /account/sessions", signedIn(""), a.showSessions)
	handle("POST /account/sessions/revoke", signedIn("/account/sessions"), a.revokeSession)
	handle("POST /account/sessions/revoke-others", signedIn("/account/sessions"), a.revokeOthers)
	handle("POST /account/windows/close", signedIn("/account/sessions"), a.closeWindow)
	handle("GET /account/applications", signedIn(""), a.showApplications)
	handle("POST /account/applications/remove", signedIn("/account/applications"), a.removeApplication)
	records := personal.New(a.cfg.DB)
	activities := activities{a, records, takeout.Writer{
		DB: a.cfg.DB, Records: records, Sessions: a.cfg.Sessions, Issuer: a.cfg.Issuer, Usable: a.codeKey.Usable,
	}}
	handle("GET /account/activity", signedIn(""), activities.showActivity)
	handle("GET /account/activity/export", signedIn(""), activities.export)
	handle("GET /account/activity/{id}", signedIn(""), activities.showRemedies)
	data := ownData{activities}
	handle("GET /account/data", stepUp("reason.data", ""), data.show)
	handle("GET /account/data/download", stepUp("reason.data", "/account/data"), data.download)
	a.cfg.Shell.Handle(mux, "POST /account/signout", a.signOut)
	a.cfg.Shell.Handle(mux, "GET /account/signed-out", a.showSignedOut)
}

// A visitor is a signed-in user.
type visitor = house.Visitor

// renderHouse renders a page in the house layout with the visitor's name and the rail.
func (a *Account) renderHouse(w http.ResponseWriter, r *http.Request, v visitor, template string, p web.Page) error {
	return a.house.Render(w, r, v, a.pages, template, p)
}
