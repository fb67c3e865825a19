// Package device connects devices without a browser (RFC 8628).
//
//	device ──▶ Authorize ──▶ user code, device code
//	person ──▶ /device, types the user code ──▶ Config.Begin ──▶ package login ──▶ Respond: allowed or denied
//	device ──▶ Redeem, polling ──▶ tokens
package device

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
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

// Devices without a browser (RFC 8628): the device gets a code here and shows it. A person types the code at /device
// (devicepage.go) and goes through a normal interaction, while the device polls the token endpoint (devicetoken.go).
//
// All state is one record, stored under the hash of the device code, and every change is a swap. So a request is
// answered once and its polls are counted together, however many tabs, devices and replicas are involved.
const (
	deviceTTL    = 10 * time.Minute
	deviceKept   = 2 * deviceTTL // tells a late poll that the code has expired, rather than that it is unknown
	pollInterval = 5 * time.Second
	codeDraws    = 5 // a user code that is taken is drawn again; of five, one is free
)

//go:embed pages
var files embed.FS

// Config configures a Service.
type Config struct {
	DB        *store.DB
	Ephemeral ephemeral.Store
	Shell     *web.Shell
	Sessions  *session.Sessions
	Registrar *client.Registrar
	Tokens    *token.Service
	Catalog   access.Catalog
	Room      *limit.Room // for requests of strangers
	Begin     oauth.Begin
	// Read reads what a request asks for (authorize.Service.ReadAccess).
	Read func(r *http.Request, form url.Values, client idp.Client, req *idp.Request) (idp.Requirement, error)
}

// Service connects devices. It is safe for concurrent use.
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
	// Form holds the requested deviceParams. It is read again when the person comes, like a pushed request.
	Form string `json:"form"`
	// Address and Agent describe the device, or whatever sent the request.
	Address   string    `json:"addr,omitempty"`
	Agent     string    `json:"agent,omitempty"`
	CreatedAt time.Time `json:"created"`

	Interval time.Duration `json:"interval"`
	PolledAt time.Time     `json:"polled,omitzero"`

	// The answer: at most one of these is set.
	Allowed *token.Authorization `json:"allowed,omitempty"`
	Denied  bool                 `json:"denied,omitempty"`
}

func (d device) expired(now time.Time) bool { return !now.Before(d.CreatedAt.Add(deviceTTL)) }

// deviceParams are the parameters of a device authorization request: those of an authorization request about access and
// proof, and the languages of the pages. There is no redirect URI and no nonce: the ID token goes to the device that
// polls.
var deviceParams = []string{"scope", "resource", "authorization_details", "acr_values", "claims", "ui_locales"}

// Guard guards the device authorization endpoint.
var Guard = oauth.Guard{
	Methods: []string{http.MethodPost}, Credentials: true, Several: []string{"resource"}, Check: oauth.NotTooLong,
}

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
	code := idp.NewLongSecret() // RFC 8628 §5.2: high entropy, since nobody types it
	d := device{
		ClientID: c.ID, Form: form.Encode(), Interval: pollInterval, CreatedAt: time.Now(),
		Address: web.ClientAddress(r), Agent: web.Agent(r.UserAgent()),
	}
	var count *limit.Count
	if c.Public() { // anybody can use its client_id
		count = limit.WaitingOf(s.cfg.Room, web.ClientNetwork(r), len(d.Form))
	}
	if err := s.keepDevice(r.Context(), code.Hash(), &d, count); errors.Is(err, errCrowded) {
		return oauth.TooMany(count.Limit, "too many requests from this network, try again later")
	} else if err != nil {
		return fmt.Errorf("store device request: %w", err)
	}
	shown := groupedUserCode(d.UserCode)
	complete := url.Values{"user_code": {shown}}
	if locales := oauth.Words(form.Get("ui_locales")); len(locales) > 0 {
		complete.Set("ui_locales", strings.Join(locales, " "))
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{
		"device_code": code.Reveal(), "user_code": shown, "verification_uri": s.cfg.Catalog.Issuer + oauth.PathDevice,
		"verification_uri_complete": oauth.WithParams(s.cfg.Catalog.Issuer+oauth.PathDevice, complete),
		"expires_in":                int(deviceTTL.Seconds()), "interval": int(pollInterval.Seconds()),
	})
}

// readDevice validates the request of a device and prepares it for package login. It always requires a new ceremony and
// consent, because the device may belong to somebody else (RFC 8628 §5.4).
func (s *Service) readDevice(r *http.Request, form url.Values, c idp.Client) (idp.Request, idp.Requirement, error) {
	req := idp.Request{
		ClientID: c.ID, Prompt: []string{"login", "consent"}, UILocales: oauth.Words(form.Get("ui_locales")),
	}
	if !slices.Contains(c.GrantTypes, idp.GrantDeviceCode) || !c.Rules().Devices {
		return req, idp.Requirement{}, oauth.Refuse(
			"unauthorized_client", "the client is not registered for the device grant",
		)
	}
	need, err := s.cfg.Read(r, form, c, &req)
	return req, need, err
}

// keepDevice stores a new request under a free user code.
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
			if claim.Found { // else the code is taken
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

// userCodeOp returns an operation on the entry that leads from a user code to its request. The code is short enough to
// be found from its hash by trying all, but it opens nothing: it only identifies a device.
func userCodeOp(verb ephemeral.Verb, code string) *ephemeral.Op {
	return &ephemeral.Op{Verb: verb, Key: "user-code:" + idp.Secret(code).Hash()}
}

// Reasons why a device request cannot be answered.
var (
	errCrowded        = errors.New("too many requests are waiting for this network")
	errDeviceExpired  = errors.New("device request expired")
	errDeviceAnswered = errors.New("device request already answered")
)

// answerDevice stores the first answer and deletes the user code.
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
