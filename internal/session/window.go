package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stepward/stepward/internal/idp"
)

// Forget removes everything that a passkey proved from a session. If nothing is left, it ends the session and returns
// false.
func (s *Sessions) Forget(ctx context.Context, userID, sid, passkeyID string) (stays bool, err error) {
	_, err = s.records.Update(ctx, sid, s.idle, func(stored *idp.Session) error {
		if stored.UserID != userID {
			return idp.ErrNotFound
		}
		stored.Authentications = slices.DeleteFunc(stored.Authentications, func(h idp.HeldAuthentication) bool {
			return h.PasskeyID == passkeyID
		})
		if stays = len(stored.Authentications) > 0; !stays {
			return errNothingLeft
		}
		return nil
	})
	switch {
	case errors.Is(err, errNothingLeft):
		return false, s.Revoke(ctx, userID, sid)
	case errors.Is(err, idp.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("forget passkey: %w", err)
	}
	return true, nil
}

var errNothingLeft = errors.New("nothing left of the session")

// A Window names the window that an authentication opened for an action class in a user's session.
type Window struct {
	UserID, Session, Authentication, Class string
}

// CloseWindow closes a window that an authentication of the user opened for an action class, in the session that
// contains it. From then on, the class needs another step-up. If the session has already ended, that is not an error.
func (s *Sessions) CloseWindow(ctx context.Context, w Window) error {
	// Keep the record as long as if its browser had just been here; its own times still end the session.
	_, err := s.records.Update(ctx, w.Session, s.idle, func(stored *idp.Session) error {
		if stored.UserID != w.UserID {
			return idp.ErrNotFound
		}
		stored.CloseWindow(w.Authentication, w.Class)
		return nil
	})
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("close window: %w", err)
	}
	return nil
}
