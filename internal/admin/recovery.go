package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/recovery"
)

// RecoveryLink makes a one-time link with which a user who lost all passkeys creates a new one, and tells them by
// e-mail that it was made. It gives the account away, so the caller shows it only to the person it is for.
func (s *Users) RecoveryLink(
	ctx context.Context, by Actor, id string, ttl time.Duration,
) (idp.Secret, time.Time, error) {
	made, err := s.OrderRecovery(ctx, by, id, recovery.Order{TTL: ttl})
	return made.Link, made.Until, err
}

// OrderRecovery is RecoveryLink with a PIN or a second admin's approval. It sets the user and the maker of the order.
func (s *Users) OrderRecovery(ctx context.Context, by Actor, id string, o recovery.Order) (recovery.Made, error) {
	u, role, err := s.reach(ctx, by, supporting, id)
	if err != nil {
		return recovery.Made{}, err
	}
	if o.TTL < recovery.MinLinkTTL || o.TTL > recovery.MaxLinkTTL {
		return recovery.Made{}, directory.Faults{{Field: "ttl", Text: "must be between 5m and 24h"}}
	}
	if err := takeOver(role, u); err != nil {
		return recovery.Made{}, err
	}
	keys, err := s.cfg.DB.PasskeysOf(ctx, u.ID)
	switch {
	case err != nil:
		return recovery.Made{}, fmt.Errorf("find passkeys: %w", err)
	case u.Disabled():
		return recovery.Made{}, ErrDisabled
	case len(keys) == 0:
		return recovery.Made{}, ErrNoPasskey
	}
	o.Second = o.Second || s.cfg.ApproveRecovery && by.Channel != ChannelCommand
	if o.User, o.By = u, nil; by.UserID != "" {
		maker, err := s.cfg.DB.UserByID(ctx, by.UserID)
		if err != nil {
			return recovery.Made{}, fmt.Errorf("load actor: %w", err)
		}
		o.By = &maker
	}
	now := time.Now()
	ev := s.event(by, idp.EventRecoveryLinkMade, u.ID, "until", now.Add(o.TTL).UTC().Format(time.RFC3339))
	for name, set := range map[string]bool{"pin": o.PIN, "second": o.Second} {
		if set {
			ev.Detail[name] = "true"
		}
	}
	made, err := recovery.NewLink(ctx, s.cfg.DB, s.cfg.Issuer, o, ev)
	if err != nil || !s.mails() {
		return made, deniedRecovery(err)
	}
	return made, s.mailTo(ctx, u.Profile.Locale, func(w mail.Writer) mail.Message {
		return w.RecoveryLinkMade(u.Email, now, made.Until)
	})
}

// ApproveRecovery is a second admin's approval of the recovery link of a user. idp.ErrNotFound if no link of theirs
// waits for this admin.
func (s *Users) ApproveRecovery(ctx context.Context, by Actor, id string) error {
	u, role, err := s.reach(ctx, by, supporting, id)
	if err != nil {
		return err
	}
	if err := takeOver(role, u); err != nil {
		return err
	}
	if by.UserID == "" {
		return &Denied{"role", "a link is approved by a person who is signed in"}
	}
	admin, err := s.cfg.DB.UserByID(ctx, by.UserID)
	if err != nil {
		return fmt.Errorf("load actor: %w", err)
	}
	return deniedRecovery(recovery.Approve(ctx, s.cfg.DB, u, admin, s.event(by, idp.EventRecoveryApproved, u.ID)))
}

// deniedRecovery says in words why package recovery refused an admin.
func deniedRecovery(err error) error {
	switch {
	case errors.Is(err, recovery.ErrRole):
		return &Denied{"higher_role", "only a person with a higher role may recover this account"}
	case errors.Is(err, idp.ErrClosed):
		return &Denied{"recovered", "your own account was recovered a short time ago, so you recover no other one yet"}
	}
	return err
}
