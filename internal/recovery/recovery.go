// Package recovery is the way back into an account for people who lost all their passkeys.
//
//	GET /recover ─▶ POST ─▶ mail with a code ─▶ that code and a saved one ─────────┐
//	                                                                               ├─▶ enrolment ─▶ /login or /account
//	stepward user recover ─▶ /recover/link#token ─▶ POST (takes the link) ─────────┤   (15 minutes, own cookie)
//	GET /recover ─▶ POST ─▶ mail with a code ─▶ that code ─▶ a wait of days ─▶ the same again ─┘
//
// A recovery is not a sign-in: it opens an enrolment (package enrol), which can only register a passkey. That passkey
// then signs in as any other does. When it is registered, the account's other passkeys are suspended, all its sessions
// and tokens end, and for a day nothing can be changed that would lock the owner out ([idp.RecoveryClosed]).
//
// The last way exists only if the operator allows it ([ByEmailWithDelay]). The wait is in the database. Every address
// and every signed-in browser is told of it, and each of them, and any sign-in with a passkey, stops it.
//
// No page tells whether an account exists: every address gets the same pages, store calls and number of e-mails. Only
// the text of the e-mail tells.
package recovery

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

//go:embed pages/*.html
var files embed.FS

// A Mode is how people who lost their passkeys get back in.
type Mode string

const (
	ByCodes          Mode = "codes"            // a saved code and one from an e-mail
	ByEmailWithDelay Mode = "email-with-delay" // as ByCodes, or the one from the e-mail alone and a wait
	AdminOnly        Mode = "admin-only"       // a link from the operator
)

// codeTTL is how long a mailed code works (NIST SP 800-63B-4 §4.2.1.2 allows longer for e-mail).
const codeTTL = 10 * time.Minute

// Config wires a Service.
type Config struct {
	Shell     *web.Shell
	Sessions  *session.Sessions
	DB        *store.DB
	Ephemeral ephemeral.Store
	Mailer    *mail.Mailer
	Enrol     *enrol.Service   // where a recovery ends
	Issuer    string           // without a slash at the end
	Mode      Mode             // empty: ByCodes
	Hold      time.Duration    // of ByEmailWithDelay; zero: directory.MinRecoveryHold
	Key       recoverycode.Key // of the saved codes
	HelpURL   string           // where people ask the operator for help; may be empty

	// Client returns the client of this browser's interaction, or nil. A nil func means that there is none.
	Client func(r *http.Request, interaction string) *web.ClientChip
	// Require returns the session if this browser is signed in and has stepped up for the class. Otherwise it has answered
	// the request by starting that interaction (login.Login.Require).
	Require func(w http.ResponseWriter, r *http.Request, class, reason, returnTo string) (*idp.Session, bool)
}

// Service serves the pages of this package.
type Service struct {
	cfg      Config
	pages    *web.Pages
	ways     *recoveries.Recoveries
	attempts ephemeral.Bucket[attempt]
}

// New parses the pages.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("recovery pages: %w", err)
	}
	if cfg.Mode == "" {
		cfg.Mode = ByCodes
	}
	if cfg.Hold == 0 {
		cfg.Hold = directory.MinRecoveryHold
	}
	attempts := ephemeral.NewBucket[attempt](cfg.Ephemeral, "recovery", codeTTL)
	return &Service{cfg: cfg, pages: pages, ways: recoveries.New(cfg.DB), attempts: attempts}, nil
}

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	open := func(pattern string, h web.Handler) { s.cfg.Shell.Handle(mux, pattern, h) }
	open("GET /recover", s.show)
	open("POST /recover", s.start)
	open("GET /recover/code", s.showCode)
	open("POST /recover/code", s.finish)
	open("GET /recover/link", s.showLink)
	open("POST /recover/link", s.redeemLink)
	open("GET /recover/wait", s.showWait)
	open("GET /recover/stop", s.showStop)
	open("POST /recover/stop", s.stop)
	open("GET /recover/stopped", s.showStopped)
	open("GET /recover/approve/{user}", s.showApprove)
	open("POST /recover/approve/{user}", s.approve)
}

// ByCodes reports whether people can recover their account with codes: the operator allows it, and there is a mail
// server.
func (s *Service) ByCodes() bool { return s.cfg.Mode != AdminOnly && s.cfg.Mailer.Delivers() }

func (s *Service) page(
	w http.ResponseWriter, r *http.Request, name, interaction string, status int, data any,
) error {
	p := web.Page{Name: "recover", Layout: web.LayoutThreshold, Status: status, Data: data}
	if s.cfg.Client != nil && interaction != "" {
		p.Client = s.cfg.Client(r, interaction)
	}
	return s.cfg.Shell.Render(w, r, s.pages, name, p)
}

// An attempt waits for its two codes. Its key is the hash of the browser's cookie, so the mailed code works only in the
// browser that asked for it.
type attempt struct {
	Email       string `json:"email"`
	UserID      string `json:"user"`  // random if there is no such account
	Known       bool   `json:"known"` // whether there is such an account
	Interaction string `json:"i,omitempty"`
	// Code is the hash of the cookie and the code together. If no code was mailed, it is the hash of a random one.
	Code      string    `json:"code"`
	Tries     int       `json:"tries"`
	ExpiresAt time.Time `json:"expires"` // fixed: a try renews the entry, not this
	// ReadyAt is until when the recovery waits whose owner proved the mailbox with this attempt.
	ReadyAt time.Time `json:"ready,omitzero"`
}

var errSpent = errors.New("code spent")

// A form is the data of the pages. Field names the input with the error: email, code (the saved one), token (the mailed
// one), or both. Saved and Mailed are the typed values, shown again after a typing error.
type form struct {
	Interaction, Email, Field, Saved, Mailed string
	Error                                    words.Text
	Time                                     time.Duration // that the mailed code works
	Tries                                    int           // that the user has in all
	// Hold is the wait of people without a saved code; zero: they cannot go on.
	Hold time.Duration
	Help string // the operator's page
}

// newForm returns the form with what every page of this service says.
func (s *Service) newForm(interaction string) form {
	f := form{Interaction: interaction, Help: s.cfg.HelpURL}
	if s.delayed() {
		f.Hold = s.cfg.Hold
	}
	return f
}

func (s *Service) show(w http.ResponseWriter, r *http.Request) error {
	interaction := enrol.InteractionID(r)
	if !s.ByCodes() {
		return s.page(w, r, "none", interaction, http.StatusOK, s.newForm(interaction))
	}
	return s.page(w, r, "recover", interaction, http.StatusOK, s.newForm(interaction))
}

// start mails the address a code, or the message that there is nothing to recover.
func (s *Service) start(w http.ResponseWriter, r *http.Request) error {
	if !s.ByCodes() {
		return s.show(w, r)
	}
	typed, err := enrol.ReadForm(r, "email")
	if err != nil {
		return err
	}
	interaction := enrol.InteractionID(r)
	email, ok := directory.NormalizeEmail(typed[0])
	if !ok {
		f := s.newForm(interaction)
		f.Email, f.Field, f.Error = enrol.Clip(typed[0]), "email", words.T("email.wrong")
		return s.page(w, r, "recover", interaction, http.StatusUnprocessableEntity, f)
	}
	if err := s.cfg.Enrol.LimitMails(r, email); err != nil {
		return err
	}
	browser := s.cfg.Sessions.EnsureBrowser(w, r)
	a, message, err := s.attemptFor(r, email, browser)
	if err != nil {
		return err
	}
	a.Interaction = interaction
	if err := s.attempts.Put(r.Context(), browser.Hash(), a); err != nil {
		return fmt.Errorf("store recovery: %w", err)
	}
	if err := s.cfg.DB.RecordEvents(r.Context(), s.event(r, idp.EventRecoveryAsked, a)); err != nil {
		return fmt.Errorf("record recovery: %w", err)
	}
	if err := s.cfg.Mailer.Send(r.Context(), message); err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	http.Redirect(w, r, "/recover/code", http.StatusSeeOther)
	return nil
}

// attemptFor looks up the address and writes the e-mail. Every address costs the same reads and gets an e-mail.
func (s *Service) attemptFor(r *http.Request, email string, browser idp.Secret) (attempt, mail.Message, error) {
	a := attempt{Email: email, UserID: idp.NewID(), ExpiresAt: time.Now().Add(codeTTL)}
	u, err := s.cfg.DB.UserByEmail(r.Context(), email)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return a, mail.Message{}, fmt.Errorf("look up address: %w", err)
	}
	if a.Known = err == nil; a.Known {
		a.UserID = u.ID
	}
	codes, err := recoveries.RedeemableCodes(r.Context(), s.cfg.DB, a.UserID, a.Email)
	if err != nil {
		return a, mail.Message{}, fmt.Errorf("load recovery codes: %w", err)
	}
	mailed, unknown := enrol.NewCode(), idp.NewSecret()
	write := s.cfg.Enrol.MailsTo(r, u)
	message, impossible := write.RecoveryCode(email, mailed, codeTTL), write.RecoveryImpossible(email)
	if s.delayed() {
		message = write.RecoveryCodeAlone(email, mailed, codeTTL, s.cfg.Hold)
	}
	possible := len(s.cfg.Key.Usable(codes)) > 0
	if s.delayed() {
		alone, err := s.ways.MayUseEMail(r.Context(), a.UserID, email)
		if err != nil {
			return a, mail.Message{}, err
		}
		possible = possible || alone
	}
	if !possible {
		message, mailed = impossible, unknown
	}
	a.Code = enrol.BindCode(browser, mailed).Hash()
	return a, message, nil
}

func (s *Service) event(r *http.Request, kind idp.EventKind, a attempt) idp.Event {
	id := ""
	if a.Known {
		id = a.UserID
	}
	return web.Event(r, kind, id)
}

// waiting returns this browser's attempt.
func (s *Service) waiting(r *http.Request) (attempt, error) {
	browser := s.cfg.Sessions.Browser(r)
	if browser == "" {
		return attempt{}, over()
	}
	a, err := s.attempts.Get(r.Context(), browser.Hash())
	if errors.Is(err, idp.ErrNotFound) || err == nil && !time.Now().Before(a.ExpiresAt) {
		return attempt{}, over()
	} else if err != nil {
		return attempt{}, fmt.Errorf("load recovery: %w", err)
	}
	return a, nil
}

func over() error {
	return &web.Problem{
		Status: http.StatusNotFound, Words: "recover.over", Args: []any{"time", codeTTL}, NextURL: "/recover",
	}
}

func (s *Service) showCode(w http.ResponseWriter, r *http.Request) error {
	a, err := s.waiting(r)
	if err != nil {
		return err
	}
	if !a.ReadyAt.IsZero() {
		http.Redirect(w, r, "/recover/wait", http.StatusSeeOther)
		return nil
	}
	return s.codePage(w, r, a, http.StatusOK, form{})
}

func (s *Service) codePage(w http.ResponseWriter, r *http.Request, a attempt, status int, f form) error {
	f.Interaction, f.Email, f.Time, f.Tries = a.Interaction, a.Email, codeTTL, enrol.MaxTries
	f.Hold = s.newForm("").Hold
	return s.page(w, r, "code", a.Interaction, status, f)
}

// finish takes both codes. It does not say which of them was wrong.
func (s *Service) finish(w http.ResponseWriter, r *http.Request) error {
	typed, err := enrol.ReadForm(r, "code", "token")
	if err != nil {
		return err
	}
	a, err := s.waiting(r)
	if err != nil {
		return err
	}
	mailed := digits(typed[1])
	saved, ok := recoverycode.Typed(typed[0])
	alone := typed[0] == "" && s.delayed()
	again := form{Saved: enrol.Clip(typed[0]), Mailed: enrol.Clip(typed[1])}
	switch { // neither error says anything about an account, so neither counts as a try
	case !ok && !alone:
		again.Field, again.Error = "code", words.T("recover.code.typing")
		return s.codePage(w, r, a, http.StatusUnprocessableEntity, again)
	case !eightDigits(mailed):
		again.Field, again.Error = "token", words.T("recover.code.digits")
		return s.codePage(w, r, a, http.StatusUnprocessableEntity, again)
	}
	if err := s.pause(r, a); err != nil {
		return err
	}
	codes, err := recoveries.RedeemableCodes(r.Context(), s.cfg.DB, a.UserID, a.Email)
	if err != nil {
		return fmt.Errorf("load recovery codes: %w", err)
	}
	browser := s.cfg.Sessions.Browser(r)
	answer := enrol.BindCode(browser, idp.Secret(mailed))
	hash, savedRight := s.cfg.Key.Find(a.UserID, saved, codes)
	var won bool
	tried, err := s.attempts.Update(r.Context(), browser.Hash(), 0, func(kept *attempt) error {
		won = false
		if !time.Now().Before(kept.ExpiresAt) || kept.UserID != a.UserID {
			return idp.ErrNotFound
		}
		if kept.Tries >= enrol.MaxTries {
			return errSpent
		}
		kept.Tries++ // counted first, by compare-and-swap: parallel guesses get no extra tries
		if mailedRight := answer.Matches(kept.Code); mailedRight && (savedRight || alone) {
			won, kept.Code = true, "" // only one request wins
		}
		return nil
	})
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return over()
	case errors.Is(err, errSpent), errors.Is(err, idp.ErrConflict):
		w.Header().Set("Retry-After", strconv.Itoa(int(enrol.CodeTTL.Seconds()))) // unless they begin again
		return s.codePage(w, r, a, http.StatusTooManyRequests,
			form{Field: "both", Error: words.T("recover.code.spent")})
	case err != nil:
		return fmt.Errorf("check codes: %w", err)
	}
	if won && alone {
		return s.goOnByEmail(w, r, a, browser)
	}
	if won {
		event := s.event(r, idp.EventRecoveryOpened, a)
		event.Detail = map[string]string{"way": "codes"}
		err := recoveries.TakeCode(r.Context(), s.cfg.DB, a.UserID, a.Email, hash, event)
		if won = !errors.Is(err, idp.ErrNotFound); won && err != nil {
			return fmt.Errorf("take recovery code: %w", err)
		}
	}
	if !won {
		return s.wrong(w, r, tried)
	}
	if err := s.attempts.Delete(r.Context(), browser.Hash()); err != nil {
		return fmt.Errorf("end recovery: %w", err)
	}
	u, err := s.cfg.DB.UserByID(r.Context(), a.UserID)
	if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	return s.enrol(w, r, u, a.Interaction, "codes", "")
}

// digits returns what people typed without the blanks and dashes between digits.
func digits(typed string) string { return strings.NewReplacer(" ", "", "-", "").Replace(typed) }

func eightDigits(s string) bool { return len(s) == 8 && strings.Trim(s, "0123456789") == "" }

// wrong counts a failure. After each one the next try has to wait longer.
func (s *Service) wrong(w http.ResponseWriter, r *http.Request, a attempt) error {
	if err := recoveries.Fail(r.Context(), s.cfg.DB, a.UserID, s.event(r, idp.EventRecoveryRefused, a)); err != nil {
		return fmt.Errorf("count failure: %w", err)
	}
	if err := limit.Fail(r.Context(), s.cfg.Ephemeral, sources(r, a)...); err != nil {
		return fmt.Errorf("count failure: %w", err)
	}
	fault := words.T("recover.code.wrong")
	if a.Tries >= enrol.MaxTries {
		fault = words.T("recover.code.last")
	}
	return s.codePage(w, r, a, http.StatusUnprocessableEntity, form{Field: "both", Error: fault})
}

// sources lists the counters of a failed recovery. An address is counted whether it has an account or not.
func sources(r *http.Request, a attempt) []limit.Source {
	network := web.ClientNetwork(r)
	return []limit.Source{
		{Limit: limit.RecoveryFailedFrom, Key: network},
		{Limit: limit.RecoveryFailedFromTo, Key: limit.Hashed(a.Email + " " + network)},
		{Limit: limit.RecoveryFailed, Key: limit.Hashed(a.Email)},
	}
}

// pause refuses a try while the delay after earlier failures lasts, whether it is right or wrong.
func (s *Service) pause(r *http.Request, a attempt) error {
	var ops []*ephemeral.Op
	all := sources(r, a)
	for _, source := range all {
		ops = append(ops, source.Closed(source.Key))
	}
	if err := s.cfg.Ephemeral.Do(r.Context(), ops...); err != nil {
		return fmt.Errorf("look for limits: %w", err)
	}
	for i, op := range ops {
		if op.Found {
			return &web.Problem{
				Status: http.StatusTooManyRequests, Limit: all[i].Limit, Code: "too_many_requests",
				Words: "recover.pause", NextURL: "/recover",
			}
		}
	}
	return nil
}

// enrol opens the enrolment, and notifies the owner.
func (s *Service) enrol(w http.ResponseWriter, r *http.Request, u idp.User, interaction, way, link string) error {
	if err := s.cfg.Enrol.StartRecovery(w, r, u, interaction, way, link); err != nil {
		return err
	}
	n := s.cfg.Enrol.NewNotice(r, idp.Passkey{})
	n.Link = s.cfg.Issuer + "/account/activity"
	s.cfg.Enrol.NotifyAll(r, u, func(w mail.Writer, to string) mail.Message { return w.RecoveryOpened(to, n) })
	http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
	return nil
}
