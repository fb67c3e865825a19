package enrol

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// firstCodes has the pages on which people save their first recovery codes.
type firstCodes struct{ *Service }

// codesPath offers recovery codes to people who just created their first passkey. They may leave them for later.
const codesPath = "/signup/codes"

// offersCodes reports whether this enrolment ends with an offer of recovery codes. Codes work only with a confirmed
// address, and a recovery leaves the codes as they are.
func (en *Service) offersCodes(e enrolment) bool {
	return en.cfg.Codes && e.Recovery == "" && len(e.Passkeys) > 0 && e.User.EmailVerified
}

// codesEnrolment returns this browser's enrolment if it may make recovery codes now: the account has no other passkeys
// and no codes yet. Later its owner makes them in the account, after a step-up.
func (en firstCodes) codesEnrolment(r *http.Request) (enrolment, string, error) {
	e, key, err := en.loadEnrolment(r)
	if err != nil {
		return e, "", err
	}
	if !en.offersCodes(e) {
		return e, "", enrolmentOver()
	}
	if _, err := en.enrolledPasskeys(r.Context(), e); err != nil {
		return e, "", err
	}
	codes, err := recoveries.CodesOf(r.Context(), en.cfg.DB, e.User.ID)
	if err != nil {
		return e, "", fmt.Errorf("load recovery codes: %w", err)
	}
	if len(codes) > 0 {
		return e, "", enrolmentOver()
	}
	return e, key, nil
}

// A codesOffer is the data of the page before the codes.
type codesOffer struct {
	All  int  // codes
	More bool // a second passkey is still possible instead
}

func (en firstCodes) offer(w http.ResponseWriter, r *http.Request) error {
	e, _, err := en.codesEnrolment(r)
	if err != nil {
		return err
	}
	return en.renderThreshold(w, r, "codes-offer", e.Interaction, web.Page{
		Name: "codes", Data: codesOffer{recoverycode.Count, !e.full()},
	})
}

// newSheet is the page with new codes, without the codes.
var newSheet = recoverycode.Sheet{Check: codesPath + "/check", Back: codesPath}

// show shows new codes. They count once one of them is typed back, for which there are another 15 minutes: from
// here on the enrolment registers no passkey.
func (en firstCodes) show(w http.ResponseWriter, r *http.Request) error {
	e, key, err := en.codesEnrolment(r)
	if err != nil {
		return err
	}
	shown, stored := en.cfg.CodeKey.Make(e.User.ID, time.Now())
	_, err = en.enrolments.Update(r.Context(), key, enrolmentTTL, func(e *enrolment) error {
		e.Codes, e.ExpiresAt = stored, time.Now().Add(enrolmentTTL)
		return nil
	})
	if errors.Is(err, idp.ErrNotFound) {
		return enrolmentOver()
	} else if err != nil {
		return fmt.Errorf("store new codes: %w", err)
	}
	if cookie, err := r.Cookie(en.enrolmentCookie("", 0).Name); err == nil {
		http.SetCookie(w, en.enrolmentCookie(cookie.Value, int(enrolmentTTL/time.Second)))
	}
	return en.render(w, r, e, http.StatusOK,
		newSheet.Show(en.cfg.Shell.Language(r), shown, e.User.Email, en.cfg.Issuer))
}

func (en firstCodes) render(
	w http.ResponseWriter, r *http.Request, e enrolment, status int, sheet recoverycode.Sheet,
) error {
	return en.renderThreshold(w, r, "codes", e.Interaction, web.Page{Name: "codes", Status: status, Data: sheet})
}

// check stores the codes once the user has typed one of them back, and ends the enrolment.
func (en firstCodes) check(w http.ResponseWriter, r *http.Request) error {
	typed, err := ReadForm(r, "code")
	if err != nil {
		return err
	}
	e, key, err := en.codesEnrolment(r)
	if err != nil {
		return err
	}
	code, ok := recoverycode.Typed(typed[0])
	if ok {
		_, ok = en.cfg.CodeKey.Find(e.User.ID, code, e.Codes)
	}
	if !ok {
		sheet := newSheet
		sheet.Error = words.T("codes.new.wrong")
		return en.render(w, r, e, http.StatusUnprocessableEntity, sheet)
	}
	if _, err := en.enrolments.Take(r.Context(), key); errors.Is(err, idp.ErrNotFound) { // another tab did it first
		return enrolmentOver()
	} else if err != nil {
		return fmt.Errorf("take new codes: %w", err)
	}
	err = recoveries.ReplaceCodes(r.Context(), en.cfg.DB, e.User.ID, e.Codes, time.Now(),
		web.Event(r, idp.EventCodesMade, e.User.ID))
	if errors.Is(err, idp.ErrClosed) || errors.Is(err, idp.ErrNotFound) { // recovered or disabled meanwhile
		return enrolmentOver()
	} else if err != nil {
		return fmt.Errorf("store recovery codes: %w", err)
	}
	n := en.NewNotice(r, idp.Passkey{})
	n.Link = en.cfg.Issuer + "/account/codes"
	en.Notify(r, en.MailsTo(r, e.User).CodesMade(e.User.Email, n))
	next, err := en.endEnrolment(w, r, e, key)
	if err != nil {
		return err
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}
