package otherdevice

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// Mount adds the pages of the other device to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	handle := func(pattern string, h web.Handler) { s.cfg.Shell.Handle(mux, pattern, h) }
	handle("GET /add", s.showCode)
	handle("POST /add", s.open)
	handle("GET /add/passkey", s.show)
	handle("GET /add/state", s.state)
	handle("POST /add/passkey/begin", s.begin)
	handle("POST /add/passkey/finish", s.finish)
}

type codePage struct {
	Typed string
	Error words.Text
}

func (s *Service) showCode(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, "code", http.StatusOK, codePage{})
}

func (s *Service) render(w http.ResponseWriter, r *http.Request, template string, status int, data any) error {
	page := web.Page{Name: "add", Layout: web.LayoutThreshold, Status: status, Data: data}
	return s.cfg.Shell.Render(w, r, s.pages, template, page)
}

// open gives the offer to the first device that posts its token or short code. A GET takes nothing, so that a preview
// of the link does not use it up.
func (s *Service) open(w http.ResponseWriter, r *http.Request) error {
	typed, err := enrol.ReadForm(r, "token", "code")
	if err != nil {
		return err
	}
	key, err := s.find(r, typed[0], typed[1])
	if errors.Is(err, idp.ErrNotFound) {
		return s.wrong(w, r, typed[0] != "", typed[1])
	} else if err != nil {
		return err
	}
	if key == s.own(r) {
		return &web.Problem{
			Status: http.StatusConflict, Code: "same_browser", Words: "add.same", NextURL: "/account/passkeys/other",
		}
	}
	if _, _, err := s.opened(r, key); err == nil { // again
		return seeOther(w, r)
	}
	secret := idp.NewSecret()
	taken := false
	o, err := s.update(r, key, func(o *offer) error {
		if taken = o.State != Waiting; taken {
			o.Others = min(o.Others+1, 99)
			return nil
		}
		o.State, o.Opener = Opened, secret.Hash()
		o.Agent, o.Address, o.Network = web.Agent(r.UserAgent()), web.ClientAddress(r), web.ClientNetwork(r)
		return nil
	})
	if errors.Is(err, idp.ErrNotFound) {
		return s.wrong(w, r, typed[0] != "", typed[1])
	} else if err != nil {
		return fmt.Errorf("open offer: %w", err)
	}
	if taken {
		if err := s.record(r, idp.EventOfferOpened, o, map[string]string{"refused": "already opened"}); err != nil {
			return err
		}
		return &web.Problem{Status: http.StatusGone, Code: "already_opened", Words: "add.taken"}
	}
	if err := s.record(r, idp.EventOfferOpened, o, nil); err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(openerCookie, key+"."+secret.Reveal(), int(TTL/time.Second)))
	return seeOther(w, r)
}

func seeOther(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/add/passkey", http.StatusSeeOther)
	return nil
}

// find returns the key of the offer with this token or, without one, this short code; idp.ErrNotFound.
func (s *Service) find(r *http.Request, token, code string) (string, error) {
	if token != "" {
		key := idp.Secret(token).Hash()
		if _, err := s.offers.Get(r.Context(), key); err != nil {
			return "", err
		}
		return key, nil
	}
	network := limit.OfferGuesses.Closed(web.ClientNetwork(r))
	var index *ephemeral.Op
	ops := []*ephemeral.Op{network}
	if code, ok := typedCode(code); ok {
		index = s.codes.GetOp(s.codeKey(code))
		ops = append(ops, index)
	}
	if err := s.cfg.Ephemeral.Do(r.Context(), ops...); err != nil {
		return "", fmt.Errorf("look up code: %w", err)
	}
	if network.Found { // also for a right code: otherwise the limit would not stop guesses
		return "", &web.Problem{
			Status: http.StatusTooManyRequests, Limit: limit.OfferGuesses, Code: "too_many_requests",
			Words: "add.guesses",
		}
	}
	if index == nil {
		return "", idp.ErrNotFound
	}
	return s.codes.Decode(index)
}

// wrong answers a wrong or expired code. Only short codes can be guessed, so only they count.
func (s *Service) wrong(w http.ResponseWriter, r *http.Request, link bool, typed string) error {
	if link {
		return &web.Problem{Status: http.StatusGone, Code: "offer_over", Words: "add.over"}
	}
	source := limit.Source{Limit: limit.OfferGuesses, Key: web.ClientNetwork(r)}
	if err := limit.Fail(r.Context(), s.cfg.Ephemeral, source); err != nil {
		return fmt.Errorf("count wrong code: %w", err)
	}
	return s.render(w, r, "code", http.StatusUnprocessableEntity, codePage{
		Typed: enrol.Clip(typed), Error: words.T("add.wrong"),
	})
}

// opened returns the offer that this device opened, and its key. With a key, it must be that one. idp.ErrNotFound.
func (s *Service) opened(r *http.Request, want string) (o offer, key string, err error) {
	key, secret := s.readCookie(r, openerCookie)
	if key == "" || want != "" && want != key {
		return o, "", idp.ErrNotFound
	}
	o, err = s.offers.Get(r.Context(), key)
	if err != nil {
		return o, "", err
	}
	if !idp.Secret(secret).Matches(o.Opener) || !time.Now().Before(o.ExpiresAt) {
		return offer{}, "", idp.ErrNotFound
	}
	return o, key, nil
}

// load is opened with its user, and with the errors for people.
func (s *Service) load(r *http.Request) (o offer, key string, u idp.User, err error) {
	over := &web.Problem{Status: http.StatusGone, Code: "offer_over", Words: "add.over"}
	o, key, err = s.opened(r, "")
	if errors.Is(err, idp.ErrNotFound) {
		return o, "", u, over
	} else if err != nil {
		return o, "", u, fmt.Errorf("load offer: %w", err)
	}
	u, err = s.cfg.DB.UserByID(r.Context(), o.UserID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && u.Disabled() {
		return o, "", u, over
	} else if err != nil {
		return o, "", u, fmt.Errorf("load user: %w", err)
	}
	web.SavedLanguage(r.Context(), u.Profile.Locale)
	return o, key, u, nil
}

// binding ties a registration to the device that opened the offer.
func (o offer) binding() string { return "other:" + o.Opener }

type passkeyPage struct {
	State             State
	Email, Number     string
	Ceremony, Options string
	RPID, Credential  string       // of a refused passkey, which the device can forget
	Kind              []words.Text // that the account needs; empty: any
}

func (s *Service) show(w http.ResponseWriter, r *http.Request) error {
	o, _, u, err := s.load(r)
	if err != nil {
		return err
	}
	p := passkeyPage{State: o.State, Email: u.Email, Number: o.Number}
	switch o.State {
	case Opened:
		var options json.RawMessage
		if p.Ceremony, options, err = s.newRegistration(r, o, u); err != nil {
			return err
		}
		p.Options = string(options)
		if p.Kind, err = s.cfg.Enrol.Kind(r.Context(), u); err != nil {
			return err
		}
	case Refused:
		if o.CredentialID != nil {
			p.RPID, p.Credential = s.cfg.RPID, base64.RawURLEncoding.EncodeToString(o.CredentialID)
		}
	}
	return s.render(w, r, "passkey", http.StatusOK, p)
}

// state tells the page when to load itself again.
func (s *Service) state(w http.ResponseWriter, r *http.Request) error {
	state := Over
	o, _, err := s.opened(r, "")
	if err == nil {
		state = o.State
	} else if !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load offer: %w", err)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"state": string(state)})
}

func (s *Service) newRegistration(r *http.Request, o offer, u idp.User) (string, json.RawMessage, error) {
	keys, err := s.cfg.DB.PasskeysOf(r.Context(), u.ID)
	if err != nil {
		return "", nil, fmt.Errorf("load passkeys: %w", err)
	}
	keys = slices.DeleteFunc(keys, func(k idp.Passkey) bool { return k.Suspended() })
	cer, options, err := s.cfg.Ceremonies.NewRegistration(r.Context(), u, keys, o.binding())
	if err != nil {
		return "", nil, fmt.Errorf("new registration: %w", err)
	}
	return cer.ID, options, nil
}

func (s *Service) begin(w http.ResponseWriter, r *http.Request) error {
	var in enrol.BeginRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	o, _, u, err := s.load(r)
	if err != nil {
		return err
	}
	ceremony, options, err := s.newRegistration(r, o, u)
	if err != nil {
		return err
	}
	return enrol.WriteCeremony(w, ceremony, options)
}

// finish keeps the new passkey in the offer, where it waits for its owner to confirm it.
func (s *Service) finish(w http.ResponseWriter, r *http.Request) error {
	var in enrol.FinishRequest
	if err := web.ReadJSON(r, &in); err != nil {
		return err
	}
	o, key, u, err := s.load(r)
	if err != nil {
		return err
	}
	k, err := s.cfg.Enrol.Register(r, in, o.binding(), u)
	if err != nil {
		return err
	}
	_, err = s.update(r, key, func(o *offer) error {
		if o.State != Opened {
			return errState
		}
		o.State, o.Passkey, o.CredentialID = Created, &k, k.CredentialID
		return nil
	})
	switch {
	case errors.Is(err, ephemeral.ErrTooLarge):
		return &web.Problem{Status: http.StatusBadRequest, Code: "refused", Words: "enrol.refused", Err: err}
	case errors.Is(err, errState), errors.Is(err, idp.ErrNotFound):
		return &web.Problem{Status: http.StatusGone, Code: "offer_over", Words: "add.over", Err: err}
	case err != nil:
		return fmt.Errorf("keep passkey: %w", err)
	}
	return web.WriteJSON(w, http.StatusOK, enrol.FinishAnswer{Next: "/add/passkey"})
}
