package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// The pages for a person who connects a device:
//
//	GET /device[?user_code=…] ─▶ code, typed or filled in ─▶ POST /device ─▶ client and address ─▶ POST /device/confirm
//	                                                                                                   │ Config.Begin
//	     /device/connected, /device/refused ◀── Respond ◀── new ceremony, consent (package login) ◀─────┘

// errWrongCode: no waiting device shows this code.
var errWrongCode = errors.New("no such user code")

// showDevice is the page for the code. A code in the URL (RFC 8628 §3.3.1) only fills in the field: if a GET looked it
// up, images on another site could use up the guesses of a whole network.
func (s *Service) showDevice(w http.ResponseWriter, r *http.Request) error {
	s.cfg.Sessions.EnsureBrowser(w, r)
	s.speak(r, r.URL.Query().Get("ui_locales"))
	return s.askForCode(w, r, http.StatusOK, r.URL.Query().Get("user_code"), words.Text{})
}

// speak chooses the language of a page: the device's (ui_locales), or that in the profile of the signed-in user.
func (s *Service) speak(r *http.Request, locales string) {
	asked := oauth.Words(locales)
	if web.AskLanguages(r.Context(), asked); len(asked) > 0 {
		return
	}
	sess, err := s.cfg.Sessions.Current(r.Context(), r)
	if err == nil && sess != nil {
		var u idp.User
		u, err = s.cfg.DB.UserByID(r.Context(), sess.UserID)
		web.SavedLanguage(r.Context(), u.Profile.Locale)
	}
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		web.Note(r.Context(), slog.Any("language", err)) // the page works in any
	}
}

// findDevice reads the typed code.
func (s *Service) findDevice(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	s.speak(r, r.PostFormValue("ui_locales"))
	return s.showRequest(w, r, r.PostFormValue("user_code"))
}

func (s *Service) askForCode(w http.ResponseWriter, r *http.Request, status int, typed string, fault words.Text) error {
	if len(typed) > maxUserCode {
		typed = ""
	}
	return s.cfg.Shell.Render(w, r, s.pages, "device", web.Page{
		Name: "device", Status: status, Data: struct {
			Typed, Locales string
			Error          words.Text
		}{typed, r.FormValue("ui_locales"), fault},
	})
}

// An asking is the data of device_confirm.html.
type asking struct {
	App, Code      string
	Locales        string // of the pages, separated by blanks
	Scopes         []words.Text
	At             time.Time
	Agent, Address string // of the device, as far as known
}

// showRequest shows the client and the address of the device, because a stranger may have given the code to the person
// (RFC 8628 §5.4).
func (s *Service) showRequest(w http.ResponseWriter, r *http.Request, typed string) error {
	_, d, err := s.findWaiting(w, r, typed)
	if errors.Is(err, errWrongCode) {
		return s.askForCode(
			w, r, http.StatusBadRequest, typed, words.T("device.wrong"),
		)
	}
	if err != nil {
		return err
	}
	c, req, _, err := s.readRequest(r, d)
	if err != nil {
		return err
	}
	web.AskLanguages(r.Context(), req.UILocales)
	data := asking{
		App: c.Name, Code: groupedUserCode(d.UserCode), Locales: strings.Join(req.UILocales, " "),
		At: d.CreatedAt, Agent: d.Agent, Address: d.Address,
	}
	for _, name := range req.Scopes {
		data.Scopes = append(data.Scopes, web.EntryWords(s.cfg.Catalog.Policy, name))
	}
	return s.cfg.Shell.Render(w, r, s.pages, "device_confirm", web.Page{
		Name: "device", Data: data,
		Client: &web.ClientChip{
			Name: c.Name, LogoURL: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI, Place: words.T("place.device"),
		},
	})
}

// confirmDevice starts the interaction that answers the device, or refuses the request.
func (s *Service) confirmDevice(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	s.speak(r, r.PostFormValue("ui_locales"))
	hash, d, err := s.findWaiting(w, r, r.PostFormValue("user_code"))
	if errors.Is(err, errWrongCode) {
		return s.askForCode(w, r, http.StatusBadRequest, "", words.T("device.stale"))
	}
	if err != nil {
		return err
	}
	switch r.PostFormValue("answer") {
	case "go":
	case "refuse":
		if err := s.answerDevice(r.Context(), hash, func(d *device) { d.Denied = true }); err != nil {
			return deviceProblem(err)
		}
		s.end(w, r, oauth.PathDeviceRefused, oauth.Words(r.PostFormValue("ui_locales")))
		return nil
	default:
		return s.showRequest(w, r, d.UserCode)
	}
	_, req, need, err := s.readRequest(r, d)
	if err != nil {
		return err
	}
	req.Device = hash
	location, err := s.cfg.Begin(r.Context(), w, r, req, need)
	if err != nil {
		return fmt.Errorf("begin interaction: %w", err)
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
	return nil
}

// findWaiting finds the waiting request with this user code, and the hash it is stored under. Without one it returns
// errWrongCode.
func (s *Service) findWaiting(w http.ResponseWriter, r *http.Request, typed string) (hash string, d device, err error) {
	code, ok := readUserCode(typed)
	if !ok {
		return "", device{}, errWrongCode // not counted as a guess: it cannot be a user code
	}
	guessers := guessSources(r, s.cfg.Sessions.EnsureBrowser(w, r))
	get := userCodeOp(ephemeral.Get, code)
	ops := []*ephemeral.Op{get}
	for _, g := range guessers {
		ops = append(ops, g.Closed(g.Key))
	}
	if err := s.cfg.Ephemeral.Do(r.Context(), ops...); err != nil {
		return "", device{}, fmt.Errorf("look up user code: %w", err)
	}
	for i, closed := range ops[1:] {
		if closed.Found {
			return "", device{}, tooManyGuesses(guessers[i].Limit)
		}
	}
	if get.Found {
		hash = string(get.Result)
		d, err = s.devices.Get(r.Context(), hash)
	}
	switch {
	case err != nil && !errors.Is(err, idp.ErrNotFound):
		return "", device{}, fmt.Errorf("load device request: %w", err)
	case !get.Found || err != nil || d.UserCode != code || d.Allowed != nil || d.Denied || d.expired(time.Now()):
		if err := limit.Fail(r.Context(), s.cfg.Ephemeral, guessers...); err != nil {
			return "", device{}, fmt.Errorf("count wrong code: %w", err)
		}
		return "", device{}, errWrongCode
	}
	return hash, d, nil
}

// readRequest reads what a device requested, by the rules of now.
func (s *Service) readRequest(r *http.Request, d device) (idp.Client, idp.Request, idp.Requirement, error) {
	refused := &web.Problem{
		Status: http.StatusBadRequest, Code: "invalid_request", Words: "device.refused",
	}
	c, err := s.cfg.DB.Client(r.Context(), d.ClientID)
	if errors.Is(err, idp.ErrNotFound) {
		refused.Err = err
		return c, idp.Request{}, idp.Requirement{}, refused
	}
	if err != nil {
		return c, idp.Request{}, idp.Requirement{}, fmt.Errorf("load client: %w", err)
	}
	form, err := url.ParseQuery(d.Form)
	if err != nil {
		return c, idp.Request{}, idp.Requirement{}, fmt.Errorf("read device request: %w", err)
	}
	req, need, err := s.readDevice(r, form, c)
	if bad, ok := errors.AsType[*oauth.Error](err); ok {
		refused.Err = bad
		return c, req, need, refused
	}
	return c, req, need, err
}

// Respond ends the interaction of a device. It stores the outcome for the device's next poll.
func (s *Service) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	ctx := context.WithoutCancel(r.Context()) // stopping halfway would leave an interaction without an answer
	err := s.answerDevice(ctx, i.Request.Device, func(d *device) {
		if o.Error != "" {
			d.Denied = true
			return
		}
		a := token.Allowed(i.Request, o)
		d.Allowed = &a
	})
	if err != nil {
		return deviceProblem(err)
	}
	if err := s.cfg.Ephemeral.Do(
		ctx, &ephemeral.Op{Verb: ephemeral.Delete, Key: idp.InteractionBucket + ":" + i.ID},
	); err != nil {
		web.Note(ctx, slog.Any("forget_interaction", err)) // it is answered, and expires
	}
	switch o.Error {
	case "":
		s.end(w, r, oauth.PathDeviceConnected, i.Request.UILocales)
	case "unmet_authentication_requirements":
		return &web.Problem{
			Status: http.StatusForbidden, Code: o.Error, Words: "device.unmet", NextURL: "/account/passkeys",
		}
	default:
		s.end(w, r, oauth.PathDeviceRefused, i.Request.UILocales)
	}
	return nil
}

// end shows a last page. Nothing but its address is left to say the language.
func (s *Service) end(w http.ResponseWriter, r *http.Request, path string, locales []string) {
	params := url.Values{}
	if len(locales) > 0 {
		params.Set("ui_locales", strings.Join(locales, " "))
	}
	http.Redirect(w, r, oauth.WithParams(path, params), http.StatusSeeOther)
}

// deviceProblem returns the error page for an answer that came too late.
func deviceProblem(err error) error {
	switch {
	case errors.Is(err, errDeviceAnswered):
		return &web.Problem{
			Status: http.StatusConflict, Code: "interaction_ended", Words: "device.answered", Err: err,
		}
	case errors.Is(err, errDeviceExpired), errors.Is(err, idp.ErrNotFound):
		return &web.Problem{
			Status: http.StatusBadRequest, Code: "expired", Words: "device.expired", NextURL: oauth.PathDevice, Err: err,
		}
	}
	return fmt.Errorf("answer device: %w", err)
}

func (s *Service) showDeviceConnected(w http.ResponseWriter, r *http.Request) error {
	s.speak(r, r.FormValue("ui_locales"))
	return s.cfg.Shell.Render(
		w, r, s.pages, "device_done",
		web.Page{Name: "device", Data: struct{ Connected bool }{true}},
	)
}

func (s *Service) showDeviceRefused(w http.ResponseWriter, r *http.Request) error {
	s.speak(r, r.FormValue("ui_locales"))
	return s.cfg.Shell.Render(
		w, r, s.pages, "device_done",
		web.Page{Name: "device", Data: struct{ Connected bool }{}},
	)
}
