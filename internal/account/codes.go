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

// pendingTTL is how long users have to save new recovery codes and type one of them back.
const pendingTTL = 30 * time.Minute

// pendingCodes are new recovery codes, stored under the session ID until the user types one of them back. Until then
// the former codes stay valid.
type pendingCodes struct {
	Codes     []idp.RecoveryCode `json:"codes"`
	ExpiresAt time.Time          `json:"expires"`
}

type codesPage struct {
	Left   int
	MadeAt time.Time
	Useful bool // the user's address is confirmed, without which codes recover nothing
	Notice string
	// ClosedUntil is when new codes can be made again after a recovery; zero: now.
	ClosedUntil time.Time
}

var codesNotices = map[string]string{"made": "Your recovery codes are ready. Keep them apart from your devices."}

// recoveryCodes has the handlers of the recovery codes.
type recoveryCodes struct{ *Account }

func (a recoveryCodes) showCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if !a.recovery.ByCodes() {
		return a.noCodes()
	}
	d, err := a.countCodes(r, v)
	if err != nil {
		return err
	}
	d.Notice = codesNotices[r.URL.Query().Get("done")]
	return a.renderHouse(w, r, v, "codes", web.Page{Nav: "Passkeys", Title: "Recovery codes", Data: d})
}

// countCodes counts the user's recovery codes that still work.
func (a recoveryCodes) countCodes(r *http.Request, v visitor) (codesPage, error) {
	stored, err := a.cfg.DB.RecoveryCodesOf(r.Context(), v.user.ID)
	if err != nil {
		return codesPage{}, fmt.Errorf("load recovery codes: %w", err)
	}
	usable := a.codeKey.Usable(stored)
	d := codesPage{Left: len(usable), ClosedUntil: v.user.ClosedUntil(time.Now()), Useful: v.user.EmailVerified}
	if len(usable) > 0 {
		d.MadeAt = usable[0].CreatedAt
	}
	return d, nil
}

func (a recoveryCodes) noCodes() error {
	return &web.Problem{
		Status: http.StatusNotFound, Title: "This service does not use recovery codes",
		Text: "If you lose your passkeys, ask the people who run this service for help.",
		Next: "Back to your passkeys", NextURL: "/account/passkeys",
	}
}

// recentlyRecovered refuses what a user cannot do yet after a recovery.
func recentlyRecovered(until time.Time) error {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "recently_recovered", Title: "This account was recovered recently",
		Text: "To protect it, you can do this only from " + until.UTC().Format("2 January 2006, 15:04 UTC") + ".",
		Next: "Back to your passkeys", NextURL: "/account/passkeys",
	}
}

// beginCodes shows the page before new codes, to which the step-up returns.
func (a recoveryCodes) beginCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.checkCodesAllowed(v); err != nil {
		return err
	}
	d, err := a.countCodes(r, v)
	if err != nil {
		return err
	}
	return a.renderHouse(w, r, v, "codes-begin", web.Page{Nav: "Passkeys", Title: "New recovery codes", Data: d})
}

func (a recoveryCodes) checkCodesAllowed(v visitor) error {
	if !a.recovery.ByCodes() {
		return a.noCodes()
	}
	if until := v.user.ClosedUntil(time.Now()); !until.IsZero() {
		return recentlyRecovered(until)
	}
	return nil
}

// newCodesPage shows new codes once. Text and File both hold the file to download; without codes it asks for one of
// them.
type newCodesPage struct {
	Codes []string
	Text  string
	File  template.URL
	Error string
}

// makeCodes shows new codes. They become valid when the user types one of them back.
func (a recoveryCodes) makeCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.checkCodesAllowed(v); err != nil {
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
		"Made on " + time.Now().UTC().Format("2 January 2006") + ". Each works once.\n\n" +
		strings.Join(d.Codes, "\n") + "\n\n" +
		"To use one: " + a.cfg.Issuer + "/recover\n"
	d.File = template.URL("data:text/plain;charset=utf-8," + url.PathEscape(d.Text)) // escaped, so safe as a URL
	return a.renderNewCodes(w, r, v, http.StatusOK, d)
}

func (a recoveryCodes) renderNewCodes(
	w http.ResponseWriter, r *http.Request, v visitor, status int, d newCodesPage,
) error {
	return a.renderHouse(w, r, v, "codes-new", web.Page{
		Name: "codes", Nav: "Passkeys", Title: "Save your recovery codes", Status: status, Data: d,
	})
}

// checkCodes replaces the former codes with the new ones once the user has typed one of the new ones.
func (a recoveryCodes) checkCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.checkCodesAllowed(v); err != nil {
		return err
	}
	typed, err := enrol.ReadForm(r, "code")
	if err != nil {
		return err
	}
	p, err := a.pending.Get(r.Context(), v.session.ID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && !time.Now().Before(p.ExpiresAt) {
		return &web.Problem{
			Status: http.StatusGone, Title: "These codes have expired",
			Text: "They were replaced by newer ones, or more than 30 minutes have passed. Make new ones and throw these away.",
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
		return a.renderNewCodes(w, r, v, http.StatusUnprocessableEntity, newCodesPage{
			Error: "That isn’t one of your new codes. Type one of those you saved. If you didn’t save them, make new ones.",
		})
	}
	if _, err := a.pending.Take(r.Context(), v.session.ID); errors.Is(err, idp.ErrNotFound) { // another tab did it first
		return seeOther(w, r, "/account/codes")
	} else if err != nil {
		return fmt.Errorf("take new codes: %w", err)
	}
	ev := web.Event(r, idp.EventCodesMade, v.user.ID)
	ev.SessionID = v.session.ID
	err = a.cfg.DB.ReplaceRecoveryCodes(r.Context(), v.user.ID, p.Codes, time.Now(), ev)
	if errors.Is(err, idp.ErrClosed) {
		return recentlyRecovered(time.Now().Add(idp.RecoveryClosed))
	} else if err != nil {
		return fmt.Errorf("store recovery codes: %w", err)
	}
	n := a.enrol.NewNotice(r, idp.Passkey{})
	n.Link = a.cfg.Issuer + "/account/codes"
	a.enrol.Notify(r, a.enrol.MailsTo(r, v.user).CodesMade(v.user.Email, n))
	return seeOther(w, r, "/account/codes?done=made")
}
