package enrol

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const (
	CodeTTL  = 15 * time.Minute
	MaxTries = 5 // wrong answers per code. With at most 30 e-mails an hour (package limit): 150 guesses at 10^8 codes
)

// A signUp waits for its code. It is stored under the hash of the browser's cookie, so the code works only in the
// browser that asked for it, and each browser has at most one sign-up.
type signUp struct {
	Email       string `json:"email"`
	Name        string `json:"name"`
	Interaction string `json:"i,omitempty"`
	// Code is the hash of cookie and code (see BindCode); empty once used. If the address has an account, the code is a
	// random one that is sent to no one.
	Code      string    `json:"code"`
	Tries     int       `json:"tries"`
	ExpiresAt time.Time `json:"expires"` // a wrong try extends the stored entry, but not this
}

var errSpent = errors.New("code spent")

// A signUpForm is the data of signup.html. Sure is an unusual address that the page has asked the user to check.
type signUpForm struct {
	Interaction, Email, Name, Field, Sure string
	Error                                 words.Text
}

func (en *Service) showSignUp(w http.ResponseWriter, r *http.Request) error {
	if !en.cfg.SignUp {
		return &web.Problem{
			Status: http.StatusNotFound, Words: "signup.closed",
		}
	}
	return en.renderSignUp(w, r, http.StatusOK, signUpForm{Interaction: InteractionID(r)})
}

func (en *Service) renderSignUp(w http.ResponseWriter, r *http.Request, status int, f signUpForm) error {
	return en.renderThreshold(w, r, "signup", f.Interaction, web.Page{
		Name: "signup", Status: status, Data: f,
	})
}

func (en *Service) startSignUp(w http.ResponseWriter, r *http.Request) error {
	if !en.cfg.SignUp {
		return en.showSignUp(w, r)
	}
	typed, err := ReadForm(r, "email", "name", "sure")
	if err != nil {
		return err
	}
	f := signUpForm{Interaction: InteractionID(r), Email: Clip(typed[0]), Name: Clip(typed[1])}
	email, ok := directory.NormalizeEmail(typed[0])
	if !ok {
		f.Error, f.Field = words.T("email.wrong"), "email"
		return en.renderSignUp(w, r, http.StatusUnprocessableEntity, f)
	}
	name, ok := directory.NormalizeName(typed[1])
	if !ok {
		f.Error, f.Field = words.T("signup.name"), "name"
		return en.renderSignUp(w, r, http.StatusUnprocessableEntity, f)
	}
	if _, domain, _ := strings.Cut(email, "@"); !strings.Contains(domain, ".") && typed[2] != email {
		f.Error, f.Field, f.Sure = words.T("signup.sure"), "email", email
		return en.renderSignUp(w, r, http.StatusUnprocessableEntity, f)
	}
	if err := en.LimitMails(r, email); err != nil {
		return err
	}
	browser := en.cfg.Sessions.EnsureBrowser(w, r)
	message, code, err := en.writeMail(r, email)
	if err != nil {
		return err
	}
	err = en.signUps.Put(r.Context(), browser.Hash(), signUp{
		Email: email, Name: name, Interaction: f.Interaction,
		Code: BindCode(browser, code).Hash(), ExpiresAt: time.Now().Add(CodeTTL),
	})
	if err != nil {
		return fmt.Errorf("store sign-up: %w", err)
	}
	if err := en.cfg.Mailer.Send(r.Context(), message); err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	http.Redirect(w, r, "/signup/verify", http.StatusSeeOther)
	return nil
}

// writeMail returns the e-mail for an address, and the code that verifyCode will accept. If the address has an account,
// the e-mail says so, and the code is sent to no one. Both cases cost one read, one entry and one queued e-mail, and
// show the same page, so only the mailbox learns which it was.
func (en *Service) writeMail(r *http.Request, email string) (mail.Message, idp.Secret, error) {
	u, err := en.cfg.DB.UserByEmail(r.Context(), email)
	switch {
	case err == nil:
		return en.MailsTo(r, u).AccountExists(email, en.cfg.Issuer+"/account"), idp.NewSecret(), nil
	case !errors.Is(err, idp.ErrNotFound):
		return mail.Message{}, "", fmt.Errorf("look up address: %w", err)
	}
	code := NewCode()
	link := idp.Secret(en.cfg.Issuer + "/signup/verify#" + code.Reveal())
	return en.MailsTo(r, idp.User{}).VerifyEmail(email, code, link, CodeTTL), code, nil
}

type verifyForm struct {
	Interaction, Email string
	Error, Notice      words.Text
	Time               time.Duration // that a code works
}

func (en *Service) showVerify(w http.ResponseWriter, r *http.Request) error {
	s, err := en.loadSignUp(r)
	if err != nil {
		return err
	}
	f := verifyForm{Interaction: s.Interaction, Email: s.Email}
	if r.URL.Query().Has("again") {
		f.Notice = words.T("verify.sent")
	}
	return en.renderVerify(w, r, http.StatusOK, f)
}

func (en *Service) renderVerify(w http.ResponseWriter, r *http.Request, status int, f verifyForm) error {
	f.Time = CodeTTL
	return en.renderThreshold(w, r, "verify", f.Interaction, web.Page{
		Name: "verify", Status: status, Data: f,
	})
}

// loadSignUp returns this browser's sign-up.
func (en *Service) loadSignUp(r *http.Request) (signUp, error) {
	browser := en.cfg.Sessions.Browser(r)
	if browser == "" {
		return signUp{}, noSignUp()
	}
	s, err := en.signUps.Get(r.Context(), browser.Hash())
	if errors.Is(err, idp.ErrNotFound) || err == nil && !time.Now().Before(s.ExpiresAt) {
		return signUp{}, noSignUp()
	} else if err != nil {
		return signUp{}, fmt.Errorf("load sign-up: %w", err)
	}
	return s, nil
}

func noSignUp() error {
	return &web.Problem{
		Status: http.StatusNotFound, Words: "signup.over", Args: []any{"time", CodeTTL}, NextURL: "/signup",
	}
}

func (en *Service) verifyCode(w http.ResponseWriter, r *http.Request) error {
	browser := en.cfg.Sessions.Browser(r)
	if browser == "" {
		return noSignUp()
	}
	typed, err := ReadForm(r, "token")
	if err != nil {
		return err
	}
	answer := BindCode(browser, idp.Secret(strings.NewReplacer(" ", "", "-", "").Replace(typed[0])))
	var right bool
	s, err := en.signUps.Update(r.Context(), browser.Hash(), 0, func(s *signUp) error {
		if !time.Now().Before(s.ExpiresAt) {
			return idp.ErrNotFound
		}
		if s.Tries >= MaxTries {
			return errSpent
		}
		s.Tries++ // stored before the answer is given, by compare-and-swap, so parallel guesses count too
		if right = answer.Matches(s.Code); right {
			s.Code = "" // of two right answers at once, one wins
		}
		return nil
	})
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return noSignUp()
	case errors.Is(err, errSpent) || errors.Is(err, idp.ErrConflict):
		w.Header().Set("Retry-After", strconv.Itoa(int(CodeTTL.Seconds()))) // unless they ask for a new code
		return en.renderWrongCode(w, r, http.StatusTooManyRequests, words.T("verify.spent"))
	case err != nil:
		return fmt.Errorf("check code: %w", err)
	case !right && s.Tries >= MaxTries:
		return en.renderWrongCode(w, r, http.StatusUnprocessableEntity, words.T("verify.last"))
	case !right:
		return en.renderWrongCode(w, r, http.StatusUnprocessableEntity, words.T("code.wrong"))
	}
	if err := en.signUps.Delete(r.Context(), browser.Hash()); err != nil {
		return fmt.Errorf("end sign-up: %w", err)
	}
	u := idp.NewUser(s.Email, s.Name, time.Now())
	u.EmailVerified = true
	if l := en.cfg.Shell.Wanted(r); l != nil { // e-mails need a language that does not depend on a browser
		u.Profile.Locale = l.Tag
	}
	if err := en.startEnrolment(w, r, enrolment{User: u, New: true, Interaction: s.Interaction}); err != nil {
		return err
	}
	http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
	return nil
}

func (en *Service) renderWrongCode(w http.ResponseWriter, r *http.Request, status int, text words.Text) error {
	s, err := en.loadSignUp(r)
	if err != nil {
		return err
	}
	return en.renderVerify(w, r, status, verifyForm{Interaction: s.Interaction, Email: s.Email, Error: text})
}

func (en *Service) resendCode(w http.ResponseWriter, r *http.Request) error {
	s, err := en.loadSignUp(r)
	if err != nil {
		return err
	}
	if err := en.LimitMails(r, s.Email); err != nil {
		return err
	}
	message, code, err := en.writeMail(r, s.Email)
	if err != nil {
		return err
	}
	browser := en.cfg.Sessions.Browser(r)
	_, err = en.signUps.Update(r.Context(), browser.Hash(), 0, func(s *signUp) error {
		s.Code, s.Tries, s.ExpiresAt = BindCode(browser, code).Hash(), 0, time.Now().Add(CodeTTL)
		return nil
	})
	if errors.Is(err, idp.ErrNotFound) {
		return noSignUp()
	} else if err != nil {
		return fmt.Errorf("store code: %w", err)
	}
	if err := en.cfg.Mailer.Send(r.Context(), message); err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	http.Redirect(w, r, "/signup/verify?again", http.StatusSeeOther)
	return nil
}

// LimitMails counts one e-mail to this address, requested from this network, and fails above the limits. It counts the
// same whether or not the address has an account.
func (en *Service) LimitMails(r *http.Request, email string) error {
	network := web.ClientNetwork(r)
	over, err := limit.Exceeded(r.Context(), en.cfg.Ephemeral, limit.MailsFrom.Of(network),
		limit.MailsFromTo.Of(limit.Hashed(email+" "+network)), limit.MailsTo.Of(limit.Hashed(email)))
	if err != nil {
		return fmt.Errorf("count mails: %w", err)
	}
	if over {
		return &web.Problem{
			Status: http.StatusTooManyRequests, Limit: limit.MailsTo, Code: "rate_limited",
			Words: "mails",
		}
	}
	return nil
}

// NewCode returns eight random digits.
func NewCode() idp.Secret {
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return idp.Secret(fmt.Sprintf("%08d", n))
}

// BindCode returns what to hash for a code: the hash of eight digits alone could be reversed by trying them all.
func BindCode(browser, code idp.Secret) idp.Secret {
	return idp.Secret(browser.Reveal() + ":" + code.Reveal())
}

// Clip shortens typed text that a page shows again to 254 characters.
func Clip(s string) string {
	if r := []rune(s); len(r) > 254 {
		return string(r[:254])
	}
	return s
}
