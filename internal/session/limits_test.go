package session_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

func TestASessionEndsAfterAnIdleHour(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		for range 5 {
			time.Sleep(time.Hour - time.Millisecond)
			if b.current(t, s) == nil {
				t.Fatal("ended although it was seen within the hour")
			}
		}
		time.Sleep(time.Hour)
		if stored(t, store, sess.ID) != nil {
			t.Error("the store still holds the record")
		}
		if b.current(t, s) != nil || list(t, s, "u") != nil {
			t.Error("alive after an hour of silence")
		}
	})
}

func TestASessionEndsAfterTwelveHoursHoweverBusy(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		for range 12*6 - 1 {
			time.Sleep(10 * time.Minute)
			if sess = b.current(t, s); sess == nil {
				t.Fatal("ended before its time")
			}
		}
		sess = b.elevate(t, s, sess) // a step-up does not make it live longer
		time.Sleep(10*time.Minute - time.Millisecond)
		if b.current(t, s) == nil {
			t.Error("ended before its time")
		}
		time.Sleep(time.Millisecond)
		if stored(t, store, sess.ID) != nil {
			t.Error("the store still holds the record")
		}
		if b.current(t, s) != nil {
			t.Error("alive after twelve hours")
		}
	})
}

// The TTL in the store enforces the limits (above), and so does the record: here the store keeps it for days.
func TestTheRecordEnforcesBothLimitsByItself(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		for name, age := range map[string]func(*idp.Session){
			"neither": func(*idp.Session) {},
			"idle":    func(sess *idp.Session) { sess.SeenAt = sess.SeenAt.Add(-time.Hour) },
			"absolute": func(sess *idp.Session) {
				sess.ExpiresAt = time.Now()
			},
		} {
			b := browser{}
			sess := b.start(t, s, name)
			age(sess)
			value, err := json.Marshal(sess)
			if err != nil {
				t.Fatal(err)
			}
			op := &ephemeral.Op{Verb: ephemeral.Put, Key: "session:" + sess.ID, Value: value, TTL: 48 * time.Hour}
			if err := store.Do(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			alive := name == "neither"
			if (list(t, s, name) != nil) != alive {
				t.Errorf("%s: listed is %v", name, !alive)
			}
			w := httptest.NewRecorder()
			if _, err := s.Elevate(t.Context(), w, b.request(), sess, authentication(name)); (err == nil) != alive {
				t.Errorf("%s: elevate: %v", name, err)
			}
			b.receive(w)
			if (b.current(t, s) != nil) != alive {
				t.Errorf("%s: current is %v", name, !alive)
			}
		}
	})
}

func TestIdleTimeIsRecordedForEveryAuthentication(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		b.start(t, s, "u")
		check := func(longest time.Duration) {
			t.Helper()
			sess := b.current(t, s)
			if sess == nil || !sess.SeenAt.Equal(time.Now()) || sess.Authentications[0].LongestIdle != longest {
				t.Errorf("session is %+v, want a longest silence of %v", sess, longest)
			}
		}
		time.Sleep(20 * time.Minute)
		check(20 * time.Minute)
		time.Sleep(5 * time.Minute)
		check(20 * time.Minute) // also when it was shorter since
		time.Sleep(21 * time.Minute)
		check(21 * time.Minute)
		sess := b.elevate(t, s, b.current(t, s))
		if n := len(sess.Authentications); n != 2 || sess.Authentications[1].LongestIdle != 0 {
			t.Errorf("the new authentication has seen silence: %+v", sess.Authentications)
		}
	})
}

func TestASessionIsWrittenAtMostOnceAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		b.start(t, s, "u")
		trips := store.RoundTrips()
		for range 59 {
			time.Sleep(time.Second)
			if sess := b.current(t, s); !sess.SeenAt.Equal(time.Now()) {
				t.Fatalf("seen at %v, although it is %v", sess.SeenAt, time.Now())
			}
		}
		if n := store.RoundTrips() - trips; n != 59 {
			t.Errorf("59 requests took %d round trips", n)
		}
		time.Sleep(time.Second)
		b.current(t, s)
		if n := store.RoundTrips() - trips; n != 61 {
			t.Errorf("the one after a minute took %d", n-59)
		}
	})
}

func TestConfiguredLimitsCount(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, _ *session.Sessions) {
		s := session.New(session.Config{Store: store, Idle: time.Minute, Absolute: 3 * time.Minute})
		b := browser{}
		b.start(t, s, "u")
		for range 5 {
			time.Sleep(30 * time.Second) // short limits are kept by writing more often
			if b.current(t, s) == nil {
				t.Fatal("ended before its time")
			}
		}
		time.Sleep(30 * time.Second)
		if b.current(t, s) != nil {
			t.Error("alive after three minutes")
		}
		b.start(t, s, "u")
		time.Sleep(time.Minute)
		if b.current(t, s) != nil {
			t.Error("alive after a minute of silence")
		}
	})
}

func TestAUserHasTheNewestFiftySessions(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		other := browser{}
		other.start(t, s, "other")
		var browsers []browser
		for range session.MaxPerUser + 3 {
			b := browser{}
			b.start(t, s, "u")
			browsers = append(browsers, b)
			time.Sleep(time.Millisecond)
		}
		for i, b := range browsers {
			if alive := b.current(t, s) != nil; alive != (i >= 3) {
				t.Errorf("session %d: alive %v", i, alive)
			}
		}
		if n := len(list(t, s, "u")); n != session.MaxPerUser {
			t.Errorf("%d are listed", n)
		}
		if other.current(t, s) == nil {
			t.Error("another user's session ended")
		}
	})
}
