package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store/lookup"
)

// Search returns users whose e-mail address or name contains the text, or who have it as ID; "" finds all. The cursor
// "" begins, and next is the cursor of the following call, "" at the end (lookup.Users). idp.ErrNotFound for an unknown
// cursor.
func (s *Users) Search(
	ctx context.Context, by Actor, text, cursor string, limit int,
) (found []idp.User, next string, err error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, "", err
	}
	return lookup.New(s.cfg.DB).Users(ctx, text, cursor, limit)
}

// Passkeys returns the passkeys of a user; idp.ErrNotFound.
func (s *Users) Passkeys(ctx context.Context, by Actor, id string) ([]idp.Passkey, error) {
	if err := s.see(ctx, by, id); err != nil {
		return nil, err
	}
	return s.cfg.DB.PasskeysOf(ctx, id)
}

// Applications returns what a user allowed each client; idp.ErrNotFound.
func (s *Users) Applications(ctx context.Context, by Actor, id string) ([]idp.Grant, error) {
	if err := s.see(ctx, by, id); err != nil {
		return nil, err
	}
	return s.cfg.DB.GrantsOf(ctx, id)
}

// Sessions returns the live sessions of a user, newest first; idp.ErrNotFound.
func (s *Users) Sessions(ctx context.Context, by Actor, id string) (list []idp.Session, err error) {
	if err := s.see(ctx, by, id); err != nil {
		return nil, err
	}
	err = s.withSessions(ctx, func(sessions *session.Sessions) error {
		list, err = sessions.List(ctx, id)
		return err
	})
	return list, err
}

// EndSession ends one session of a user and the tokens issued in it, except for offline access; idp.ErrNotFound.
func (s *Users) EndSession(ctx context.Context, by Actor, id, sid string) error {
	u, _, err := s.reach(ctx, by, supporting, id)
	if err != nil {
		return err
	}
	err = s.withSessions(ctx, func(sessions *session.Sessions) error { return sessions.Revoke(ctx, u.ID, sid) })
	if err != nil {
		return err
	}
	return s.endTokens(ctx, by, u.ID, sid)
}

// endTokens ends the tokens that were issued in a session that has ended, and has its clients told.
func (s *Users) endTokens(ctx context.Context, by Actor, userID, sid string) error {
	ev := s.event(by, idp.EventSessionRevoked, userID)
	ev.SessionID = sid
	// The session has ended, so its tokens must end even if the caller leaves.
	_, err := s.cfg.DB.EndSession(context.WithoutCancel(ctx), userID, sid, time.Now(), ev)
	if err != nil {
		return fmt.Errorf("end tokens of the session: %w", err)
	}
	return nil
}

// see checks that the actor may read what is kept about a user who exists.
func (s *Users) see(ctx context.Context, by Actor, id string) error {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return err
	}
	_, err := s.cfg.DB.UserByID(ctx, id)
	return err
}

// withSessions calls do with the sessions, and opens the ephemeral store for it if need be.
func (o office) withSessions(ctx context.Context, do func(*session.Sessions) error) error {
	eph := o.cfg.Ephemeral
	if eph == nil {
		var err error
		if eph, err = o.open(ctx); err != nil {
			return err
		}
		defer eph.Close()
	}
	return do(session.New(session.Config{Store: eph}))
}

var errNoEphemeral = errors.New("admin: neither Ephemeral nor Open is configured")

func (o office) open(ctx context.Context) (ephemeral.Store, error) {
	if o.cfg.Open == nil {
		return nil, errNoEphemeral
	}
	return o.cfg.Open(ctx)
}

// Events are the operations on events.
type Events struct{ office }

// Search returns events of the whole installation, newest first. The cursor "" begins, and next is the cursor of the
// following call, "" at the end (lookup.Events).
func (s *Events) Search(
	ctx context.Context, by Actor, f lookup.Filter, cursor string, limit int,
) (found []idp.Event, next string, err error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, "", err
	}
	return lookup.New(s.cfg.DB).Events(ctx, f, cursor, limit)
}
