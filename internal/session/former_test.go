package session_test

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/web"
)

// stepUpUnheard elevates a session and loses the response. It returns the browser as it is, and as it should be.
func stepUpUnheard(t *testing.T, s *session.Sessions) (still, told browser) {
	t.Helper()
	still = browser{}
	w := httptest.NewRecorder()
	s.EnsureBrowser(w, still.request())
	still.receive(w)
	still.start(t, s, "u")
	told = browser(maps.Clone(map[string]string(still)))
	told.elevate(t, s, still.current(t, s))
	return still, told
}

func TestALostStepUpResponseDoesNotSignOut(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		still, told := stepUpUnheard(t, s)
		signedOut := 2
		defer func() { t.Logf("counted: %d of 2 requests with the former cookie found no session", signedOut) }()
		for range 2 { // however often it asks, it is told the same
			time.Sleep(4 * time.Second)
			_, err := s.Current(t.Context(), still.request())
			again, ok := errors.AsType[*web.Again](err)
			if !ok {
				t.Fatalf("the browser is told %v", err)
			}
			signedOut--
			if again.Cookie.Name != cookieName || again.Cookie.Value != told[cookieName] || !again.Cookie.HttpOnly || !again.Cookie.Secure {
				t.Errorf("the cookie is %v", again.Cookie)
			}
		}
		if sess := told.current(t, s); sess == nil || len(sess.Authentications) != 2 {
			t.Errorf("with it the browser is in %+v", sess)
		}
	})
}

func TestAFormerSecretGivesNoAccess(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		refused := func(what string, r *http.Request) {
			t.Helper()
			if sess, err := s.Current(t.Context(), r); !errors.Is(err, idp.ErrNotFound) {
				t.Errorf("%s: %v %v", what, sess, err)
			}
		}
		still, told := stepUpUnheard(t, s)
		form := still.request()
		form.Method = http.MethodPost
		refused("a form", form)

		w, elsewhere := httptest.NewRecorder(), browser{cookieName: still[cookieName]}
		refused("a browser without its own cookie", elsewhere.request())
		s.EnsureBrowser(w, elsewhere.request())
		elsewhere.receive(w)
		refused("another browser", elsewhere.request())

		time.Sleep(10 * time.Second)
		refused("ten seconds later", still.request())

		time.Sleep(time.Minute)
		sess := told.current(t, s)
		if sess == nil || bytes.Contains(stored(t, store, sess.ID), []byte(`"former"`)) {
			t.Errorf("the record still knows it: %+v", sess)
		}

		still, told = stepUpUnheard(t, s)
		told.elevate(t, s, told.current(t, s))
		refused("two step-ups later", still.request())
	})
}
