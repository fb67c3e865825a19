package account

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A confirmation waits for the code e-mailed to the account's address. It is stored under the ID of the session that
// asked.
type confirmation struct {
	Email     string    `json:"email"`
	Code      string    `json:"code"` // hash of bindCode; empty once used
	Tries     int       `json:"tries"`
	ExpiresAt time.Time `json:"expires"` // a wrong try extends the stored entry, but not this
}

type confirmPage struct {
	Email string
	Error words.Text
	Time  time.Duration // that a code works
}

var errSpent = errors.New("code spent")

// sendCode e-mails a code to the account's address.
func (a *Account) sendCode(w http.ResponseWriter, r *http.Request, v visitor) error {
	if v.User.EmailVerified {
		return house.SeeOther(w, r, "/account")
	}
	if !a.cfg.Mailer.Delivers() {
		return &web.Problem{
			Status: http.StatusNotFound, Words: "emailpage.nomail", NextURL: "/account",
		}
	}
	if err := a.enrol.LimitMails(r, v.User.Email); err != nil {
		return err
	}
	code := enrol.NewCode()
	err := a.confirmations.Put(r.Context(), v.Session.ID, confirmation{
		Email: v.User.Email, Code: a.bindCode(v, code).Hash(), ExpiresAt: time.Now().Add(enrol.CodeTTL),
	})
	if err != nil {
		return fmt.Errorf("store confirmation: %w", err)
	}
	message := a.enrol.MailsTo(r, v.User).ConfirmEmail(v.User.Email, code, enrol.CodeTTL)
	if err := a.cfg.Mailer.Send(r.Context(), message); err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	return house.SeeOther(w, r, "/account/email")
}

// bindCode returns what to hash for a code, so that it works only in this session and for this address.
func (a *Account) bindCode(v visitor, code idp.Secret) idp.Secret {
	return enrol.BindCode(idp.Secret(v.Session.ID+" "+v.User.Email), code)
}

func (a *Account) showConfirmEmail(w http.ResponseWriter, r *http.Request, v visitor) error {
	if v.User.EmailVerified {
		return house.SeeOther(w, r, "/account")
	}
	return a.renderConfirmEmail(w, r, v, http.StatusOK, words.Text{})
}

func (a *Account) renderConfirmEmail(
	w http.ResponseWriter, r *http.Request, v visitor, status int, fault words.Text,
) error {
	return a.renderHouse(w, r, v, "email", web.Page{
		Nav: "Profile", Status: status, Data: confirmPage{Email: v.User.Email, Error: fault, Time: enrol.CodeTTL},
	})
}

// confirmEmail checks the code and marks the address as confirmed.
func (a *Account) confirmEmail(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "token")
	if err != nil {
		return err
	}
	answer := a.bindCode(v, idp.Secret(strings.NewReplacer(" ", "", "-", "").Replace(typed[0])))
	right := false
	c, err := a.confirmations.Update(r.Context(), v.Session.ID, 0, func(c *confirmation) error {
		if !time.Now().Before(c.ExpiresAt) || c.Tries >= enrol.MaxTries {
			return errSpent
		}
		c.Tries++ // stored before the answer is given, by compare-and-swap, so parallel guesses count too
		if right = answer.Matches(c.Code); right {
			c.Code = "" // of two right answers at once, one wins
		}
		return nil
	})
	switch {
	case errors.Is(err, idp.ErrNotFound), errors.Is(err, errSpent), errors.Is(err, idp.ErrConflict):
		return a.renderConfirmEmail(w, r, v, http.StatusUnprocessableEntity,
			words.T("emailpage.spent"))
	case err != nil:
		return fmt.Errorf("check code: %w", err)
	case !right:
		return a.renderConfirmEmail(w, r, v, http.StatusUnprocessableEntity, words.T("code.wrong"))
	}
	ev := web.Event(r, idp.EventEmailVerified, v.User.ID)
	ev.SessionID = v.Session.ID
	err = a.cfg.DB.VerifyEmail(r.Context(), v.User.ID, c.Email, time.Now(), ev)
	if errors.Is(err, idp.ErrNotFound) { // the address changed meanwhile
		return house.SeeOther(w, r, "/account")
	}
	if err != nil {
		return fmt.Errorf("confirm address: %w", err)
	}
	return house.SeeOther(w, r, "/account?done=confirmed")
}
