// Package session manages the browser's signed-in state at the provider.
//
// A session is a record in the ephemeral store under its sid, which is public. The browser has the sid and a secret;
// the record has the hash of the secret. The sid stays the same from sign-in to sign-out, because clients know it. The
// secret changes whenever the browser gains an authentication, so an earlier cookie no longer works (session fixation).
//
//	Start ──▶ record {sid, hash, user, authentications}, sid in the user's index, cookie sid.secret
//	Current ─▶ cookie ─▶ record ─▶ hash matches? within limits? ─▶ session      (otherwise idp.ErrNotFound, no change)
//	Elevate ─▶ same sid, new secret, one more authentication; for 10 s the old secret leads to the new one
//	End, Revoke, RevokeAll ──▶ record and index entry deleted; nothing restores a record, because all writes Swap
//
// Two limits end a session: Idle and Absolute. The record has both times and the TTL in the store follows them, so
// either would be enough.
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

// MaxPerUser is the number of sessions a user may have. One more ends the oldest. Otherwise anybody who can sign in
// could fill the store.
const MaxPerUser = 50

// ErrOtherUser means that an authentication is not of the session's user: a step-up never changes the user.
var ErrOtherUser = errors.New("authentication of another user")

// Config configures Sessions. All zero values but Store are sound.
type Config struct {
	Store    ephemeral.Store
	Idle     time.Duration // longest time without a request; 0: 1 hour
	Absolute time.Duration // longest life; 0: 12 hours
	// Insecure is for http on localhost: plain cookie names, no Secure.
	Insecure bool
	// Agent describes a User-Agent header for people ("Firefox on macOS"); nil: sessions have no description.
	Agent func(userAgent string) string
	// Address returns the client's address; nil: sessions have no address.
	Address func(r *http.Request) string
}

// Sessions manages the sessions of all browsers. It is safe for concurrent use.
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

// Records returns the bucket in which sessions are stored, by their ID. They live for idle after their last use.
func Records(store ephemeral.Store, idle time.Duration) ephemeral.Bucket[idp.Session] {
	return ephemeral.NewCompactBucket(store, "session", idle, fields)
}

// New returns the sessions in c.Store.
func New(c Config) *Sessions {
	s := &Sessions{
		store: c.Store, idle: cmp.Or(c.Idle, time.Hour), absolute: cmp.Or(c.Absolute, 12*time.Hour),
		cookies: cookies{insecure: c.Insecure}, agent: c.Agent, address: c.Address,
	}
	s.touch = min(time.Minute, s.idle/4)
	s.records = Records(c.Store, s.idle)
	if s.agent == nil {
		s.agent = func(string) string { return "" }
	}
	if s.address == nil {
		s.address = func(*http.Request) string { return "" }
	}
	return s
}

// CurrentOp returns the op that reads the record of this browser's session, or nil if the browser sent no valid session
// cookie.
func (s *Sessions) CurrentOp(r *http.Request) *ephemeral.Op {
	sid, _, ok := s.cookies.session(r)
	if !ok {
		return nil
	}
	return s.records.GetOp(sid)
}

// FromOp returns the session found by an op of CurrentOp for this request. It returns idp.ErrNotFound if there is none:
// the op is nil or found no record, the secret is wrong, or a limit has passed. Such a request changes nothing.
//
// A GET with the secret from just before a step-up whose response was lost gets a *web.Again, which Shell.Fail handles.
//
// The session's SeenAt is now, and LongestIdle includes the idle time that this request ends. Both are stored at most
// once a minute, so a session may time out up to a minute early, but never late.
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
		// Swap, so that this neither restores a session revoked since the read nor undoes an Elevate.
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
		// Another request ended the session, refreshed it (then nothing is left to do), or elevated it: read again.
		op = s.records.GetOp(sid)
		if err := s.store.Do(ctx, op); err != nil {
			return nil, err
		}
	}
}

// Current returns this browser's session, or idp.ErrNotFound. See FromOp.
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

// Start begins a session with its first authentication, under a new sid and secret, and sets the cookie. It ends the
// previous session of this browser, which costs a second round trip, and the oldest sessions beyond MaxPerUser.
//
// along is called with the session that is about to be stored; the ops it returns share the round trip. It may be nil.
func (s *Sessions) Start(
	ctx context.Context, w http.ResponseWriter, r *http.Request, a idp.Authentication,
	along func(*idp.Session) []*ephemeral.Op,
) (*idp.Session, error) {
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
	add := &ephemeral.Op{Verb: ephemeral.Add, Key: index(a.UserID), Member: sess.ID, TTL: s.absolute}
	ops := []*ephemeral.Op{put, add}
	old := s.CurrentOp(r)
	if old != nil {
		ops = append(ops, old)
	}
	if along != nil {
		ops = append(ops, along(&sess)...)
	}
	if err := s.store.Do(ctx, ops...); err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	if err := s.end(ctx, r, old); err != nil {
		return nil, fmt.Errorf("end session before: %w", err)
	}
	if err := s.endOldest(ctx, a.UserID, sess.ID, add.Members); err != nil {
		return nil, fmt.Errorf("end oldest sessions: %w", err)
	}
	s.cookies.setSession(w, sess.ID, secret)
	return &sess, nil
}

// Elevate adds an authentication to the session of this request and gives the browser a new secret; the sid stays the
// same. It returns ErrOtherUser for an authentication of another user, and idp.ErrNotFound if the session has ended.
//
// If two tabs elevate one session at once, both authentications are kept and both tabs get the first one's new secret:
// a second new secret would sign the browser out if its cookie arrived first.
func (s *Sessions) Elevate(
	ctx context.Context, w http.ResponseWriter, r *http.Request, sess *idp.Session, a idp.Authentication,
) (*idp.Session, error) {
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

// End ends this browser's session, if there is one, and always removes the cookie.
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

// end deletes the session that op has read for this request, if the request has its secret: knowing the sid is not
// enough. A nil op means no session.
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

// endOldest ends the sessions of a user beyond MaxPerUser, but not the new one. sids are sorted by the end of their
// absolute age, which is the order in which they began.
func (s *Sessions) endOldest(ctx context.Context, userID, begun string, sids []string) error {
	var ops []*ephemeral.Op
	for _, sid := range sids[:max(0, len(sids)-MaxPerUser)] {
		if sid != begun { // it may not be last within a millisecond
			ops = append(ops, s.endOps(userID, sid)...)
		}
	}
	return s.store.Do(ctx, ops...)
}

// ClearCookie removes the session cookie from the browser.
func (s *Sessions) ClearCookie(w http.ResponseWriter) { s.cookies.clearSession(w) }

// live reports whether a session is within both limits. The rest must be enough for a TTL.
func (s *Sessions) live(sess idp.Session, now time.Time) bool {
	return now.Sub(sess.SeenAt) < s.idle && sess.ExpiresAt.Sub(now) >= time.Millisecond
}

// ttl returns how long the record may stay in the store if no request follows.
func (s *Sessions) ttl(sess idp.Session, now time.Time) time.Duration {
	return min(s.idle, sess.ExpiresAt.Sub(now))
}
