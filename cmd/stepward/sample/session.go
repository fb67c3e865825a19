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

// A provider on another port of localhost sees our cookies, and we see its: ports do not separate cookies (RFC 6265
// §8.5). So the name must be unique.
const cookieName = "acme-session"

const (
	sessionLife = 8 * time.Hour
	pendingLife = 30 * time.Minute
	maxSessions = 1000
	maxPending  = 8 // pending authorization requests of one browser
)

// A session is the state of one browser. Its parts are replaced, never modified, so a copy can be read without the
// lock.
type session struct {
	user    *user
	pending []pending
	result  json.RawMessage // of the last payout
	begun   time.Time
}

// A user is a signed-in user, with the tokens of the last authorization.
type user struct {
	subject     string
	idToken     string
	accessToken string
	idClaims    json.RawMessage
	userInfo    json.RawMessage // nil: not available
	trace       trace
}

// A pending request is an authorization request without a response yet.
type pending struct {
	state, nonce, verifier string
	attempt                *stepup.Attempt // nil: a plain sign-in
	trace                  trace
	begun                  time.Time
}

// sessions are in memory: a restart signs everyone out, which is fine for a demo.
type sessions struct {
	secure bool
	mu     sync.Mutex
	byKey  map[[32]byte]session
}

func newSessions(secure bool) *sessions {
	return &sessions{secure: secure, byKey: map[[32]byte]session{}}
}

// key returns the hash of the cookie, so that the lookup compares no secrets.
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

// start stores the session under a new cookie and deletes the browser's old one, so that an identifier known before the
// sign-in is worthless.
func (s *sessions) start(w http.ResponseWriter, r *http.Request, begin session) {
	begin.begun = time.Now()
	secret := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, key(r))
	s.makeRoom()
	s.byKey[sha256.Sum256([]byte(secret))] = begin
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: secret, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
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

// expect stores an authorization request, and drops the oldest one if there are too many.
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

// take returns the request with this state and removes it.
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

// keepResult stores the result of a payout.
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
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: -1,
	})
}
