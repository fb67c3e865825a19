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

// ByEmail is the way of a recovery by e-mail alone, which can be stopped until its first passkey is stored.
const ByEmail = "email"

// StartRecovery starts an enrolment in this browser for a user who proved ownership of the account without a passkey.
// way says how, for the audit log; link is the hash of the recovery link, if they used one. The first passkey
// registered recovers the account (see store.DB.Recover).
func (en *Service) StartRecovery(
	w http.ResponseWriter, r *http.Request, u idp.User, interaction, way, link string,
) error {
	return en.startEnrolment(w, r, enrolment{
		User: u, Link: link, Interaction: interaction, Recovery: way, OpenedAt: time.Now(),
	})
}

// StartedFrom reports whether this browser's enrolment started from the link with this hash.
func (en *Service) StartedFrom(r *http.Request, link string) bool {
	e, _, err := en.loadEnrolment(r)
	return err == nil && e.Link == link
}

// passkeysSinceRecovery returns the passkeys that this recovery created. It omits older ones, so that a device that has
// one can also create the new one. It fails if the account was recovered again since this recovery began.
func (e enrolment) passkeysSinceRecovery(keys []idp.Passkey) (own []idp.Passkey, err error) {
	for _, k := range keys {
		if slices.Contains(e.Passkeys, k.ID) {
			own = append(own, k)
		}
	}
	suspended := func(k idp.Passkey) bool { return k.Suspended() }
	if len(own) < len(e.Passkeys) || slices.ContainsFunc(own, suspended) ||
		len(e.Passkeys) == 0 && !e.User.RecoveredAt.Before(e.OpenedAt) {
		return nil, recoveredElsewhere(nil)
	}
	return own, nil
}

func recoveredElsewhere(err error) error {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "recovered_elsewhere", Words: "enrol.elsewhere", NextURL: "/recover", Err: err,
	}
}

// finishRecovery recovers the account with the new passkey and ends all its sessions: once before, so that nothing has
// changed if that fails, and once after, for sessions that started meanwhile. Any session that still slips through is
// rejected because it is older than the recovery (store.DB.CreateFamily, package account).
func (en *Service) finishRecovery(r *http.Request, e enrolment, k idp.Passkey, added ...idp.Event) error {
	if err := en.endSessions(r, e.User.ID); err != nil {
		return err
	}
	event := web.Event(r, idp.EventRecovered, e.User.ID)
	event.PasskeyID, event.Detail = k.ID, map[string]string{"way": e.Recovery, "name": k.Name}
	recoverUser := en.cfg.DB.Recover
	if e.Recovery == ByEmail {
		recoverUser = en.cfg.DB.RecoverHeld
	}
	err := recoverUser(r.Context(), k, e.OpenedAt, time.Now(), append(added, event)...)
	if errors.Is(err, idp.ErrNotFound) {
		return recoveredElsewhere(err)
	} else if err != nil {
		return err
	}
	if err := en.endSessions(r, e.User.ID); err != nil {
		web.Note(r.Context(), slog.Any("end_sessions", err)) // the recovery itself succeeded
	}
	return nil
}

// endSessions ends all the user's sessions and the tokens issued in them, except offline ones (store.DB.EndSession).
func (en *Service) endSessions(r *http.Request, userID string) error {
	ctx := context.WithoutCancel(r.Context())
	ended, err := en.cfg.Sessions.RevokeAll(ctx, userID, "")
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	for _, sid := range ended {
		event := web.Event(r, idp.EventSessionRevoked, userID)
		event.SessionID = sid
		if _, err := en.cfg.DB.EndSession(ctx, userID, sid, time.Now(), event); err != nil {
			return fmt.Errorf("end tokens of the session: %w", err)
		}
	}
	return nil
}
