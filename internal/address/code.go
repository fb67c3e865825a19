package address

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A confirmation waits for the code e-mailed to an address: the account's, or one to add. It is stored under the ID of
// the session that asked.
type confirmation struct {
	Email     string    `json:"email"`
	New       bool      `json:"new,omitempty"` // to add, after a step-up
	Code      string    `json:"code"`          // hash of bindCode; empty once used
	Tries     int       `json:"tries"`
	ExpiresAt time.Time `json:"expires"` // a wrong try extends the stored entry, but not this
}

var errSpent = errors.New("code spent")

func noMail() error {
	return &web.Problem{Status: http.StatusNotFound, Words: "emailpage.nomail", NextURL: listPath}
}

// sendCode e-mails a code to the account's address. It also repeats the e-mail to one to add.
func (s *Service) sendCode(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	typed, err := enrol.ReadForm(r, "again")
	if err != nil {
		return err
	}
	email, added := v.User.Email, false
	if typed[0] != "" {
		c, err := s.confirmations.Get(r.Context(), v.Session.ID)
		if errors.Is(err, idp.ErrNotFound) || err == nil && !time.Now().Before(c.ExpiresAt) {
			return house.SeeOther(w, r, listPath)
		} else if err != nil {
			return fmt.Errorf("load confirmation: %w", err)
		}
		email, added = c.Email, c.New
	}
	if !added && v.User.EmailVerified {
		return house.SeeOther(w, r, listPath)
	}
	return s.send(w, r, v, email, added)
}

// send e-mails a code. If an address to add belongs to an account already, the e-mail says so, and the code is sent to
// no one: both cases cost the same and show the same page.
func (s *Service) send(w http.ResponseWriter, r *http.Request, v house.Visitor, email string, added bool) error {
	if !s.cfg.Mailer.Delivers() {
		return noMail()
	}
	if err := s.cfg.Enrol.LimitMails(r, email); err != nil {
		return err
	}
	code := enrol.NewCode()
	writer := s.cfg.Enrol.MailsTo(r, v.User)
	message := writer.ConfirmEmail(email, code, enrol.CodeTTL)
	if added {
		message = writer.AddAddress(email, code, enrol.CodeTTL)
		free, err := s.addresses.Free(r.Context(), v.User.ID, email, time.Now())
		if err != nil {
			return fmt.Errorf("look up address: %w", err)
		}
		if !free {
			code, message = idp.NewSecret(), writer.AddressTaken(email)
		}
	}
	err := s.confirmations.Put(r.Context(), v.Session.ID, confirmation{
		Email: email, New: added, Code: bindCode(v, email, code).Hash(), ExpiresAt: time.Now().Add(enrol.CodeTTL),
	})
	if err != nil {
		return fmt.Errorf("store confirmation: %w", err)
	}
	if err := s.cfg.Mailer.Send(r.Context(), message); err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	return house.SeeOther(w, r, listPath+"/code")
}

// bindCode returns what to hash for a code, so that it works only in this session and for this address.
func bindCode(v house.Visitor, email string, code idp.Secret) idp.Secret {
	return enrol.BindCode(idp.Secret(v.Session.ID+" "+email), code)
}

type addPage struct {
	Email string // as typed
	Fault words.Text
}

func (s *Service) showAdd(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	if !s.cfg.Mailer.Delivers() {
		return noMail()
	}
	return s.render(w, r, v, "add", http.StatusOK, addPage{})
}

// add e-mails a code to a new address. The store checks the limits again when it is confirmed.
func (s *Service) add(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	typed, err := enrol.ReadForm(r, "email")
	if err != nil {
		return err
	}
	refuse := func(fault words.Text) error {
		return s.render(w, r, v, "add", http.StatusUnprocessableEntity, addPage{enrol.Clip(typed[0]), fault})
	}
	email, ok := directory.NormalizeEmail(typed[0])
	if !ok {
		return refuse(words.T("email.wrong"))
	}
	others, err := s.addresses.Of(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	switch {
	case email == v.User.Email, slices.ContainsFunc(others, func(a addresses.Address) bool { return a.Email == email }):
		return refuse(words.T("addresses.yours"))
	case len(others)+1 >= directory.MaxAddresses:
		return refuse(words.T("addresses.full", "n", directory.MaxAddresses))
	}
	return s.send(w, r, v, email, true)
}

type codePage struct {
	Email string
	Error words.Text
	Time  time.Duration // that a code works
}

func (s *Service) showCode(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	return s.renderCode(w, r, v, http.StatusOK, words.Text{})
}

func (s *Service) renderCode(
	w http.ResponseWriter, r *http.Request, v house.Visitor, status int, fault words.Text,
) error {
	c, err := s.confirmations.Get(r.Context(), v.Session.ID)
	if errors.Is(err, idp.ErrNotFound) && fault.Key != "" {
		return house.SeeOther(w, r, listPath+"?done=spent")
	} else if errors.Is(err, idp.ErrNotFound) {
		return house.SeeOther(w, r, listPath)
	} else if err != nil {
		return fmt.Errorf("load confirmation: %w", err)
	}
	return s.render(w, r, v, "code", status, codePage{Email: c.Email, Error: fault, Time: enrol.CodeTTL})
}

// confirm checks the code. Then it marks the account's address as confirmed, or adds the new one.
func (s *Service) confirm(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	typed, err := enrol.ReadForm(r, "token")
	if err != nil {
		return err
	}
	answer := idp.Secret(strings.NewReplacer(" ", "", "-", "").Replace(typed[0]))
	right := false
	c, err := s.confirmations.Update(r.Context(), v.Session.ID, 0, func(c *confirmation) error {
		if !time.Now().Before(c.ExpiresAt) || c.Tries >= enrol.MaxTries {
			return errSpent
		}
		c.Tries++ // stored before the answer is given, by compare-and-swap, so parallel guesses count too
		if right = bindCode(v, c.Email, answer).Matches(c.Code); right {
			c.Code = "" // of two right answers at once, one wins
		}
		return nil
	})
	switch {
	case errors.Is(err, idp.ErrNotFound), errors.Is(err, errSpent), errors.Is(err, idp.ErrConflict):
		return s.renderCode(w, r, v, http.StatusUnprocessableEntity, words.T("emailpage.spent"))
	case err != nil:
		return fmt.Errorf("check code: %w", err)
	case !right:
		return s.renderCode(w, r, v, http.StatusUnprocessableEntity, words.T("code.wrong"))
	}
	if c.New {
		return s.confirmed(w, r, v, c.Email)
	}
	err = s.cfg.DB.VerifyEmail(r.Context(), v.User.ID, c.Email, time.Now(), s.event(r, v, idp.EventEmailVerified))
	if errors.Is(err, idp.ErrNotFound) { // the address changed meanwhile
		return house.SeeOther(w, r, listPath)
	} else if err != nil {
		return fmt.Errorf("confirm address: %w", err)
	}
	return house.SeeOther(w, r, listPath+"?done=confirmed")
}

// confirmed adds an address whose code was right, and tells the others.
func (s *Service) confirmed(w http.ResponseWriter, r *http.Request, v house.Visitor, email string) error {
	a := addresses.Address{ID: idp.NewID(), UserID: v.User.ID, Email: email, AddedAt: time.Now()}
	err := s.addresses.Add(r.Context(), a, s.event(r, v, idp.EventEmailAdded))
	switch {
	case errors.Is(err, addresses.ErrTooMany):
		return s.render(w, r, v, "add", http.StatusUnprocessableEntity,
			addPage{email, words.T("addresses.full", "n", directory.MaxAddresses)})
	case errors.Is(err, idp.ErrConflict): // somebody took it since the code was mailed
		return &web.Problem{Status: http.StatusConflict, Code: "address_taken", Words: "addresses.taken", NextURL: listPath}
	case err != nil:
		return gone(err)
	}
	notice := s.notice(r)
	s.cfg.Enrol.NotifyAll(r, v.User, func(w mail.Writer, to string) mail.Message {
		if to == email {
			return mail.Message{}
		}
		return w.AddressAdded(to, email, notice)
	})
	return house.SeeOther(w, r, listPath+"?done=added")
}
