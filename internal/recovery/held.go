package recovery

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/web"
)

// delayed reports whether people without a saved code can recover their account by e-mail alone, after a wait.
func (s *Service) delayed() bool { return s.cfg.Mode == ByEmailWithDelay }

// goOnByEmail is the way of people who proved that they read the mailbox, and have no saved code. The first time it
// begins the wait. After the wait they prove it again and go on: nothing that could be stolen has to be kept until
// then. A second recovery during the wait changes nothing, and says how long the first one waits.
func (s *Service) goOnByEmail(w http.ResponseWriter, r *http.Request, a attempt, browser idp.Secret) error {
	u, err := s.cfg.DB.UserByID(r.Context(), a.UserID)
	if errors.Is(err, idp.ErrNotFound) {
		return over()
	} else if err != nil {
		return fmt.Errorf("load user: %w", err)
	}
	now := time.Now()
	if directory.RecoveryWaits(u.RecoveryReadyAt, now) && !now.Before(u.RecoveryReadyAt) {
		return s.openHeld(w, r, a, u, browser)
	}
	if !directory.RecoveryWaits(u.RecoveryReadyAt, now) {
		u.RecoveryReadyAt = now.Add(s.cfg.Hold)
		if err := s.hold(r, a, u, now); errors.Is(err, idp.ErrConflict) { // another browser was faster
			if u, err = s.cfg.DB.UserByID(r.Context(), a.UserID); err != nil {
				return fmt.Errorf("load user: %w", err)
			}
		} else if err != nil {
			return err
		}
	}
	a.Code, a.ReadyAt = "", u.RecoveryReadyAt
	if err := s.attempts.Put(r.Context(), browser.Hash(), a); err != nil {
		return fmt.Errorf("store recovery: %w", err)
	}
	http.Redirect(w, r, "/recover/wait", http.StatusSeeOther)
	return nil
}

// hold begins the wait until u.RecoveryReadyAt, and tells the owner everywhere. The pages of signed-in browsers say it
// as well (web.Chip).
func (s *Service) hold(r *http.Request, a attempt, u idp.User, now time.Time) error {
	stop, event := s.cfg.Key.StopToken(u.ID, u.RecoveryReadyAt), s.event(r, idp.EventRecoveryHeld, a)
	event.Detail = map[string]string{"until": u.RecoveryReadyAt.UTC().Format(time.RFC3339)}
	err := s.ways.Hold(r.Context(), u.ID, a.Email, stop.Hash(), u.RecoveryReadyAt, now, event)
	switch {
	case errors.Is(err, idp.ErrClosed):
		return &web.Problem{
			Status: http.StatusForbidden, Code: "recovery_stopped", Words: "recover.closed",
			Args: []any{"time", directory.RecoveryStopped}, NextURL: "/recover",
		}
	case errors.Is(err, idp.ErrNotFound): // disabled, given a role, or moved to another address since the code was mailed
		return over()
	case err != nil:
		return err
	}
	web.Note(r.Context(), slog.String("recovery", "held"))
	notice := s.cfg.Enrol.NewNotice(r, idp.Passkey{})
	notice.Link = s.cfg.Issuer + "/recover/stop#" + stop.Reveal()
	s.cfg.Enrol.NotifyAll(r, u, func(w mail.Writer, to string) mail.Message {
		return w.RecoveryHeld(to, notice, u.RecoveryReadyAt)
	})
	return nil
}

func (s *Service) openHeld(w http.ResponseWriter, r *http.Request, a attempt, u idp.User, browser idp.Secret) error {
	event := s.event(r, idp.EventRecoveryOpened, a)
	event.Detail = map[string]string{"way": enrol.ByEmail}
	err := s.ways.OpenHeld(r.Context(), u.ID, a.Email, time.Now(), event)
	if errors.Is(err, idp.ErrNotFound) { // stopped a moment ago
		return over()
	} else if err != nil {
		return err
	}
	if err := s.attempts.Delete(r.Context(), browser.Hash()); err != nil {
		return fmt.Errorf("end recovery: %w", err)
	}
	return s.enrol(w, r, u, a.Interaction, enrol.ByEmail, "")
}

// A waitPage says when the recovery can go on.
type waitPage struct{ From, Until time.Time }

func (s *Service) showWait(w http.ResponseWriter, r *http.Request) error {
	a, err := s.waiting(r)
	if err != nil {
		return err
	}
	if a.ReadyAt.IsZero() {
		http.Redirect(w, r, "/recover/code", http.StatusSeeOther)
		return nil
	}
	return s.page(w, r, "wait", a.Interaction, http.StatusOK, waitPage{a.ReadyAt, a.ReadyAt.Add(directory.RecoveryOpen)})
}

func (s *Service) showStop(w http.ResponseWriter, r *http.Request) error {
	return s.page(w, r, "stop", "", http.StatusOK, nil)
}

// stop stops the recovery that waits: that of the posted link, which works without a session, or else that of the
// signed-in user.
func (s *Service) stop(w http.ResponseWriter, r *http.Request) error {
	typed, err := enrol.ReadForm(r, "token")
	if err != nil {
		return err
	}
	nothing := &web.Problem{Status: http.StatusGone, Code: "nothing_to_stop", Words: "recover.stop.over"}
	var u idp.User
	way := "link"
	if typed[0] != "" {
		u, err = s.ways.UserByStopLink(r.Context(), idp.Secret(typed[0]).Hash())
	} else {
		var session *idp.Session
		if session, err = s.cfg.Sessions.Current(r.Context(), r); err == nil {
			way = "session"
			u, err = s.cfg.DB.UserByID(r.Context(), session.UserID)
		}
		if err == nil && session.CreatedAt.Before(u.RecoveredAt) {
			err = idp.ErrNotFound // a session from before a recovery counts for nothing
		}
	}
	if errors.Is(err, idp.ErrNotFound) {
		return nothing
	} else if err != nil {
		return fmt.Errorf("find recovery to stop: %w", err)
	}
	event := web.Event(r, idp.EventRecoveryStopped, u.ID)
	event.Detail = map[string]string{"way": way}
	err = s.ways.Stop(r.Context(), u.ID, time.Now(), event)
	if errors.Is(err, idp.ErrNotFound) {
		return nothing
	} else if err != nil {
		return err
	}
	notice := s.cfg.Enrol.NewNotice(r, idp.Passkey{})
	notice.Link = s.cfg.Issuer + "/account/activity"
	s.cfg.Enrol.NotifyAll(r, u, func(w mail.Writer, to string) mail.Message { return w.RecoveryStopped(to, notice) })
	http.Redirect(w, r, "/recover/stopped", http.StatusSeeOther)
	return nil
}

func (s *Service) showStopped(w http.ResponseWriter, r *http.Request) error {
	return s.page(w, r, "stopped", "", http.StatusOK, struct{ Time time.Duration }{directory.RecoveryStopped})
}
