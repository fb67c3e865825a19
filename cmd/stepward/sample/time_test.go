// These tests are inside the package: they look at the sessions of the sample and at its words for times.
package sample

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestSessionsAndRequestsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(false)
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		s.start(w, r, session{user: &user{subject: "ada"}})
		r.AddCookie(w.Result().Cookies()[0])
		s.expect(w, r, pending{state: "early"})
		s.expect(w, r, pending{state: "late"})
		time.Sleep(pendingLife)
		if _, ok := s.take(r, "early"); !ok {
			t.Error("the request ended early")
		}
		time.Sleep(time.Nanosecond)
		if _, ok := s.take(r, "late"); ok {
			t.Error("the request did not end")
		}
		time.Sleep(sessionLife - pendingLife - 1)
		if s.current(r).user == nil {
			t.Error("the session ended early")
		}
		time.Sleep(time.Nanosecond)
		if s.current(r).user != nil {
			t.Error("the session did not end")
		}
	})
}

func TestAgesInWords(t *testing.T) {
	now := time.Now()
	for want, age := range map[string]time.Duration{
		"0 seconds ago": -time.Second, "59 seconds ago": 59 * time.Second, "a minute ago": 119 * time.Second,
		"2 minutes ago": 2 * time.Minute, "an hour ago": time.Hour, "25 hours ago": 25 * time.Hour,
	} {
		if got := ago(now.Add(-age), now); got != want {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
}
