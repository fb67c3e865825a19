package session_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

func TestAClosedWindowStaysClosedThroughAnElevate(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		b.start(t, s, "u")
		a := authentication("u")
		a.ID, a.ActionClasses = "stepped-up", []string{"payments", "limits"}
		read, err := s.Elevate(t.Context(), httptest.NewRecorder(), b.request(), b.current(t, s), a)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second time changes nothing
			if err := s.CloseWindow(t.Context(), session.Window{UserID: "u", Session: read.ID, Authentication: "stepped-up", Class: "payments"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Elevate(t.Context(), httptest.NewRecorder(), b.request(), read, authentication("u")); err != nil { // by who read it before
			t.Fatal(err)
		}
		list, err := s.List(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list[0].Authentications, func(h idp.HeldAuthentication) bool { return h.ID == "stepped-up" })
		if got := list[0].Authentications[i].OpenClasses(); !slices.Equal(got, []string{"limits"}) || len(list[0].Authentications) != 3 {
			t.Errorf("open: %v", got)
		}
		if err := s.CloseWindow(t.Context(), session.Window{UserID: "u", Session: "no such session", Authentication: "stepped-up", Class: "limits"}); err != nil {
			t.Errorf("the session has ended: %v", err)
		}
	})
}
