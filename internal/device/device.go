// Package device connects devices without a browser (RFC 8628).
//
//	device ──▶ Authorize ──▶ user code, device code
//	person ──▶ /device, types the user code ──▶ Config.Begin ──▶ package login ──▶ Respond: allowed or denied
//	device ──▶ Redeem, again and again ──▶ tokens
package device

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// Devices without a browser (RFC 8628): the device asks here and shows a code, a person types it at /device
// (devicepage.go) and goes through an interaction as any other, and meanwhile the device asks the token endpoint again and
// again (devicetoken.go).
//
// All of it is one record, under the hash of the device code, and every change of it is a swap: a request is answered once,
// and polls are counted together, however many tabs, devices and replicas are at it.
const (
	deviceTTL    = 10 * time.Minute
	deviceKept   = 2 * deviceTTL // a late poll learns that the code has expired, and not that there never was one
	pollInterval = 5 * time.Second
	codeDraws    = 5 // user codes are drawn anew if one is taken; of five, one is free
)

//go:embed pages
var files embed.FS

// Config wires a Service.
type Config struct {
	DB        *store.DB
	Ephemeral ephemeral.Store
	Shell     *web.Shell
	Sessions  *session.Sessions
	Registrar *client.Registrar
	Tokens    *token.Service
	Catalog   access.Catalog
	Begin     oauth.Begin
	// Read reads what a request asks for (authorize.Service.ReadAccess).
	Read func(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (idp.Requirement, error)
}

// Service connects devices. It may be used by any number of goroutines.
type Service struct {
	cfg     Config
	devices ephemeral.Bucket[device]
	pages   *web.Pages
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	return &Service{cfg: cfg, devices: ephemeral.NewBucket[device](cfg.Ephemeral, "device", deviceKept), pages: pages}, nil
}

// Mount adds the pages.
func (s *Service) Mount(browser *http.ServeMux) {
	s.cfg.Shell.Handle(browser, "GET "+oauth.PathDevice, s.showDevice)
	s.cfg.Shell.Handle(browser, "POST "+oauth.PathDevice, s.findDevice)
	s.cfg.Shell.Handle(browser, "POST "+oauth.PathDevice+"/confirm", s.confirmDevice)
	s.cfg.Shell.Handle(browser, "GET "+oauth.PathDeviceConnected, s.showDeviceConnected)
	s.cfg.Shell.Handle(browser, "GET "+oauth.PathDeviceRefused, s.showDeviceRefused)
}

// A device is one device authorization request.
type device struct {
	ClientID string `json:"client"`
	UserCode string `json:"user_code"`
	// Form is what was asked for, of deviceParams. It is read again when the person comes, as a pushed request is.
	Form string `json:"form"`
	// Address and Agent are those of the device, or of whatever asked for it.
	Address   string    `json:"addr,omitempty"`
	Agent     string    `json:"agent,omitempty"`
	CreatedAt time.Time `json:"created"`

	Interval time.Duration `json:"interval"`
	PolledAt time.Time     `json:"polled,omitzero"`

	// How it was answered: at most one of both.
	Allowed *token.Authorization `json:"allowed,omitempty"`
	Denied  bool                 `json:"denied,omitempty"`
}

func (d device) expired(now time.Time) bool { return !now.Before(d.CreatedAt.Add(deviceTTL)) }

// deviceParams are the parameters of a device authorization request: what an authorization request says about what it
// wants, and about the proof. There is nothing to redirect to and no nonce: the ID token goes to whoever asked.
var deviceParams = []string{"scope", "resource", "authorization_details", "acr_values", "claims"}

// Guard guards the device authorization endpoint.
var Guard = oauth.Guard{Methods: []string{http.MethodPost}, Credentials: true, Several: []string{"resource"}, Check: oauth.NotTooLong}

// Authorize is the device authorization endpoint (RFC 8628 §3.1).
func (s *Service) Authorize(w http.ResponseWriter, r *http.Request, call *oauth.Call) error {
	c, err := s.cfg.Registrar.Requester(r, call)
	if err != nil {
		return err
	}
	form := oauth.Keep(call.Form, deviceParams)
	if _, _, err := s.readDevice(r, form, c); err != nil {
		return err
	}
	code := idp.NewLongSecret() // RFC 8628 §5.2: the one who polls is not slowed down by a person
	d := device{
		ClientID: c.ID, Form: form.Encode(), Interval: pollInterval, CreatedAt: time.Now(),
		Address: web.ClientAddress(r), Agent: web.Agent(r.UserAgent()),
	}
	var count *limit.Count
	if c.Public() { // anybody can begin in its name
		count = limit.WaitingOf(web.ClientNetwork(r), len(d.Form))
	}
	if err := s.keepDevice(r.Context(), code.Hash(), &d, count); errors.Is(err, errCrowded) {
		return oauth.TooMany(w, count.Window)
	} else if err != nil {
		return fmt.Errorf("keep device request: %w", err)
	}
	shown := groupedUserCode(d.UserCode)
	return web.WriteJSON(w, http.StatusOK, map[string]any{
		"device_code": code.Reveal(), "user_code": shown, "verification_uri": s.cfg.Catalog.Issuer + oauth.PathDevice,
		"verification_uri_complete": s.cfg.Catalog.Issuer + oauth.PathDevice + "?" + url.Values{"user_code": {shown}}.Encode(),
		"expires_in":                int(deviceTTL.Seconds()), "interval": int(pollInterval.Seconds()),
	})
}

// readDevice validates a request of a device into one that package login leads a person through. The ceremony is always a
// new one, and consent is always asked for: whoever holds the device may be somebody else (RFC 8628 §5.4).
func (s *Service) readDevice(r *http.Request, form url.Values, c idp.Client) (idp.Request, idp.Requirement, error) {
	req := idp.Request{ClientID: c.ID, Prompt: []string{"login", "consent"}}
	if !slices.Contains(c.GrantTypes, idp.GrantDeviceCode) || !c.Rules().Devices {
		return req, idp.Requirement{}, oauth.Refuse("unauthorized_client", "the client is not registered for the device grant")
	}
	need, err := s.cfg.Read(r, form, c, &req)
	return req, need, err
}

// keepDevice stores a new request and finds it a user code that no other has.
func (s *Service) keepDevice(ctx context.Context, hash string, d *device, count *limit.Count) error {
	for range codeDraws {
		d.UserCode = newUserCode()
		put, err := s.devices.PutOp(hash, *d, 0)
		if err != nil {
			return err
		}
		claim := userCodeOp(ephemeral.Claim, d.UserCode)
		claim.Value, claim.TTL = []byte(hash), deviceTTL
		ops := []*ephemeral.Op{put, claim}
		if count != nil {
			ops = append(ops, &count.Op)
		}
		if err := s.cfg.Ephemeral.Do(ctx, ops...); err != nil {
			return err
		}
		if count != nil && count.Over() {
			drop := []*ephemeral.Op{s.devices.DeleteOp(hash)}
			if claim.Found { // else it is somebody else's
				drop = append(drop, userCodeOp(ephemeral.Delete, d.UserCode))
			}
			return errors.Join(errCrowded, s.cfg.Ephemeral.Do(ctx, drop...))
		}
		if claim.Found {
			return nil
		}
	}
	return fmt.Errorf("user code: %w", idp.ErrConflict)
}

// userCodeOp is an operation on the entry by which a user code finds its request. The code is short enough to be tried out
// against its hash, but it opens nothing: it only says which device a person means.
func userCodeOp(verb ephemeral.Verb, code string) *ephemeral.Op {
	return &ephemeral.Op{Verb: verb, Key: "user-code:" + idp.Secret(code).Hash()}
}

// Reasons why a device request is not to be answered (any more).
var (
	errCrowded        = errors.New("too many requests wait for this network")
	errDeviceExpired  = errors.New("device request expired")
	errDeviceAnswered = errors.New("device request answered already")
)

// answerDevice lets one answer through, and forgets the user code with it.
func (s *Service) answerDevice(ctx context.Context, hash string, answer func(*device)) error {
	d, err := s.devices.Update(ctx, hash, 0, func(d *device) error {
		switch {
		case d.Allowed != nil || d.Denied:
			return errDeviceAnswered
		case d.expired(time.Now()):
			return errDeviceExpired
		}
		answer(d)
		return nil
	})
	if err != nil {
		return err
	}
	return s.cfg.Ephemeral.Do(ctx, userCodeOp(ephemeral.Delete, d.UserCode))
}
