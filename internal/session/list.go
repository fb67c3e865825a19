package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// index returns the key of a user's index of sids.
func index(userID string) string { return "user-sessions:" + userID }

// endOps returns the ops that delete a session and its index entry.
func (s *Sessions) endOps(userID, sid string) []*ephemeral.Op {
	return []*ephemeral.Op{s.records.DeleteOp(sid), {Verb: ephemeral.Remove, Key: index(userID), Member: sid}}
}

// sids returns the sids in the user's index: every live session, and some that have timed out.
func (s *Sessions) sids(ctx context.Context, userID string) ([]string, error) {
	op := &ephemeral.Op{Verb: ephemeral.Members, Key: index(userID)}
	if err := s.store.Do(ctx, op); err != nil {
		return nil, err
	}
	return op.Members, nil
}

// List returns the user's live sessions, newest first.
func (s *Sessions) List(ctx context.Context, userID string) ([]idp.Session, error) {
	sids, err := s.sids(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	ops := make([]*ephemeral.Op, len(sids))
	for i, sid := range sids {
		ops[i] = s.records.GetOp(sid)
	}
	if err := s.store.Do(ctx, ops...); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var list []idp.Session
	now := time.Now()
	for _, op := range ops {
		sess, err := s.records.Decode(op)
		if err == nil && s.live(sess, now) {
			list = append(list, sess)
		}
	}
	slices.SortFunc(list, func(a, b idp.Session) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, nil
}

// Revoke ends one session of the user. If there is none, or it belongs to another user, it returns idp.ErrNotFound.
func (s *Sessions) Revoke(ctx context.Context, userID, sid string) error {
	sess, err := s.records.Get(ctx, sid)
	if err == nil && (userID == "" || sess.UserID != userID) {
		err = idp.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	// A sid never changes its user, so this needs no atomicity.
	if err := s.store.Do(ctx, s.endOps(userID, sid)...); err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	return nil
}

// RevokeAll ends the user's sessions except exceptSID ("": all) and returns the sids of those it ended. A session
// started at the same time may survive, so disable an account before calling it.
func (s *Sessions) RevokeAll(ctx context.Context, userID, exceptSID string) ([]string, error) {
	sids, err := s.sids(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("revoke sessions: %w", err)
	}
	sids = slices.DeleteFunc(sids, func(sid string) bool { return sid == exceptSID })
	var ops []*ephemeral.Op
	for _, sid := range sids {
		ops = append(ops, s.endOps(userID, sid)...)
	}
	if err := s.store.Do(ctx, ops...); err != nil {
		return nil, fmt.Errorf("revoke sessions: %w", err)
	}
	var ended []string
	for i, sid := range sids {
		if ops[2*i].Found {
			ended = append(ended, sid)
		}
	}
	return ended, nil
}

// Alive returns which of the sessions are live, each with the time it ends if the browser stays idle. It takes one
// round trip.
func (s *Sessions) Alive(ctx context.Context, sids []string) (map[string]time.Time, error) {
	ops := make([]*ephemeral.Op, len(sids))
	for i, sid := range sids {
		ops[i] = s.records.GetOp(sid)
	}
	if err := s.store.Do(ctx, ops...); err != nil {
		return nil, fmt.Errorf("look up sessions: %w", err)
	}
	alive, now := map[string]time.Time{}, time.Now()
	for i, op := range ops {
		if sess, err := s.records.Decode(op); err == nil && s.live(sess, now) {
			alive[sids[i]] = sess.SeenAt.Add(s.ttl(sess, sess.SeenAt))
		}
	}
	return alive, nil
}

// Idle returns how long a session lives without a request.
func (s *Sessions) Idle() time.Duration { return s.idle }
