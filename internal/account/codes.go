package account

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/web"
)

// pendingTTL is how long a user has to write down new recovery codes and type one of them back.
const pendingTTL = 30 * time.Minute

// pendingCodes are new recovery codes that their user has not proved to have saved. Their key is the session. Until one is
// typed back the former ones count.
type pendingCodes struct {
	Codes     []idp.RecoveryCode `json:"codes"`
	ExpiresAt time.Time          `json:"expires"`
}

type codesPage struct {
	Left   int
	MadeAt time.Time
	Closed time.Time // until when new ones cannot be made; zero: they can
	Useful bool      // an address is confirmed, and the service recovers accounts by codes
	Notice string
}

var codesNotices = map[string]string{"made": "Your recovery codes are ready. Keep them where you don’t keep your devices."}

// recoveryCodes are the pages on which codes are made and counted.
type recoveryCodes struct{ *Account }

func (a recoveryCodes) showCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if !a.recovery.ByCodes() {
		return a.noCodes()
	}
	d, err := a.codesOf(r, v)
	if err != nil {
		return err
	}
	d.Notice = codesNotices[r.URL.Query().Get("done")]
	return a.house(w, r, v, http.StatusOK, "codes", "Passkeys", "Recovery codes", d)
}

// codesOf counts the recovery codes that still work.
func (a recoveryCodes) codesOf(r *http.Request, v visitor) (codesPage, error) {
	stored, err := a.cfg.DB.RecoveryCodesOf(r.Context(), v.user.ID)
	if err != nil {
		return codesPage{}, fmt.Errorf("load recovery codes: %w", err)
	}
	usable := a.codeKey.Usable(stored)
	d := codesPage{Left: len(usable), Closed: v.user.ClosedUntil(time.Now()), Useful: v.user.EmailVerified}
	if len(usable) > 0 {
		d.MadeAt = usable[0].CreatedAt
	}
	return d, nil
}

func (a recoveryCodes) noCodes() error {
	return &web.Problem{
		Status: http.StatusNotFound, Title: "There are no recovery codes here",
		Text: "If you lose your passkeys, the people who run this service help you.", Next: "Back to your passkeys", NextURL: "/account/passkeys",
	}
}

// stillClosed says what a recent recovery does not allow yet.
func stillClosed(until time.Time) error {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "recently_recovered", Title: "This account was recovered a short while ago",
		Text: "To protect it, this is possible again from " + until.UTC().Format("2 January 2006, 15:04 UTC") + " on.",
		Next: "Back to your passkeys", NextURL: "/account/passkeys",
	}
}

// beginCodes is where the step-up for new codes returns to.
func (a recoveryCodes) beginCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.mayMakeCodes(v); err != nil {
		return err
	}
	d, err := a.codesOf(r, v)
	if err != nil {
		return err
	}
	return a.house(w, r, v, http.StatusOK, "codes-begin", "Passkeys", "New recovery codes", d)
}

func (a recoveryCodes) mayMakeCodes(v visitor) error {
	if !a.recovery.ByCodes() {
		return a.noCodes()
	}
	if until := v.user.ClosedUntil(time.Now()); !until.IsZero() {
		return stillClosed(until)
	}
	return nil
}

// newCodesPage shows codes, once. Text is the file to download.
type newCodesPage struct {
	Codes []string
	Text  string
	File  template.URL
	Error string
}

// makeCodes shows new codes. They count when one of them was typed back.
func (a recoveryCodes) makeCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.mayMakeCodes(v); err != nil {
		return err
	}
	shown, stored := a.codeKey.Make(v.user.ID, time.Now())
	err := a.pending.Put(r.Context(), v.session.ID, pendingCodes{Codes: stored, ExpiresAt: time.Now().Add(pendingTTL)})
	if err != nil {
		return fmt.Errorf("store new codes: %w", err)
	}
	var d newCodesPage
	for _, code := range shown {
		d.Codes = append(d.Codes, code.Reveal())
	}
	d.Text = "Recovery codes for " + v.user.Email + " at " + a.cfg.Issuer + "\n" +
		"Made on " + time.Now().UTC().Format("2 January 2006") + ". Each works once.\n\n" + strings.Join(d.Codes, "\n") + "\n\n" +
		"To use one: " + a.cfg.Issuer + "/recover\n"
	d.File = template.URL("data:text/plain;charset=utf-8," + url.PathEscape(d.Text)) // of our own making
	return a.codesToSave(w, r, v, http.StatusOK, d)
}

func (a recoveryCodes) codesToSave(w http.ResponseWriter, r *http.Request, v visitor, status int, d newCodesPage) error {
	return a.cfg.Shell.Render(w, r, a.pages, "codes-new", web.Page{
		Name: "codes", Title: "Save your recovery codes", Status: status, Layout: web.LayoutHouse, Data: d,
		User: &web.Chip{Name: v.user.Name, Email: v.user.Email}, Rail: rail, Nav: "Passkeys", SignOutURL: "/account/signout",
	})
}

// checkCodes takes one of the new codes back; from then on they count, and the former ones do not.
func (a recoveryCodes) checkCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.mayMakeCodes(v); err != nil {
		return err
	}
	typed, err := enrol.ReadForm(r, "code")
	if err != nil {
		return err
	}
	p, err := a.pending.Get(r.Context(), v.session.ID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && !time.Now().Before(p.ExpiresAt) {
		return &web.Problem{
			Status: http.StatusGone, Title: "These codes don’t count",
			Text: "They were replaced by newer ones, or too much time has passed. Make new ones, and throw these away.",
			Next: "Recovery codes", NextURL: "/account/codes",
		}
	} else if err != nil {
		return fmt.Errorf("load new codes: %w", err)
	}
	code, ok := recovery.Typed(typed[0])
	if ok {
		_, ok = a.codeKey.Find(v.user.ID, code, p.Codes)
	}
	if !ok {
		return a.codesToSave(w, r, v, http.StatusUnprocessableEntity, newCodesPage{
			Error: "That isn’t one of your new codes. Look at what you saved and type one of them. If you didn’t save them, make new ones.",
		})
	}
	if _, err := a.pending.Take(r.Context(), v.session.ID); errors.Is(err, idp.ErrNotFound) { // another tab was faster
		return seeOther(w, r, "/account/codes")
	} else if err != nil {
		return fmt.Errorf("take new codes: %w", err)
	}
	ev := web.Event(r, idp.EventCodesMade, v.user.ID)
	ev.SessionID = v.session.ID
	err = a.cfg.DB.ReplaceRecoveryCodes(r.Context(), v.user.ID, p.Codes, time.Now(), ev)
	if errors.Is(err, idp.ErrClosed) {
		return stillClosed(time.Now().Add(idp.RecoveryClosed))
	} else if err != nil {
		return fmt.Errorf("store recovery codes: %w", err)
	}
	n := a.enrol.NewNotice(r, idp.Passkey{})
	n.Link = a.cfg.Issuer + "/account/codes"
	a.enrol.Notify(r, a.cfg.Mailer.CodesMade(v.user.Email, n))
	return seeOther(w, r, "/account/codes?done=made")
}
