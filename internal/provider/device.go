package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
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
	Allowed *authorization `json:"allowed,omitempty"`
	Denied  bool           `json:"denied,omitempty"`
}

func (d device) expired(now time.Time) bool { return !now.Before(d.CreatedAt.Add(deviceTTL)) }

// deviceParams are the parameters of a device authorization request: what an authorization request says about what it
// wants, and about the proof. There is nothing to redirect to and no nonce: the ID token goes to whoever asked.
var deviceParams = []string{"scope", "resource", "authorization_details", "acr_values", "claims"}

var deviceGuard = guard{methods: []string{http.MethodPost}, credentials: true, several: []string{"resource"}, check: notTooLong}

// authorizeDevice is the device authorization endpoint (RFC 8628 §3.1).
func (p *Provider) authorizeDevice(w http.ResponseWriter, r *http.Request) error {
	c, err := p.requester(r)
	if err != nil {
		return err
	}
	form := kept(r.PostForm, deviceParams)
	if _, _, err := p.readDevice(r, form, c); err != nil {
		return err
	}
	code := idp.NewSecret() + idp.NewSecret() // RFC 8628 §5.2: the one who polls is not slowed down by a person
	d := device{
		ClientID: c.ID, Form: form.Encode(), Interval: pollInterval, CreatedAt: time.Now(),
		Address: web.ClientAddress(r), Agent: web.Agent(r.UserAgent()),
	}
	if err := p.keepDevice(r.Context(), code.Hash(), &d); err != nil {
		return fmt.Errorf("keep device request: %w", err)
	}
	shown := groupedUserCode(d.UserCode)
	return web.WriteJSON(w, http.StatusOK, map[string]any{
		"device_code": code.Reveal(), "user_code": shown, "verification_uri": p.Issuer + pathDevice,
		"verification_uri_complete": p.Issuer + pathDevice + "?" + url.Values{"user_code": {shown}}.Encode(),
		"expires_in":                int(deviceTTL.Seconds()), "interval": int(pollInterval.Seconds()),
	})
}

// readDevice validates a request of a device into one that package login leads a person through. The ceremony is always a
// new one, and consent is always asked for: whoever holds the device may be somebody else (RFC 8628 §5.4).
func (p *Provider) readDevice(r *http.Request, form url.Values, c idp.Client) (idp.Request, idp.Requirement, error) {
	req := idp.Request{ClientID: c.ID, Prompt: []string{"login", "consent"}}
	if !slices.Contains(c.GrantTypes, grantDevice) || !c.Rules().Devices {
		return req, idp.Requirement{}, refuse("unauthorized_client", "the client is not registered for the device grant")
	}
	need, err := p.readWhat(r, form, c, &req)
	return req, need, err
}

// keepDevice stores a new request and finds it a user code that no other has.
func (p *Provider) keepDevice(ctx context.Context, hash string, d *device) error {
	for range codeDraws {
		d.UserCode = newUserCode()
		put, err := p.devices.PutOp(hash, *d, 0)
		if err != nil {
			return err
		}
		claim := userCodeOp(ephemeral.Claim, d.UserCode)
		claim.Value, claim.TTL = []byte(hash), deviceTTL
		if err := p.Ephemeral.Do(ctx, put, claim); err != nil {
			return err
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
	errDeviceExpired  = errors.New("device request expired")
	errDeviceAnswered = errors.New("device request answered already")
)

// answerDevice lets one answer through, and forgets the user code with it.
func (p *Provider) answerDevice(ctx context.Context, hash string, answer func(*device)) error {
	d, err := p.devices.Update(ctx, hash, 0, func(d *device) error {
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
	return p.Ephemeral.Do(ctx, userCodeOp(ephemeral.Delete, d.UserCode))
}
