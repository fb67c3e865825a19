package enrol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Recover begins an enrolment in this browser for somebody who has proved in another way that the account is theirs; way
// names it, for the events, and link is the hash of the link, if it was one. Its first passkey recovers the account (see
// store.DB.Recover).
func (en *Service) Recover(w http.ResponseWriter, r *http.Request, u idp.User, interaction, way, link string) error {
	return en.begin(w, r, enrolment{User: u, Link: link, Interaction: interaction, Recovery: way, OpenedAt: time.Now()})
}

// StartedFrom reports whether this browser's enrolment came from the link with this hash.
func (en *Service) StartedFrom(r *http.Request, link string) bool {
	e, _, err := en.enrolment(r)
	return err == nil && e.Link == link
}

// recovered is what registered returns for a recovery: none of the passkeys from before it, because a device that has one may
// make the new one too. It refuses to go on if the account was recovered since this was opened.
func (e enrolment) recovered(keys []idp.Passkey) (own []idp.Passkey, err error) {
	for _, k := range keys {
		if slices.Contains(e.Passkeys, k.ID) {
			own = append(own, k)
		}
	}
	suspended := func(k idp.Passkey) bool { return k.Suspended() }
	if len(own) < len(e.Passkeys) || slices.ContainsFunc(own, suspended) || len(e.Passkeys) == 0 && !e.User.RecoveredAt.Before(e.OpenedAt) {
		return nil, overtaken(nil)
	}
	return own, nil
}

func overtaken(err error) error {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "recovered_elsewhere", Title: "This account was recovered elsewhere",
		Text: "Somebody has recovered it since you began. If that wasn’t you, begin again at once with another recovery code, " +
			"and tell the people who run this service.",
		Next: "Begin again", NextURL: "/recover", Err: err,
	}
}

// recover gives the account to its new passkey, and ends every session: before, so that nothing has changed if that fails,
// and after, because one may have begun meanwhile. What escapes is refused by its age (store.DB.CreateFamily, package account).
func (en *Service) recover(r *http.Request, e enrolment, k idp.Passkey, added ...idp.Event) error {
	if err := en.endSessions(r, e.User.ID); err != nil {
		return err
	}
	event := web.Event(r, idp.EventRecovered, e.User.ID)
	event.PasskeyID, event.Detail = k.ID, map[string]string{"way": e.Recovery, "name": k.Name}
	err := en.cfg.DB.Recover(r.Context(), k, e.OpenedAt, time.Now(), append(added, event)...)
	if errors.Is(err, idp.ErrNotFound) {
		return overtaken(err)
	} else if err != nil {
		return err
	}
	if err := en.endSessions(r, e.User.ID); err != nil {
		web.Note(r.Context(), slog.Any("end_sessions", err)) // the account is theirs all the same
	}
	return nil
}

// endSessions ends all sessions of a user, and what applications would still get in them.
func (en *Service) endSessions(r *http.Request, userID string) error {
	ctx := context.WithoutCancel(r.Context())
	ended, err := en.cfg.Sessions.RevokeAll(ctx, userID, "")
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	for _, sid := range ended {
		event := web.Event(r, idp.EventSessionRevoked, userID)
		event.SessionID = sid
		if _, err := en.cfg.DB.EndSession(ctx, sid, time.Now(), event); err != nil {
			return fmt.Errorf("end what hangs from a session: %w", err)
		}
	}
	return nil
}
