package device

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// pollLeeway accepts a poll that seems early because the previous one took longer to arrive.
const pollLeeway = time.Second

// Results of a poll, besides errDeviceExpired.
var (
	errDeviceForeign = errors.New("the device code belongs to another client")
	errDevicePending = errors.New("not answered yet")
	errDeviceEarly   = errors.New("polled too early")
)

// Redeem is the device_code grant (RFC 8628 §3.4). The code works once, for the client that requested it. The result
// is a family like that of an authorization code, with the ceremony that the person completed, whenever the device
// polls.
func (s *Service) Redeem(ctx context.Context, r *token.Request) (*token.Response, error) {
	c, now := r.Client, time.Now()
	is, err := s.cfg.Tokens.Prepare(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if is.Narrowing, err = s.cfg.Tokens.ReadNarrowing(c, r.Form); err != nil {
		return nil, err
	}
	code := idp.Secret(r.Form.Get("device_code"))
	d, err := s.poll(ctx, code.Hash(), c.ID, now)
	switch {
	case err == nil:
	case errors.Is(err, idp.ErrNotFound):
		return nil, s.cfg.Tokens.AnswerUnknown(ctx, c, code, now)
	case errors.Is(err, errDeviceForeign):
		return nil, oauth.InvalidGrant("the device code was issued to another client")
	case errors.Is(err, errDeviceExpired):
		return nil, oauth.Refuse("expired_token", "the device code has expired; request a new one")
	case errors.Is(err, errDevicePending):
		return nil, oauth.Refuse("authorization_pending", "the user has not answered yet")
	case errors.Is(err, errDeviceEarly):
		return nil, oauth.Refuse("slow_down", "wait 5 seconds longer between polls")
	default:
		return nil, oauth.Broken(ctx, "poll", err)
	}
	if d.Denied {
		return nil, oauth.Refuse("access_denied", "the user denied the request")
	}
	resp, err := s.cfg.Tokens.StoreFamily(ctx, is, *d.Allowed, code)
	if errors.Is(err, token.ErrAlreadyStored) { // the store fell back to an older state and returned a spent code
		return nil, s.cfg.Tokens.AnswerReused(ctx, c, code, now)
	}
	if token.MayBeStored(ctx, err) { // the device polls again and must find its answer, as with an authorization code
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := s.devices.Put(again, code.Hash(), d); err != nil {
			web.Note(ctx, slog.String("code_not_put_back", err.Error()))
		}
	}
	return resp, err
}

// poll checks whether a request was answered. An allowed one is taken, so only one of two polls gets it. Otherwise the
// poll is counted: each one that is too early makes the interval longer (RFC 8628 §3.5), for all pollers of the code.
func (s *Service) poll(ctx context.Context, hash, clientID string, now time.Time) (device, error) {
	early := false
	answered := device{}
	_, err := s.devices.Update(ctx, hash, 0, func(d *device) error {
		switch {
		case d.ClientID != clientID:
			return errDeviceForeign
		case d.expired(now):
			return errDeviceExpired
		case d.Denied || d.Allowed != nil:
			answered = *d
			return errDeviceAnswered
		}
		if early = now.Sub(d.PolledAt) < d.Interval-pollLeeway; early {
			d.Interval += pollInterval
		}
		d.PolledAt = now
		return nil
	})
	switch {
	case errors.Is(err, errDeviceAnswered) && answered.Denied:
		return answered, nil
	case errors.Is(err, errDeviceAnswered):
		return s.devices.Take(ctx, hash)
	case errors.Is(err, idp.ErrConflict): // other polls won every attempt
		return device{}, errDeviceEarly
	case err != nil:
		return device{}, err
	case early:
		return device{}, errDeviceEarly
	}
	return device{}, errDevicePending
}
