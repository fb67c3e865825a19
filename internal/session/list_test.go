package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

func TestListShowsTheUsersSessionsNewestFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		var want []string
		for range 3 {
			want = append([]string{browser{}.start(t, s, "u").ID}, want...)
			time.Sleep(time.Second)
		}
		browser{}.start(t, s, "other")
		if diff := cmp.Diff(want, list(t, s, "u")); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		if got := list(t, s, "nobody"); got != nil {
			t.Errorf("a user without sessions has %v", got)
		}
	})
}

func TestRevokeEndsOneSessionOfThatUserOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b, kept := browser{}, browser{}
		sess := b.start(t, s, "u")
		keptID := kept.start(t, s, "u").ID
		for _, user := range []string{"other", ""} {
			if err := s.Revoke(t.Context(), user, sess.ID); !errors.Is(err, idp.ErrNotFound) || b.current(t, s) == nil {
				t.Errorf("user %q revoked another user's session: %v", user, err)
			}
		}
		if err := s.Revoke(t.Context(), "u", sess.ID); err != nil {
			t.Fatal(err)
		}
		if b.current(t, s) != nil || kept.current(t, s) == nil {
			t.Error("the wrong session was revoked")
		}
		if diff := cmp.Diff([]string{keptID}, list(t, s, "u")); diff != "" {
			t.Errorf("sessions left (-want +got):\n%s", diff)
		}
		if err := s.Revoke(t.Context(), "u", sess.ID); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
	})
}

func TestRevokeAllKeepsOneAndReturnsTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		silent, a, b, other := browser{}, browser{}, browser{}, browser{}
		silent.start(t, s, "u")
		time.Sleep(time.Hour)
		first := a.start(t, s, "u")
		time.Sleep(time.Second)
		second := b.start(t, s, "u")
		other.start(t, s, "other")

		ended, err := s.RevokeAll(t.Context(), "u", second.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{first.ID}, ended); diff != "" { // the silent one had ended by itself
			t.Errorf("ended (-want +got):\n%s", diff)
		}
		if a.current(t, s) != nil || b.current(t, s) == nil || other.current(t, s) == nil {
			t.Error("the wrong sessions were revoked")
		}
		ended, err = s.RevokeAll(t.Context(), "u", "")
		if diff := cmp.Diff([]string{second.ID}, ended); err != nil || diff != "" {
			t.Errorf("ended, %v (-want +got):\n%s", err, diff)
		}
		if list(t, s, "u") != nil || other.current(t, s) == nil {
			t.Error("the wrong sessions were revoked")
		}
	})
}
