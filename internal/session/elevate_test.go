package session_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

func TestElevateKeepsTheSIDAndChangesTheSecret(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		before := browser{cookieName: b[cookieName]}
		time.Sleep(time.Minute)
		elevated := b.elevate(t, s, before.current(t, s))
		if elevated.ID != sess.ID || elevated.SecretHash == sess.SecretHash || !strings.HasPrefix(b[cookieName], sess.ID+".") {
			t.Errorf("session was %+v and is %+v", sess, elevated)
		}
		if before.current(t, s) != nil {
			t.Error("the secret from before still works")
		}
		if diff := cmp.Diff(elevated, b.current(t, s), asStored); diff != "" {
			t.Errorf("current is not what elevate returned (-want +got):\n%s", diff)
		}
		if len(elevated.Authentications) != 2 {
			t.Errorf("it holds %d authentications", len(elevated.Authentications))
		}
	})
}

func TestElevateRefusesAnotherUsersAuthentication(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		before := stored(t, store, sess.ID)
		forged := *sess
		forged.UserID = "other" // even if the caller mixes sessions up, the record knows whose it is
		for _, given := range []*idp.Session{sess, &forged} {
			w := httptest.NewRecorder()
			_, err := s.Elevate(t.Context(), w, b.request(), given, authentication("other"))
			if !errors.Is(err, session.ErrOtherUser) || len(w.Result().Cookies()) != 0 {
				t.Errorf("elevate: %v, cookies %v", err, w.Result().Cookies())
			}
		}
		if diff := cmp.Diff(before, stored(t, store, sess.ID)); diff != "" {
			t.Errorf("the record changed (-want +got):\n%s", diff)
		}
	})
}

func TestElevateDoesNotBringBackARevokedSession(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		if err := s.Revoke(t.Context(), "u", sess.ID); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		_, err := s.Elevate(t.Context(), w, b.request(), sess, authentication("u"))
		if !errors.Is(err, idp.ErrNotFound) || len(w.Result().Cookies()) != 0 || stored(t, store, sess.ID) != nil {
			t.Errorf("elevate: %v, cookies %v", err, w.Result().Cookies())
		}
	})
}

func TestTwoTabsMayElevateAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		for _, firstAnswerFirst := range []bool{true, false} {
			b := browser{}
			b.start(t, s, "u")
			r := b.request() // both tabs ask before either is answered
			seen := [2]*idp.Session{b.current(t, s), b.current(t, s)}
			answers := [2]*httptest.ResponseRecorder{httptest.NewRecorder(), httptest.NewRecorder()}
			for i := range 2 {
				if _, err := s.Elevate(t.Context(), answers[i], r, seen[i], authentication("u")); err != nil {
					t.Fatal(err)
				}
			}
			if firstAnswerFirst {
				b.receive(answers[0])
				b.receive(answers[1])
			} else {
				b.receive(answers[1])
				b.receive(answers[0])
			}
			if sess := b.current(t, s); sess == nil || len(sess.Authentications) != 3 {
				t.Errorf("first answer first %v: the browser is in %+v", firstAnswerFirst, sess)
			}
		}
	})
}

// read is the first half of a slow request: it has read the record, but not touched it yet.
func read(t *testing.T, store ephemeral.Store, s *session.Sessions, b browser) (finish func() (*idp.Session, error)) {
	t.Helper()
	r := b.request()
	op := s.CurrentOp(r)
	if err := store.Do(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	return func() (*idp.Session, error) { return s.FromOp(t.Context(), r, op) }
}

func TestATouchNeverBringsBackARevokedSession(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		time.Sleep(2 * time.Minute)
		finish := read(t, store, s, b)
		if err := s.Revoke(t.Context(), "u", sess.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := finish(); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("the slow request is in %+v, %v", got, err)
		}
		if stored(t, store, sess.ID) != nil || b.current(t, s) != nil {
			t.Error("the touch has brought the session back")
		}
	})
}

func TestATouchNeverLosesAConcurrentElevate(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		time.Sleep(2 * time.Minute)
		finish := read(t, store, s, b)
		elevated := b.elevate(t, s, sess)
		if got, err := finish(); !errors.Is(err, idp.ErrNotFound) { // its secret is the one from before
			t.Errorf("the slow request is in %+v, %v", got, err)
		}
		if diff := cmp.Diff(elevated, b.current(t, s), asStored); diff != "" {
			t.Errorf("the touch has changed the elevated session (-want +got):\n%s", diff)
		}
	})
}

func TestConcurrentTouchesAreBothKept(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		b.start(t, s, "u")
		time.Sleep(2 * time.Minute)
		slow := read(t, store, s, b)
		if b.current(t, s) == nil {
			t.Error("the fast request is in no session")
		}
		time.Sleep(2 * time.Minute) // so that the slow one, which has lost, has to touch again
		sess, err := slow()
		if err != nil || sess.Authentications[0].LongestIdle != 2*time.Minute || !sess.SeenAt.Equal(time.Now()) {
			t.Errorf("the slow request is in %+v, %v", sess, err)
		}
	})
}
