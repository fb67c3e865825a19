package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
)

// remindAgain is after how long a reminder is sent again if the process ended while it sent it.
const remindAgain = 10 * time.Minute

// Remind tells the owners of recoveries by e-mail alone once more, half-way through the wait: one notice is easily
// missed, or deleted by the person who asked for the recovery. Several replicas may run it.
func (s *Service) Remind(ctx context.Context, now time.Time) error {
	due, err := s.ways.DueReminders(ctx, now)
	if err != nil {
		return err
	}
	for _, id := range due {
		if err := s.ways.ClaimReminder(ctx, id, now, now.Add(remindAgain)); errors.Is(err, idp.ErrNotFound) {
			continue // another replica sends it
		} else if err != nil {
			return err
		}
		if err := s.remind(ctx, id, now); err != nil {
			return fmt.Errorf("remind: %w", err)
		}
	}
	return nil
}

// remind sends one reminder, unless the recovery was stopped or finished meanwhile.
func (s *Service) remind(ctx context.Context, userID string, now time.Time) error {
	u, err := s.cfg.DB.UserByID(ctx, userID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return err
	}
	if err != nil || u.Disabled() || !now.Before(u.RecoveryReadyAt) {
		return s.ways.EndReminder(ctx, userID)
	}
	others, err := addresses.New(s.cfg.DB).Told(ctx, u.ID, now)
	if err != nil {
		return err
	}
	link := s.cfg.Issuer + "/recover/stop#" + s.cfg.Key.StopToken(u.ID, u.RecoveryReadyAt).Reveal()
	w := s.cfg.Mailer.For(u.Profile.Locale, nil)
	for _, address := range append([]string{u.Email}, others...) {
		m := w.RecoveryReminder(address, mail.Notice{At: now, Link: link}, u.RecoveryReadyAt)
		if err := s.cfg.Mailer.Send(ctx, m); err != nil {
			return err
		}
	}
	return s.ways.EndReminder(ctx, userID, idp.NewEvent(idp.EventRecoveryReminded, u.ID, now))
}
