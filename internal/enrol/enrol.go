// Package enrol creates accounts' first passkeys, after a sign-up, an invitation or a recovery.
//
//	GET /signup ─▶ POST ─▶ mail with a code ─▶ /signup/verify ──┐
//	                                                            ├─▶ enrolment ─▶ /signup/passkey ─▶ /login or /account
//	invitation ─▶ /enrol#token ─▶ POST (takes the link) ────────┤   (15 minutes, own cookie)
//	package recovery ───────────────────────────────────────────┘
//
// An enrolment is not a session: all it allows is to register passkeys for its user, and then to save recovery codes
// (/signup/codes). It ends with an ordinary sign-in, so every session begins with an assertion. A user who signs up is
// stored together with the first passkey; invited users are stored before.
package enrol

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

//go:embed pages/*.html
var files embed.FS

// Config wires a Service.
type Config struct {
	Shell      *web.Shell
	Sessions   *session.Sessions
	Ceremonies *passkey.Ceremonies
	DB         *store.DB
	Ephemeral  ephemeral.Store
	Mailer     *mail.Mailer
	Issuer     string // without a trailing slash; links in e-mails begin with it
	SignUp     bool   // false: by invitation only
	Codes      bool   // recovery codes are offered after the first passkeys
	CodeKey    recoverycode.Key
	// Need says which passkeys a user may add. Nil: all that the ceremonies allow.
	Need func(context.Context, idp.User) (directory.PasskeyNeed, error)
	// Kind says the same in sentences. Nil: nothing to say.
	Kind     func(context.Context, idp.User) ([]words.Text, error)
	Insecure bool // http on localhost: cookies without __Host- and Secure

	// Client returns the client of this browser's interaction, or nil. A nil func means that there are no interactions.
	Client func(r *http.Request, interaction string) *web.ClientChip
	// SignedUp records in the interaction that its account was just created. May be nil.
	SignedUp func(ctx context.Context, r *http.Request, interaction string) error
	// SignOut ends this browser's session.
	SignOut func(w http.ResponseWriter, r *http.Request, sess *idp.Session) error
}

// Service serves the pages of this package.
type Service struct {
	cfg        Config
	pages      *web.Pages
	signUps    ephemeral.Bucket[signUp]
	enrolments ephemeral.Bucket[enrolment]
}

// New parses the pages.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("enrolment pages: %w", err)
	}
	return &Service{
		cfg: cfg, pages: pages,
		signUps:    ephemeral.NewBucket[signUp](cfg.Ephemeral, "signup", CodeTTL),
		enrolments: ephemeral.NewBucket[enrolment](cfg.Ephemeral, "enrolment", enrolmentTTL),
	}, nil
}

// Mount adds the pages to the browser's mux, the one behind the cross-origin check.
func (en *Service) Mount(mux *http.ServeMux) {
	handle := func(pattern string, h web.Handler) { en.cfg.Shell.Handle(mux, pattern, h) }
	handle("GET /signup", en.showSignUp)
	handle("POST /signup", en.startSignUp)
	handle("GET /signup/verify", en.showVerify)
	handle("POST /signup/verify", en.verifyCode)
	handle("POST /signup/resend", en.resendCode)
	handle("GET /enrol", en.showInvitation)
	handle("POST /enrol", en.acceptInvitation)
	handle("GET /signup/passkey", en.showEnrolment)
	handle("POST /signup/passkey/begin", en.beginRegistration)
	handle("POST /signup/passkey/finish", en.finishRegistration)
	handle("POST /signup/passkey/done", en.skipSecondPasskey)
	codes := firstCodes{en}
	handle("GET "+codesPath, codes.offer)
	handle("POST "+codesPath, codes.show)
	handle("POST "+codesPath+"/check", codes.check)
}

const (
	enrolmentTTL = 15 * time.Minute
	maxEnrolled  = 2 // passkeys to start with; the account adds more
	linkKind     = "enrol"
	mailedKind   = "enrol-mailed" // a link sent only by e-mail, so that opening it proves the address
)

// An enrolment lets one browser register passkeys for one user. It is stored under the hash of its cookie.
type enrolment struct {
	User        idp.User  `json:"user"`
	New         bool      `json:"new,omitempty"`      // the user is not stored yet: the first passkey stores both
	Link        string    `json:"link,omitempty"`     // hash of the invitation or recovery link it came from
	Recovery    string    `json:"recovery,omitempty"` // how the account is recovered (see StartRecovery); empty: it is not
	OpenedAt    time.Time `json:"opened,omitzero"`    // when the recovery began
	Interaction string    `json:"i,omitempty"`
	Passkeys    []string  `json:"passkeys,omitempty"` // IDs of those registered in this enrolment
	ExpiresAt   time.Time `json:"expires"`            // changing the entry must not extend it
	// Codes are recovery codes that were shown, and count once one of them is typed back. No passkey follows them.
	Codes []idp.RecoveryCode `json:"codes,omitempty"`
}

// full reports whether no further passkey can be registered in this enrolment.
func (e enrolment) full() bool { return len(e.Passkeys) >= maxEnrolled || len(e.Codes) > 0 }

// startEnrolment starts an enrolment in this browser.
func (en *Service) startEnrolment(w http.ResponseWriter, r *http.Request, e enrolment) error {
	secret := idp.NewSecret()
	e.ExpiresAt = time.Now().Add(enrolmentTTL)
	if err := en.enrolments.Put(r.Context(), secret.Hash(), e); err != nil {
		return fmt.Errorf("store enrolment: %w", err)
	}
	http.SetCookie(w, en.enrolmentCookie(secret.Reveal(), int(enrolmentTTL/time.Second)))
	return nil
}

func (en *Service) enrolmentCookie(value string, maxAge int) *http.Cookie {
	c := &http.Cookie{
		Name: "__Host-stepward-enrol", Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if en.cfg.Insecure {
		c.Name, c.Secure = "stepward-enrol", false
	}
	return c
}

func enrolmentOver() error {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "enrolment_over", Words: "enrol.over", Args: []any{"time", enrolmentTTL},
		NextURL: "/account",
	}
}

// loadEnrolment returns this browser's enrolment and its key. A stored user is loaded again.
func (en *Service) loadEnrolment(r *http.Request) (enrolment, string, error) {
	gone := enrolmentOver()
	cookie, err := r.Cookie(en.enrolmentCookie("", 0).Name)
	if err != nil {
		return enrolment{}, "", gone
	}
	key := idp.Secret(cookie.Value).Hash()
	e, err := en.enrolments.Get(r.Context(), key)
	if errors.Is(err, idp.ErrNotFound) {
		return enrolment{}, "", gone
	} else if err != nil {
		return enrolment{}, "", fmt.Errorf("load enrolment: %w", err)
	}
	if !e.New {
		u, err := en.cfg.DB.UserByID(r.Context(), e.User.ID)
		if errors.Is(err, idp.ErrNotFound) || err == nil && u.Disabled() {
			return enrolment{}, "", gone
		} else if err != nil {
			return enrolment{}, "", fmt.Errorf("load user: %w", err)
		}
		e.User = u
	}
	web.SavedLanguage(r.Context(), e.User.Profile.Locale)
	return e, key, nil
}

// enrolledPasskeys returns the user's passkeys. It fails if one of them was not created in this enrolment: the account
// then has an owner, and an old invitation must not lead into it.
func (en *Service) enrolledPasskeys(ctx context.Context, e enrolment) ([]idp.Passkey, error) {
	if e.New {
		return nil, nil
	}
	keys, err := en.cfg.DB.PasskeysOf(ctx, e.User.ID)
	if err != nil {
		return nil, fmt.Errorf("load passkeys: %w", err)
	}
	if e.Recovery != "" {
		return e.passkeysSinceRecovery(keys)
	}
	if slices.ContainsFunc(keys, func(k idp.Passkey) bool { return !slices.Contains(e.Passkeys, k.ID) }) {
		return nil, &web.Problem{
			Status: http.StatusForbidden, Code: "already_enrolled", Words: "enrol.owned", NextURL: "/account/passkeys",
		}
	}
	return keys, nil
}

type enrolmentPage struct {
	Name, Email string
	Ceremony    string
	Options     string // {"publicKey":{…}}
	First       bool   // no passkey yet
	Codes       bool   // recovery codes can be saved as well
	Recovery    bool   // the account is being recovered
	Interaction string
	Time        time.Duration // to create it
	Kind        []words.Text  // that the user may add; empty: any
}

func (en *Service) showEnrolment(w http.ResponseWriter, r *http.Request) error {
	e, key, err := en.loadEnrolment(r)
	if err != nil {
		return err
	}
	if e.full() {
		http.Redirect(w, r, codesPath, http.StatusSeeOther)
		return nil
	}
	cer, options, err := en.newRegistration(r.Context(), e, key)
	if err != nil {
		return err
	}
	kind, err := en.Kind(r.Context(), e.User)
	if err != nil {
		return err
	}
	data := enrolmentPage{
		Name: e.User.Name, Email: e.User.Email, Ceremony: cer, Options: string(options),
		First: len(e.Passkeys) == 0, Recovery: e.Recovery != "", Codes: en.offersCodes(e), Interaction: e.Interaction,
		Time: enrolmentTTL, Kind: kind,
	}
	return en.renderThreshold(w, r, "enrolment", e.Interaction, web.Page{Name: "passkey", Data: data})
}

func (en *Service) newRegistration(
	ctx context.Context, e enrolment, key string,
) (ceremony string, options json.RawMessage, err error) {
	if e.full() {
		return "", nil, enrolmentOver()
	}
	keys, err := en.enrolledPasskeys(ctx, e)
	if err != nil {
		return "", nil, err
	}
	cer, options, err := en.cfg.Ceremonies.NewRegistration(ctx, e.User, keys, key)
	if err != nil {
		return "", nil, fmt.Errorf("new registration: %w", err)
	}
	return cer.ID, options, nil
}

// The requests and responses of passkey.js.
type (
	BeginRequest struct {
		Interaction string `json:"i"`
		Email       string `json:"email"` // for sign-ins; ignored here
	}
	FinishRequest struct {
		Interaction string          `json:"i"`
		Ceremony    string          `json:"ceremony"`
		Credential  json.RawMessage `json:"credential"`
	}
	FinishAnswer struct {
		Next string `json:"next"`
	}
)

// WriteCeremony answers a BeginRequest with {"ceremony":…,"publicKey":{…}}; options is {"publicKey":{…}}.
func WriteCeremony(w http.ResponseWriter, ceremony string, options json.RawMessage) error {
	answer := map[string]json.RawMessage{}
	if err := json.Unmarshal(options, &answer); err != nil {
		return fmt.Errorf("decode options: %w", err)
	}
	id, err := json.Marshal(ceremony)
	if err != nil {
		return fmt.Errorf("encode ceremony: %w", err)
	}
	answer["ceremony"] = id
	return web.WriteJSON(w, http.StatusOK, answer)
}

func (en *Service) beginRegistration(w http.ResponseWriter, r *http.Request) error {
	var in BeginRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	e, key, err := en.loadEnrolment(r)
	if err != nil {
		return err
	}
	cer, options, err := en.newRegistration(r.Context(), e, key)
	if err != nil {
		return err
	}
	return WriteCeremony(w, cer, options)
}

func (en *Service) finishRegistration(w http.ResponseWriter, r *http.Request) error {
	var in FinishRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	e, key, err := en.loadEnrolment(r)
	if err != nil {
		return err
	}
	if e.full() {
		return enrolmentOver()
	}
	if _, err := en.enrolledPasskeys(r.Context(), e); err != nil {
		return err
	}
	k, err := en.Register(r, in, key, e.User)
	if err != nil {
		return err
	}
	var events []idp.Event
	if e.New {
		events = append(events,
			web.Event(r, idp.EventUserCreated, e.User.ID), web.Event(r, idp.EventEmailVerified, e.User.ID))
	}
	added := web.Event(r, idp.EventPasskeyAdded, e.User.ID)
	added.PasskeyID, added.Detail = k.ID, map[string]string{"name": k.Name}
	events = append(events, added)
	recovers := e.Recovery != "" && len(e.Passkeys) == 0
	switch {
	case e.New:
		err = en.cfg.DB.EnrolUser(r.Context(), e.User, k, events...)
	case recovers:
		err = en.finishRecovery(r, e, k, events...)
	default:
		err = en.cfg.DB.AddPasskeyTo(r.Context(), e.User, k, events...)
	}
	if err := PasskeyProblem(err); err != nil {
		return err
	}
	if recovers {
		notice := en.NewNotice(r, k)
		en.NotifyAll(r, e.User, func(w mail.Writer, to string) mail.Message { return w.Recovered(to, notice) })
	} else if !e.New { // someone who just signed up needs no e-mail about their first passkey
		en.Notify(r, en.MailsTo(r, e.User).PasskeyAdded(e.User.Email, en.NewNotice(r, k)))
	} else if en.cfg.SignedUp != nil && e.Interaction != "" {
		// The account exists even if the interaction has ended meanwhile.
		if err := en.cfg.SignedUp(r.Context(), r, e.Interaction); err != nil {
			web.Note(r.Context(), slog.Any("sign_up", err))
		}
	}
	left := max(time.Until(e.ExpiresAt), time.Second)
	after, err := en.enrolments.Update(r.Context(), key, left, func(e *enrolment) error {
		e.New, e.Passkeys = false, append(e.Passkeys, k.ID)
		return nil
	})
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("store enrolment: %w", err)
	}
	next := "/signup/passkey"
	if err == nil && after.full() && en.offersCodes(after) {
		next = codesPath
	} else if err != nil || after.full() { // expired, or enough passkeys to start with
		if next, err = en.endEnrolment(w, r, e, key); err != nil {
			return err
		}
	}
	return web.WriteJSON(w, http.StatusOK, FinishAnswer{Next: next})
}

// skipSecondPasskey handles "Later" after the first passkey, and on the page that offers recovery codes.
func (en *Service) skipSecondPasskey(w http.ResponseWriter, r *http.Request) error {
	e, key, err := en.loadEnrolment(r)
	if err != nil {
		return err
	}
	next, err := en.endEnrolment(w, r, e, key)
	if err != nil {
		return err
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// endEnrolment ends the enrolment and returns the page on which its user signs in. If this browser is signed in as
// another user, it signs them out: otherwise the interaction would continue as that user.
func (en *Service) endEnrolment(
	w http.ResponseWriter, r *http.Request, e enrolment, key string,
) (next string, err error) {
	if err := en.enrolments.Delete(r.Context(), key); err != nil {
		return "", fmt.Errorf("end enrolment: %w", err)
	}
	http.SetCookie(w, en.enrolmentCookie("", -1))
	if e.Recovery != "" && len(e.Passkeys) > 0 { // sessions that started while the first passkey was being registered
		if err := en.endSessions(r, e.User.ID); err != nil {
			return "", err
		}
	}
	sess, err := en.cfg.Sessions.Current(r.Context(), r)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return "", fmt.Errorf("load session: %w", err)
	}
	if err == nil && sess.UserID != e.User.ID {
		if err := en.cfg.SignOut(w, r, sess); err != nil {
			return "", err
		}
	}
	if e.Interaction == "" && e.Recovery == "" && e.User.Role.Reads() { // they were invited to administer
		return "/admin", nil
	}
	return signInPath(e.Interaction), nil
}

// Register finishes a registration ceremony and gives the passkey a name. It does not store the passkey.
func (en *Service) Register(r *http.Request, in FinishRequest, binding string, u idp.User) (idp.Passkey, error) {
	web.Note(r.Context(), slog.String("ceremony", string(idp.PurposeRegister)))
	k, err := en.cfg.Ceremonies.FinishRegistration(r.Context(), in.Ceremony, binding, u, in.Credential, time.Now())
	switch {
	case err == nil:
	case errors.Is(err, passkey.ErrNotVerified):
		return k, &web.Problem{
			Status: http.StatusBadRequest, Code: "not_verified", Words: "enrol.unverified", Err: err,
		}
	case errors.Is(err, passkey.ErrSynced), errors.Is(err, passkey.ErrModel):
		return k, en.wrongKind(r.Context(), u, err)
	case errors.Is(err, idp.ErrNotFound), errors.Is(err, passkey.ErrRefused),
		errors.Is(err, passkey.ErrWrongUser), errors.Is(err, passkey.ErrDisabled):
		return k, &web.Problem{
			Status: http.StatusBadRequest, Code: "refused", Words: "enrol.refused", Err: err,
		}
	default:
		return k, fmt.Errorf("finish registration: %w", err)
	}
	if err := en.checkNeed(r.Context(), u, k); err != nil {
		return k, err
	}
	k.CreatedAgent = web.Agent(r.UserAgent())
	k.Name = en.nameIn(r, passkey.Name(k.AAGUID, k.Attachment, k.CreatedAgent))
	return k, nil
}

// PasskeyProblem explains to the user why the store refused a passkey.
func PasskeyProblem(err error) error {
	var problem *web.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problem):
		return err
	case errors.Is(err, idp.ErrNotFound):
		return recoveredElsewhere(err)
	case errors.Is(err, store.ErrTooManyPasskeys):
		return &web.Problem{
			Status: http.StatusConflict, Code: "too_many", Err: err,
			Words: "enrol.many", Args: []any{"n", store.MaxPasskeys},
		}
	case errors.Is(err, idp.ErrConflict):
		return &web.Problem{
			Status: http.StatusConflict, Code: "known", Words: "enrol.known", NextURL: "/account", Err: err,
		}
	}
	return fmt.Errorf("store passkey: %w", err)
}

// NewNotice returns the facts for an e-mail about a change to this passkey.
func (en *Service) NewNotice(r *http.Request, k idp.Passkey) mail.Notice {
	return mail.Notice{
		Passkey: k.Name, At: time.Now(), Agent: web.AgentWords(web.Agent(r.UserAgent())),
		Link: en.cfg.Issuer + "/account/passkeys",
	}
}
