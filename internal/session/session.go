// Package session is the browser's signed-in state at the provider.
//
// A session is a record in the ephemeral store under its sid, which is public. The browser holds the sid and a secret;
// the record holds the secret's hash. The sid stays from sign-in to sign-out, because clients know it; the secret changes
// whenever the browser gains an authentication, so a cookie seen before is worth nothing after (session fixation).
//
//	Start ──► record {sid, hash, user, authentications}, sid in the user's index, cookie sid.secret
//	Current ─► cookie ─► record ─► hash matches? limits kept? ─► session      (anything else: idp.ErrNotFound, untouched)
//	Elevate ─► same sid, new secret, one more authentication; for 10 s the old secret leads to the new one
//	End, Revoke, RevokeAll ──► record and index entry deleted; no write brings a record back, they all Swap
//
// Two limits end it: silence (Idle) and age (Absolute). The record carries both times and the store's TTL follows them, so
// either alone would do.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// MaxPerUser is how many sessions a user may have. One more ends the oldest: whoever can sign in could otherwise fill
// the store.
const MaxPerUser = 50

// ErrOtherUser says that an authentication is not of the session's user: a step-up never ends as somebody else.
var ErrOtherUser = errors.New("authentication of another user")

// Config says where and how long sessions live. Zero values but that of Store are sound.
type Config struct {
	Store    ephemeral.Store
	Idle     time.Duration // longest silence; 0: 1 hour
	Absolute time.Duration // longest life; 0: 12 hours
	// Insecure is for http on localhost: plain cookie names, no Secure.
	Insecure bool
	// Agent names a User-Agent header for people ("Firefox on macOS"); nil: sessions carry no such name.
	Agent func(userAgent string) string
	// Address tells the client's address; nil: sessions carry none.
	Address func(r *http.Request) string
}

// Sessions holds the sessions of all browsers. It may be used by any number of goroutines.
//
// Every method that takes a context returns idp.ErrUnavailable, wrapped, if the store cannot be reached.
type Sessions struct {
	store    ephemeral.Store
	records  ephemeral.Bucket[idp.Session]
	idle     time.Duration
	absolute time.Duration
	touch    time.Duration // SeenAt is written when it is this old
	cookies  cookies
	agent    func(string) string
	address  func(*http.Request) string
}

// New returns the sessions that are kept in c.Store.
func New(c Config) *Sessions {
	s := &Sessions{
		store: c.Store, idle: cmp.Or(c.Idle, time.Hour), absolute: cmp.Or(c.Absolute, 12*time.Hour),
		cookies: cookies{insecure: c.Insecure}, agent: c.Agent, address: c.Address,
	}
	s.touch = min(time.Minute, s.idle/4)
	s.records = ephemeral.NewBucket[idp.Session](c.Store, "session", s.idle)
	if s.agent == nil {
		s.agent = func(string) string { return "" }
	}
	if s.address == nil {
		s.address = func(*http.Request) string { return "" }
	}
	return s
}

// CurrentOp reads the record of this browser's session, to be batched with other ops; nil if the browser sent no session
// cookie, or none that could be ours.
func (s *Sessions) CurrentOp(r *http.Request) *ephemeral.Op {
	sid, _, ok := s.cookies.session(r)
	if !ok {
		return nil
	}
	return s.records.GetOp(sid)
}

// FromOp returns the session that an op of CurrentOp has found for this request; idp.ErrNotFound if there is none: no or
// a nil op, no record, another secret, a limit passed. Such a request changes nothing.
//
// A GET with the secret from just before a step-up whose answer was lost gets a *web.Again, which Shell.Fail answers.
//
// The session's SeenAt is now, and the silence that ends with this request is in every LongestIdle. That is written down
// at most once a minute, so a session may end for its silence up to a minute early, never late.
func (s *Sessions) FromOp(ctx context.Context, r *http.Request, op *ephemeral.Op) (*idp.Session, error) {
	sid, secret, ok := s.cookies.session(r)
	if !ok || op == nil {
		return nil, fmt.Errorf("session: %w", idp.ErrNotFound)
	}
	for {
		sess, err := s.records.Decode(op)
		if err != nil {
			return nil, err
		}
		now := time.Now().UTC()
		if again := s.overtaken(r, sess, secret, now); again != nil {
			return nil, again
		}
		if !secret.Matches(sess.SecretHash) || sess.ID != sid || !s.live(sess, now) {
			return nil, fmt.Errorf("session: %w", idp.ErrNotFound)
		}
		due := now.Sub(sess.SeenAt) >= s.touch
		sess.Touch(now)
		if !due {
			sess.Stored = op.Result
			return &sess, nil
		}
		if sess.Former != nil && now.After(sess.Former.Until) {
			sess.Former = nil
		}
		// Swap, so that neither a session revoked since the read comes back nor an Elevate since then is undone.
		swap, err := s.records.PutOp(sid, sess, s.ttl(sess, now))
		if err != nil {
			return nil, err
		}
		swap.Verb, swap.Old = ephemeral.Swap, op.Result
		if err := s.store.Do(ctx, swap); err != nil {
			return nil, err
		}
		if swap.Found {
			sess.Stored = swap.Value
			return &sess, nil
		}
		// Whoever was faster ended the session, saw it (then nothing is due any more), or elevated it: look again.
		op = s.records.GetOp(sid)
		if err := s.store.Do(ctx, op); err != nil {
			return nil, err
		}
	}
}

// Current returns this browser's session; idp.ErrNotFound if there is none. See FromOp.
func (s *Sessions) Current(ctx context.Context, r *http.Request) (*idp.Session, error) {
	op := s.CurrentOp(r)
	if op == nil {
		return nil, fmt.Errorf("session: %w", idp.ErrNotFound)
	}
	if err := s.store.Do(ctx, op); err != nil {
		return nil, err
	}
	return s.FromOp(ctx, r, op)
}

// Start begins a session with its first authentication, under a new sid and secret, and sets the cookie. A session that
// this browser was in ends, which costs a second round trip, as do the oldest of more than MaxPerUser.
func (s *Sessions) Start(ctx context.Context, w http.ResponseWriter, r *http.Request, a idp.Authentication) (*idp.Session, error) {
	now, secret := time.Now().UTC(), idp.NewSecret()
	sess := idp.Session{
		ID: idp.NewID(), SecretHash: secret.Hash(), UserID: a.UserID,
		CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(s.absolute),
		Agent: s.agent(r.UserAgent()), Address: s.address(r),
	}
	sess.AddAuthentication(a)
	put, err := s.records.PutOp(sess.ID, sess, s.ttl(sess, now))
	if err != nil {
		return nil, err
	}
	all := &ephemeral.Op{Verb: ephemeral.Members, Key: index(a.UserID)}
	ops := []*ephemeral.Op{put, {Verb: ephemeral.Add, Key: index(a.UserID), Member: sess.ID, TTL: s.absolute}, all}
	old := s.CurrentOp(r)
	if old != nil {
		ops = append(ops, old)
	}
	if err := s.store.Do(ctx, ops...); err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	if err := s.end(ctx, r, old); err != nil {
		return nil, fmt.Errorf("end session before: %w", err)
	}
	if err := s.endOldest(ctx, a.UserID, sess.ID, all.Members); err != nil {
		return nil, fmt.Errorf("end oldest sessions: %w", err)
	}
	s.cookies.setSession(w, sess.ID, secret)
	return &sess, nil
}

// Elevate adds an authentication to the session that this request came with, and gives the browser a new secret for it;
// the sid stays. ErrOtherUser if the authentication is somebody else's, idp.ErrNotFound if the session has ended since.
//
// If two tabs elevate one session at once, both authentications are kept, and the first tab's secret is the new one for
// both: a second new secret would sign the browser out if its cookie arrived first.
func (s *Sessions) Elevate(ctx context.Context, w http.ResponseWriter, r *http.Request, sess *idp.Session, a idp.Authentication) (*idp.Session, error) {
	var secret idp.Secret
	now := time.Now().UTC()
	ttl := s.ttl(*sess, now)
	if ttl < time.Millisecond {
		return nil, fmt.Errorf("session: %w", idp.ErrNotFound)
	}
	elevated, err := s.records.UpdateFrom(ctx, sess.Stored, sess.ID, ttl, func(stored *idp.Session) error {
		if stored.UserID != a.UserID {
			return ErrOtherUser
		}
		if !s.live(*stored, now) {
			return fmt.Errorf("session: %w", idp.ErrNotFound)
		}
		secret = ""
		if stored.SecretHash == sess.SecretHash {
			secret = s.renew(stored, r, now)
		}
		stored.Touch(now)
		stored.AddAuthentication(a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("elevate session: %w", err)
	}
	if secret != "" {
		s.cookies.setSession(w, sess.ID, secret)
	}
	return &elevated, nil
}

// End ends this browser's session, if it is in one, and removes the cookie in any case.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	s.ClearCookie(w)
	op := s.CurrentOp(r)
	if op == nil {
		return nil
	}
	if err := s.store.Do(ctx, op); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	if err := s.end(ctx, r, op); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// end deletes the session that op has read for this request, if the request holds its secret: who only knows a sid ends
// nothing. A nil op is no session.
func (s *Sessions) end(ctx context.Context, r *http.Request, op *ephemeral.Op) error {
	if op == nil {
		return nil
	}
	sid, secret, _ := s.cookies.session(r)
	sess, err := s.records.Decode(op)
	if errors.Is(err, idp.ErrNotFound) || err == nil && !secret.Matches(sess.SecretHash) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.store.Do(ctx, s.endOps(sess.UserID, sid)...)
}

// endOldest ends the sessions of a user beyond MaxPerUser, but not the one that has just begun. sids are in the order
// in which their absolute age ends, which is that of their beginnings.
func (s *Sessions) endOldest(ctx context.Context, userID, begun string, sids []string) error {
	var ops []*ephemeral.Op
	for _, sid := range sids[:max(0, len(sids)-MaxPerUser)] {
		if sid != begun { // of two within a millisecond
			ops = append(ops, s.endOps(userID, sid)...)
		}
	}
	return s.store.Do(ctx, ops...)
}

// ClearCookie removes the session cookie from the browser.
func (s *Sessions) ClearCookie(w http.ResponseWriter) { s.cookies.clearSession(w) }

// live reports whether a session is within both limits. What is left of it must be enough for a TTL.
func (s *Sessions) live(sess idp.Session, now time.Time) bool {
	return now.Sub(sess.SeenAt) < s.idle && sess.ExpiresAt.Sub(now) >= time.Millisecond
}

// ttl is how long the record may stay in the store if the browser is silent from now on.
func (s *Sessions) ttl(sess idp.Session, now time.Time) time.Duration {
	return min(s.idle, sess.ExpiresAt.Sub(now))
}
