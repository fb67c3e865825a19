package account

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
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
	Left   int // that still work
	All    int // that new ones are
	MadeAt time.Time
	Useful bool // the user's address is confirmed, without which codes recover nothing
	Notice words.Text
	// ClosedUntil is when new codes can be made again after a recovery; zero: now.
	ClosedUntil time.Time
}

var codesNotices = map[string]string{"made": "codes.made"}

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
	d.Notice = words.T(codesNotices[r.URL.Query().Get("done")])
	return a.renderHouse(w, r, v, "codes", web.Page{Nav: "Passkeys", Data: d})
}

// countCodes counts the user's recovery codes that still work.
func (a recoveryCodes) countCodes(r *http.Request, v visitor) (codesPage, error) {
	stored, err := recoveries.CodesOf(r.Context(), a.cfg.DB, v.User.ID)
	if err != nil {
		return codesPage{}, fmt.Errorf("load recovery codes: %w", err)
	}
	usable := a.codeKey.Usable(stored)
	d := codesPage{
		Left: len(usable), All: recoverycode.Count, ClosedUntil: v.User.ClosedUntil(time.Now()),
		Useful: v.User.EmailVerified,
	}
	if len(usable) > 0 {
		d.MadeAt = usable[0].CreatedAt
	}
	return d, nil
}

func (a recoveryCodes) noCodes() error {
	return &web.Problem{
		Status: http.StatusNotFound, Words: "codes.unused", NextURL: "/account/passkeys",
	}
}

// recentlyRecovered refuses what a user cannot do yet after a recovery.
func recentlyRecovered(until time.Time) error {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "recently_recovered", NextURL: "/account/passkeys",
		Words: "codes.recent", Args: []any{"until", words.Moment(until)},
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
	return a.renderHouse(w, r, v, "codes-begin", web.Page{Nav: "Passkeys", Data: d})
}

func (a recoveryCodes) checkCodesAllowed(v visitor) error {
	if !a.recovery.ByCodes() {
		return a.noCodes()
	}
	if until := v.User.ClosedUntil(time.Now()); !until.IsZero() {
		return recentlyRecovered(until)
	}
	return nil
}

// newSheet is the page with new codes, without the codes.
var newSheet = recoverycode.Sheet{Check: "/account/codes/check", Back: "/account/codes"}

// makeCodes shows new codes. They become valid when the user types one of them back.
func (a recoveryCodes) makeCodes(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.checkCodesAllowed(v); err != nil {
		return err
	}
	shown, stored := a.codeKey.Make(v.User.ID, time.Now())
	err := a.pending.Put(r.Context(), v.Session.ID, pendingCodes{Codes: stored, ExpiresAt: time.Now().Add(pendingTTL)})
	if err != nil {
		return fmt.Errorf("store new codes: %w", err)
	}
	d := newSheet.Show(a.cfg.Shell.Language(r), shown, v.User.Email, a.cfg.Issuer)
	return a.renderNewCodes(w, r, v, http.StatusOK, d)
}

func (a recoveryCodes) renderNewCodes(
	w http.ResponseWriter, r *http.Request, v visitor, status int, d recoverycode.Sheet,
) error {
	return a.renderHouse(w, r, v, "codes-new", web.Page{
		Name: "codes", Nav: "Passkeys", Status: status, Data: d,
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
	p, err := a.pending.Get(r.Context(), v.Session.ID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && !time.Now().Before(p.ExpiresAt) {
		return &web.Problem{
			Status: http.StatusGone, Words: "codes.old", Args: []any{"time", pendingTTL}, NextURL: "/account/codes",
		}
	} else if err != nil {
		return fmt.Errorf("load new codes: %w", err)
	}
	code, ok := recoverycode.Typed(typed[0])
	if ok {
		_, ok = a.codeKey.Find(v.User.ID, code, p.Codes)
	}
	if !ok {
		d := newSheet
		d.Error = words.T("codes.new.wrong")
		return a.renderNewCodes(w, r, v, http.StatusUnprocessableEntity, d)
	}
	if _, err := a.pending.Take(r.Context(), v.Session.ID); errors.Is(err, idp.ErrNotFound) { // another tab did it first
		return house.SeeOther(w, r, "/account/codes")
	} else if err != nil {
		return fmt.Errorf("take new codes: %w", err)
	}
	ev := web.Event(r, idp.EventCodesMade, v.User.ID)
	ev.SessionID = v.Session.ID
	err = recoveries.ReplaceCodes(r.Context(), a.cfg.DB, v.User.ID, p.Codes, time.Now(), ev)
	if errors.Is(err, idp.ErrClosed) {
		return recentlyRecovered(time.Now().Add(idp.RecoveryClosed))
	} else if err != nil {
		return fmt.Errorf("store recovery codes: %w", err)
	}
	n := a.enrol.NewNotice(r, idp.Passkey{})
	n.Link = a.cfg.Issuer + "/account/codes"
	a.enrol.Notify(r, a.enrol.MailsTo(r, v.User).CodesMade(v.User.Email, n))
	return house.SeeOther(w, r, "/account/codes?done=made")
}
