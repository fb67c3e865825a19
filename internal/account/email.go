package account

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A confirmation waits for the code that was mailed to the address of an account. Its key is the session that asked.
type confirmation struct {
	Email     string    `json:"email"`
	Code      string    `json:"code"` // hash of session and code; empty once it was used
	Tries     int       `json:"tries"`
	ExpiresAt time.Time `json:"expires"` // a try renews the entry, not this
}

type confirmPage struct{ Email, Error, Notice string }

var errSpent = errors.New("code spent")

// sendCode mails a code to the address of the account.
func (a *Account) sendCode(w http.ResponseWriter, r *http.Request, v visitor) error {
	if v.user.EmailVerified {
		return seeOther(w, r, "/account")
	}
	if !a.cfg.Mailer.Delivers() {
		return &web.Problem{
			Status: http.StatusNotFound, Title: "Your address can’t be confirmed here", Text: "This service sends no e-mail.",
			Next: "Back to your profile", NextURL: "/account",
		}
	}
	if err := a.enrol.LimitMails(r, v.user.Email); err != nil {
		return err
	}
	code := enrol.NewCode()
	err := a.confirmations.Put(r.Context(), v.session.ID, confirmation{
		Email: v.user.Email, Code: a.confirms(v, code).Hash(), ExpiresAt: time.Now().Add(enrol.CodeTTL),
	})
	if err != nil {
		return fmt.Errorf("store confirmation: %w", err)
	}
	if err := a.cfg.Mailer.Send(r.Context(), a.cfg.Mailer.ConfirmEmail(v.user.Email, code, enrol.CodeTTL)); err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	return seeOther(w, r, "/account/email")
}

// confirms is what is hashed: neither another session nor a later address has a use for the code.
func (a *Account) confirms(v visitor, code idp.Secret) idp.Secret {
	return enrol.BindCode(idp.Secret(v.session.ID+" "+v.user.Email), code)
}

func (a *Account) showConfirm(w http.ResponseWriter, r *http.Request, v visitor) error {
	if v.user.EmailVerified {
		return seeOther(w, r, "/account")
	}
	return a.renderConfirm(w, r, v, http.StatusOK, "")
}

func (a *Account) renderConfirm(w http.ResponseWriter, r *http.Request, v visitor, status int, fault string) error {
	return a.house(w, r, v, status, "email", "Profile", "Confirm your e-mail address", confirmPage{Email: v.user.Email, Error: fault})
}

// confirm takes the code.
func (a *Account) confirm(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "token")
	if err != nil {
		return err
	}
	answer := a.confirms(v, idp.Secret(strings.NewReplacer(" ", "", "-", "").Replace(typed[0])))
	right := false
	c, err := a.confirmations.Update(r.Context(), v.session.ID, 0, func(c *confirmation) error {
		if !time.Now().Before(c.ExpiresAt) || c.Tries >= enrol.MaxTries {
			return errSpent
		}
		c.Tries++ // counted before the answer is known to anybody, by a swap: parallel guesses do not multiply the tries
		if right = answer.Matches(c.Code); right {
			c.Code = "" // one winner
		}
		return nil
	})
	switch {
	case errors.Is(err, idp.ErrNotFound), errors.Is(err, errSpent), errors.Is(err, idp.ErrConflict):
		return a.renderConfirm(w, r, v, http.StatusUnprocessableEntity, "That code is used up or too old. Send a new one.")
	case err != nil:
		return fmt.Errorf("check code: %w", err)
	case !right:
		return a.renderConfirm(w, r, v, http.StatusUnprocessableEntity, "That code isn’t right. Look for the newest e-mail and try again.")
	}
	ev := web.Event(r, idp.EventEmailVerified, v.user.ID)
	ev.SessionID = v.session.ID
	err = a.cfg.DB.VerifyEmail(r.Context(), v.user.ID, c.Email, time.Now(), ev)
	if errors.Is(err, idp.ErrNotFound) { // another address since
		return seeOther(w, r, "/account")
	}
	if err != nil {
		return fmt.Errorf("confirm address: %w", err)
	}
	return seeOther(w, r, "/account?done=confirmed")
}
