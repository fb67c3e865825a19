package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/idp"
)

// CloseWindow closes the window that an authentication of the user opened for an action class, in the session that holds it;
// from then on no browser of it gets anything for the class without another step-up. It is no error if the session has ended.
func (s *Sessions) CloseWindow(ctx context.Context, userID, sid, authenticationID, class string) error {
	// The record may stay as long as if its browser had just been here; the times in it end the session all the same.
	_, err := s.records.Update(ctx, sid, s.idle, func(stored *idp.Session) error {
		if stored.UserID != userID {
			return idp.ErrNotFound
		}
		stored.CloseWindow(authenticationID, class)
		return nil
	})
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("close window: %w", err)
	}
	return nil
}
