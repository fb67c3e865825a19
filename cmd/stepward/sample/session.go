package sample

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stepward/stepward/pkg/stepup"
)

// The provider on another port of localhost sees our cookies and we see its: ports do not separate them (RFC 6265 §8.5).
// Hence a name that nobody else uses.
const cookieName = "acme-session"

const (
	sessionLife = 8 * time.Hour
	pendingLife = 30 * time.Minute
	maxSessions = 1000
	maxPending  = 8 // authorization requests under way in one browser
)

// A session is what the application keeps for one browser. Its parts are replaced, never changed, so a copy is safe to
// read without the lock.
type session struct {
	user    *user
	pending []pending
	result  json.RawMessage // of the last payout
	begun   time.Time
}

// A user is somebody who signed in, with the tokens of the last authorization.
type user struct {
	subject     string
	idToken     string
	accessToken string
	idClaims    json.RawMessage
	userInfo    json.RawMessage // nil: the provider did not say
	trace       trace
}

// A pending authorization request waits for its response.
type pending struct {
	state, nonce, verifier string
	attempt                *stepup.Attempt // nil: a plain sign-in
	trace                  trace
	begun                  time.Time
}

// sessions live in memory: a restart signs everybody out, which is right for a demo.
type sessions struct {
	secure bool
	mu     sync.Mutex
	byKey  map[[32]byte]session
}

func newSessions(secure bool) *sessions {
	return &sessions{secure: secure, byKey: map[[32]byte]session{}}
}

// key is the hash of the cookie: finding it takes no comparison of secrets.
func key(r *http.Request) [32]byte {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return [32]byte{}
	}
	return sha256.Sum256([]byte(c.Value))
}

func (s *sessions) current(r *http.Request) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live(key(r))
}

func (s *sessions) live(k [32]byte) session {
	found := s.byKey[k]
	if time.Since(found.begun) > sessionLife {
		return session{}
	}
	return found
}

// start puts the session under a new cookie and forgets the one this browser had: an identifier that was known before
// the sign-in is worth nothing after it.
func (s *sessions) start(w http.ResponseWriter, r *http.Request, begin session) {
	begin.begun = time.Now()
	secret := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, key(r))
	s.makeRoom()
	s.byKey[sha256.Sum256([]byte(secret))] = begin
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: secret, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode})
}

func (s *sessions) makeRoom() {
	var oldest [32]byte
	for k, v := range s.byKey {
		if time.Since(v.begun) > sessionLife {
			delete(s.byKey, k)
		} else if o, ok := s.byKey[oldest]; !ok || v.begun.Before(o.begun) {
			oldest = k
		}
	}
	if len(s.byKey) >= maxSessions {
		delete(s.byKey, oldest)
	}
}

// expect remembers an authorization request; the oldest goes if there are too many.
func (s *sessions) expect(w http.ResponseWriter, r *http.Request, p pending) {
	p.begun = time.Now()
	s.mu.Lock()
	k := key(r)
	found := s.live(k)
	if !found.begun.IsZero() {
		found.pending = append(slices.Clone(found.pending), p)
		found.pending = found.pending[max(0, len(found.pending)-maxPending):]
		s.byKey[k] = found
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.start(w, r, session{pending: []pending{p}})
}

// take returns the request with this state, once.
func (s *sessions) take(r *http.Request, state string) (pending, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(r)
	found := s.live(k)
	i := slices.IndexFunc(found.pending, func(p pending) bool { return p.state == state })
	if i < 0 {
		return pending{}, false
	}
	p := found.pending[i]
	found.pending = slices.Delete(slices.Clone(found.pending), i, i+1)
	s.byKey[k] = found
	return p, time.Since(p.begun) <= pendingLife
}

// keepResult remembers the answer to a payout.
func (s *sessions) keepResult(r *http.Request, result json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.live(key(r)); found.user != nil {
		found.result = result
		s.byKey[key(r)] = found
	}
}

func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, key(r))
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}
