// Package enrol is the way in: sign-up, invitations, and the first passkeys.
//
//	GET /signup ─▶ POST ─▶ mail with a code ─▶ /signup/verify ──┐
//	                                                            ├─▶ enrolment ─▶ /signup/passkey ─▶ /login?i=… or /account
//	invitation ─▶ /enrol#token ─▶ POST (takes the link) ────────┤   (15 minutes, own cookie)
//	package recovery ───────────────────────────────────────────┘
//
// An enrolment is no session: its one power is to register passkeys for its user, and it ends in an ordinary sign-in, so
// that every session begins with an assertion. A new user is stored together with the first passkey, never without.
package enrol

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
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
	Issuer     string // without a slash at the end; links in mails begin with it
	SignUp     bool   // false: only who is invited
	Insecure   bool   // http on localhost: a plain cookie name, no Secure

	// Client returns the client of this browser's interaction, or nil; a nil func: there are no interactions.
	Client func(r *http.Request, interaction string) *web.ClientChip
	// SignedUp notes on the interaction that its account was just created; nil: it is not noted.
	SignedUp func(ctx context.Context, r *http.Request, interaction string) error
	// SignOut ends the session of this browser.
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
	sub, err := fs.Sub(files, "pages")
	if err != nil {
		return nil, fmt.Errorf("enrolment pages: %w", err)
	}
	pages, err := cfg.Shell.Parse(sub, "*.html")
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
	open := func(pattern string, h web.Handler) { en.cfg.Shell.Handle(mux, pattern, h) }
	open("GET /signup", en.showSignUp)
	open("POST /signup", en.startSignUp)
	open("GET /signup/verify", en.showVerify)
	open("POST /signup/verify", en.verify)
	open("POST /signup/resend", en.resend)
	open("GET /enrol", en.showInvitation)
	open("POST /enrol", en.acceptInvitation)
	open("GET /signup/passkey", en.showEnrolment)
	open("POST /signup/passkey/begin", en.beginEnrolment)
	open("POST /signup/passkey/finish", en.finishEnrolment)
	open("POST /signup/passkey/done", en.endEnrolment)
}

const (
	enrolmentTTL = 15 * time.Minute
	linkKind     = "enrol"
	mailedKind   = "enrol-mailed" // a link that only the mailbox of the user was told
)

// An enrolment lets one browser register passkeys for one user, and nothing else. Its key is the hash of its cookie.
type enrolment struct {
	User        idp.User  `json:"user"`
	New         bool      `json:"new,omitempty"`      // the user is stored with the first passkey; until then only here
	Link        string    `json:"link,omitempty"`     // hash of the invitation or recovery link it came from
	Recovery    string    `json:"recovery,omitempty"` // the way back that opened it; empty: it is none. See Recover
	OpenedAt    time.Time `json:"opened,omitzero"`    // of a recovery
	Interaction string    `json:"i,omitempty"`
	Passkeys    []string  `json:"passkeys,omitempty"` // IDs of those registered in it
	ExpiresAt   time.Time `json:"expires"`            // of the entry, which a change must not renew
}

// enrol begins an enrolment in this browser.
func (en *Service) begin(w http.ResponseWriter, r *http.Request, e enrolment) error {
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

// enrolment returns this browser's enrolment and its key; its user is read anew if the store has them.
func (en *Service) enrolment(r *http.Request) (enrolment, string, error) {
	gone := &web.Problem{
		Status: http.StatusForbidden, Code: "enrolment_over", Title: "Your time to create a passkey is over",
		Text: "You have 15 minutes for it, in the browser where you began. If you have created one, sign in with it. Otherwise begin again.",
		Next: "Sign in", NextURL: "/account",
	}
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
	return e, key, nil
}

// registered returns the passkeys the enrolment's user has. It refuses to go on if one of them was not made in this
// enrolment: then the account is somebody's already, and an invitation that lay around is no way into it.
func (en *Service) registered(ctx context.Context, e enrolment) ([]idp.Passkey, error) {
	if e.New {
		return nil, nil
	}
	keys, err := en.cfg.DB.PasskeysOf(ctx, e.User.ID)
	if err != nil {
		return nil, fmt.Errorf("load passkeys: %w", err)
	}
	if e.Recovery != "" {
		return e.recovered(keys)
	}
	if slices.ContainsFunc(keys, func(k idp.Passkey) bool { return !slices.Contains(e.Passkeys, k.ID) }) {
		return nil, &web.Problem{
			Status: http.StatusForbidden, Code: "already_enrolled", Title: "This account has a passkey",
			Text: "It was created elsewhere in the meantime. To add another, sign in with it first.", Next: "Sign in", NextURL: "/account/passkeys",
		}
	}
	return keys, nil
}

type enrolmentPage struct {
	Name, Email string
	Ceremony    string
	Options     string // {"publicKey":{…}}
	First       bool   // no passkey yet
	Recovery    bool   // the account is being recovered
	Interaction string
}

func (en *Service) showEnrolment(w http.ResponseWriter, r *http.Request) error {
	e, key, err := en.enrolment(r)
	if err != nil {
		return err
	}
	cer, options, err := en.newEnrolment(r.Context(), e, key)
	if err != nil {
		return err
	}
	title := "Create your passkey"
	if len(e.Passkeys) > 0 {
		title = "Your passkey is ready"
	}
	return en.Threshold(w, r, "passkey", "enrolment", title, e.Interaction, http.StatusOK, enrolmentPage{
		Name: e.User.Name, Email: e.User.Email, Ceremony: cer, Options: string(options),
		First: len(e.Passkeys) == 0, Recovery: e.Recovery != "", Interaction: e.Interaction,
	})
}

func (en *Service) newEnrolment(ctx context.Context, e enrolment, key string) (ceremony string, options json.RawMessage, err error) {
	keys, err := en.registered(ctx, e)
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
		Email       string `json:"email"` // of sign-ins only; ignored here
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

// WriteCeremony answers a begin: {"ceremony":…,"publicKey":{…}}. Options are {"publicKey":{…}}.
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

func (en *Service) beginEnrolment(w http.ResponseWriter, r *http.Request) error {
	var in BeginRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	e, key, err := en.enrolment(r)
	if err != nil {
		return err
	}
	cer, options, err := en.newEnrolment(r.Context(), e, key)
	if err != nil {
		return err
	}
	return WriteCeremony(w, cer, options)
}

func (en *Service) finishEnrolment(w http.ResponseWriter, r *http.Request) error {
	var in FinishRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	e, key, err := en.enrolment(r)
	if err != nil {
		return err
	}
	if _, err := en.registered(r.Context(), e); err != nil {
		return err
	}
	k, err := en.Register(r, in, key, e.User)
	if err != nil {
		return err
	}
	var events []idp.Event
	if e.New {
		events = append(events, web.Event(r, idp.EventUserCreated, e.User.ID), web.Event(r, idp.EventEmailVerified, e.User.ID))
	}
	added := web.Event(r, idp.EventPasskeyAdded, e.User.ID)
	added.PasskeyID, added.Detail = k.ID, map[string]string{"name": k.Name}
	events = append(events, added)
	recovers := e.Recovery != "" && len(e.Passkeys) == 0
	switch {
	case e.New:
		err = en.cfg.DB.EnrolUser(r.Context(), e.User, k, events...)
	case recovers:
		err = en.recover(r, e, k, events...)
	default:
		err = en.cfg.DB.AddPasskeyTo(r.Context(), e.User, k, events...)
	}
	if err := PasskeyProblem(err); err != nil {
		return err
	}
	if recovers {
		en.Notify(r, en.cfg.Mailer.Recovered(e.User.Email, en.NewNotice(r, k)))
	} else if !e.New { // a user who has just confirmed the address needs no e-mail about it
		en.Notify(r, en.cfg.Mailer.PasskeyAdded(e.User.Email, en.NewNotice(r, k)))
	} else if en.cfg.SignedUp != nil && e.Interaction != "" {
		if err := en.cfg.SignedUp(r.Context(), r, e.Interaction); err != nil { // perhaps it is over; the account stands all the same
			web.Note(r.Context(), slog.Any("sign_up", err))
		}
	}
	after, err := en.enrolments.Update(r.Context(), key, max(time.Until(e.ExpiresAt), time.Second), func(e *enrolment) error {
		e.New, e.Passkeys = false, append(e.Passkeys, k.ID)
		return nil
	})
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("store enrolment: %w", err)
	}
	next := "/signup/passkey"
	if err != nil || len(after.Passkeys) > 1 { // one that ran out has nothing more to offer, and two are enough to begin with
		if next, err = en.depart(w, r, e, key); err != nil {
			return err
		}
	}
	return web.WriteJSON(w, http.StatusOK, FinishAnswer{Next: next})
}

// endEnrolment is the "Later" after the first passkey.
func (en *Service) endEnrolment(w http.ResponseWriter, r *http.Request) error {
	e, key, err := en.enrolment(r)
	if err != nil {
		return err
	}
	next, err := en.depart(w, r, e, key)
	if err != nil {
		return err
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// depart ends the enrolment and returns where its user goes to sign in. Somebody else who is signed in here is signed out:
// the interaction would go on as them.
func (en *Service) depart(w http.ResponseWriter, r *http.Request, e enrolment, key string) (next string, err error) {
	if err := en.enrolments.Delete(r.Context(), key); err != nil {
		return "", fmt.Errorf("end enrolment: %w", err)
	}
	http.SetCookie(w, en.enrolmentCookie("", -1))
	if e.Recovery != "" && len(e.Passkeys) > 0 { // a sign-in that was on its way when the first passkey was registered
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
	return onward(e.Interaction), nil
}

// Register finishes a registration ceremony and names its passkey.
func (en *Service) Register(r *http.Request, in FinishRequest, binding string, u idp.User) (idp.Passkey, error) {
	k, err := en.cfg.Ceremonies.FinishRegistration(r.Context(), in.Ceremony, binding, u, in.Credential, time.Now())
	switch {
	case err == nil:
	case errors.Is(err, passkey.ErrNotVerified):
		return k, &web.Problem{
			Status: http.StatusBadRequest, Code: "not_verified", Title: "That device didn’t check that it’s you",
			Text: "Your device saved a passkey without asking for fingerprint, face or screen lock. Turn on a screen lock, or use another device.", Err: err,
		}
	case errors.Is(err, idp.ErrNotFound), errors.Is(err, passkey.ErrRefused), errors.Is(err, passkey.ErrWrongUser), errors.Is(err, passkey.ErrDisabled):
		return k, &web.Problem{
			Status: http.StatusBadRequest, Code: "refused", Title: "That didn’t work",
			Text: "We couldn’t accept that passkey. Try again, or use another device.", Err: err,
		}
	default:
		return k, fmt.Errorf("finish registration: %w", err)
	}
	k.CreatedAgent = web.Agent(r.UserAgent())
	k.Name = passkey.Name(k.AAGUID, k.Attachment, k.CreatedAgent)
	return k, nil
}

// PasskeyProblem says in words why the store did not take a passkey.
func PasskeyProblem(err error) error {
	var told *web.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return err
	case errors.Is(err, idp.ErrNotFound):
		return overtaken(err)
	case errors.Is(err, store.ErrTooManyPasskeys):
		return &web.Problem{
			Status: http.StatusConflict, Code: "too_many", Title: "That’s enough passkeys",
			Text: "An account can have 20 passkeys. Remove one you no longer use, then add this one.", Err: err,
		}
	case errors.Is(err, idp.ErrConflict):
		return &web.Problem{
			Status: http.StatusConflict, Code: "known", Title: "This already exists",
			Text: "This address has an account, or this device has a passkey for it. Sign in with that passkey.", Next: "Sign in", NextURL: "/account", Err: err,
		}
	}
	return fmt.Errorf("store passkey: %w", err)
}

// NewNotice returns what a notice says of a change to this passkey.
func (en *Service) NewNotice(r *http.Request, k idp.Passkey) mail.Notice {
	return mail.Notice{Passkey: k.Name, At: time.Now(), Agent: web.Agent(r.UserAgent()), Link: en.cfg.Issuer + "/account/passkeys"}
}
