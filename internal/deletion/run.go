package deletion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/addresses"
)

// Run reminds users of the end of their account, erases accounts whose time has come, and takes erased users out of the
// events. One replica at a time calls it; now is the database's time. Another call goes on where one failed.
func (s *Service) Run(ctx context.Context, now time.Time) error {
	return errors.Join(s.remind(ctx, now), s.eraseDue(ctx, now), s.erasures.Pseudonymise(ctx, now))
}

func (s *Service) remind(ctx context.Context, now time.Time) error {
	deletions, err := s.erasures.ToRemind(ctx, now)
	if err != nil {
		return err
	}
	for _, d := range deletions {
		u, err := s.cfg.DB.UserByID(ctx, d.UserID)
		if err == nil {
			// Recorded first: two e-mails would be a nuisance, and the erasure waits for the record.
			err = s.erasures.Remind(ctx, d.UserID, now)
		}
		if errors.Is(err, idp.ErrNotFound) { // they changed their mind
			continue
		} else if err != nil {
			return err
		}
		to, err := s.told(ctx, u, now)
		if err != nil {
			return err
		}
		until := d.At()
		if soon := now.Add(directory.DeletionReminder); until.Before(soon) {
			until = soon
		}
		if err := s.send(ctx, u, to, func(w mail.Writer, to string) mail.Message {
			return w.DeletionSoon(to, until, s.cfg.Issuer+"/account")
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) eraseDue(ctx context.Context, now time.Time) error {
	due, err := s.erasures.Due(ctx, now)
	if err != nil {
		return err
	}
	for _, u := range due {
		to, err := s.told(ctx, u, now)
		if err != nil {
			return err
		}
		err = s.erasures.EraseDue(ctx, u.ID, now, idp.NewEvent(idp.EventUserRemoved, u.ID, now))
		if errors.Is(err, idp.ErrNotFound) {
			continue
		} else if err != nil {
			return fmt.Errorf("erase user: %w", err)
		}
		// Sessions that began while the deletion was asked for open nothing. Ended here, they are not listed any more.
		if _, err := s.cfg.Sessions.RevokeAll(ctx, u.ID, ""); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		if err := s.send(ctx, u, to, func(w mail.Writer, to string) mail.Message { return w.Deleted(to, now) }); err != nil {
			return err
		}
	}
	return nil
}

// told returns the addresses of a user that are told.
func (s *Service) told(ctx context.Context, u idp.User, now time.Time) ([]string, error) {
	others, err := addresses.New(s.cfg.DB).Told(ctx, u.ID, now)
	return append([]string{u.Email}, others...), err
}

func (s *Service) send(
	ctx context.Context, u idp.User, to []string, write func(w mail.Writer, to string) mail.Message,
) error {
	w := s.cfg.Mailer.For(u.Profile.Locale, nil)
	for _, address := range to {
		if err := s.cfg.Mailer.Send(ctx, write(w, address)); err != nil {
			return err
		}
	}
	return nil
}
