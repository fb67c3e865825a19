package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/address"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/store/erasure"
)

// mails reports whether e-mails are delivered.
func (o office) mails() bool { return o.cfg.Mailer != nil && o.cfg.Mailer.Delivers() }

// confirmedBefore marks the new address of a user as confirmed if it is one of theirs already: only confirmed ones are.
func (s *Users) confirmedBefore(ctx context.Context, was idp.User, u *idp.User) error {
	if u.Email == was.Email {
		return nil
	}
	others, err := addresses.New(s.cfg.DB).Of(ctx, u.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(others, func(a addresses.Address) bool { return a.Email == u.Email }) {
		u.EmailVerified = true
	}
	return nil
}

// tellChanged tells a user what an admin has changed: their address, which the former one can undo with the secret, and
// their role.
func (s *Users) tellChanged(ctx context.Context, was, u idp.User, undo idp.Secret) error {
	if !s.mails() || was.Email == u.Email && was.Role == u.Role {
		return nil
	}
	now := time.Now()
	others, err := addresses.New(s.cfg.DB).Told(ctx, u.ID, now)
	if err != nil {
		return err
	}
	to := append([]string{u.Email}, others...)
	if was.EmailVerified && !slices.Contains(to, was.Email) {
		to = append(to, was.Email)
	}
	notice := mail.Notice{At: now, Link: s.cfg.Issuer + "/account/email"}
	writer := s.cfg.Mailer.For(u.Profile.Locale, nil)
	var errs []error
	for _, email := range to {
		switch {
		case was.Email == u.Email:
		case email == was.Email:
			left := notice
			left.Link = address.UndoLink(s.cfg.Issuer, undo)
			errs = append(errs, s.cfg.Mailer.Send(ctx, writer.AddressLeft(email, u.Email, left)))
		default:
			errs = append(errs, s.cfg.Mailer.Send(ctx, writer.AddressChanged(email, u.Email, notice)))
		}
		if was.Role != u.Role {
			errs = append(errs, s.cfg.Mailer.Send(ctx, writer.RoleChanged(email, u.Role, mail.Notice{At: now})))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the user is changed, but could not be told: %w", err)
	}
	return nil
}

// erase deletes a user with all that belongs to them, takes them out of the events, and tells them.
func (s *Users) erase(ctx context.Context, u idp.User, ev idp.Event) error {
	to := []string{u.Email}
	now, erasures := time.Now(), erasure.New(s.cfg.DB)
	if s.mails() {
		others, err := addresses.New(s.cfg.DB).Told(ctx, u.ID, now)
		if err != nil {
			return err
		}
		to = append(to, others...)
	}
	if err := erasures.Erase(ctx, u.ID, now, ev); err != nil {
		return denial(err)
	}
	var errs []error
	if s.mails() {
		writer := s.cfg.Mailer.For(u.Profile.Locale, nil)
		for _, email := range to {
			errs = append(errs, s.cfg.Mailer.Send(ctx, writer.Deleted(email, now)))
		}
	}
	return errors.Join(append(errs, erasures.Pseudonymise(ctx, now))...)
}
