package account_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

// window stores a family of tokens with this scope that the client acme got from the session's authentication.
func (h *house) window(u idp.User, sess *idp.Session, scope string) idp.Family {
	h.t.Helper()
	if _, err := h.db.Client(h.t.Context(), "acme"); err != nil {
		if err := h.db.PutClient(h.t.Context(), idp.Client{
			ID: "acme", Name: "Acme", AuthMethod: idp.AuthMethodNone,
		}); err != nil {
			h.t.Fatal(err)
		}
	}
	a := sess.Authentications[0]
	f, _, err := h.db.CreateFamily(h.t.Context(), idp.Family{
		ID: idp.NewID(), ClientID: "acme", UserID: u.ID, SessionID: sess.ID, Scopes: []string{scope},
		CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		Assurance: idp.Assurance{AuthenticationID: a.ID, AuthTime: a.AuthTime(), ActionClasses: a.ActionClasses},
	}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// openClasses returns the action classes of a family as the provider reads them.
func (h *house) openClasses(f idp.Family) string {
	h.t.Helper()
	got, _, err := h.db.FamilyWithUser(h.t.Context(), f.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Join(got.Assurance.ActionClasses, " ")
}

func TestOpenWindowsAreShownAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, keys := h.user("ada@example.com", 1)
		if err := h.db.PutClient(t.Context(), idp.Client{ID: "acme", Name: "Acme Bank"}); err != nil {
			t.Fatal(err)
		}
		here, there := h.browser(), h.browser()
		mine := here.signIn(u, keys[0].ID)
		if here.get("/account/sessions").is("account", 200).has("window") {
			t.Error("a window without a confirmation")
		}
		theirs := there.signIn(u, keys[0].ID, "payments", "account")
		family, plain := h.window(u, theirs, "pay"), h.window(u, theirs, "email")
		p := here.get("/account/sessions").wants("window", "window-close")
		for _, want := range []string{
			"Make a payment", "Change how you sign in", "Acme Bank", "ends by itself in 5 minutes",
		} {
			if !strings.Contains(p.body, want) {
				t.Errorf("no %q on the page\n%s", want, p.content())
			}
		}
		if !strings.Contains(p.body, `stroke-dasharray="100 100"`) { // relative to the window, not to an hour
			t.Errorf("the ring of a new window is not full\n%s", p.body)
		}
		if strings.Count(p.body, "Acme Bank") != 1 {
			t.Error("the application is listed at an action it has no scope for")
		}

		authentication := theirs.Authentications[0].ID
		p = here.post("/account/windows/close", "authentication", authentication, "class", "payments").is("account", 200)
		if strings.Contains(p.body, "Make a payment") || !strings.Contains(p.body, "Change how you sign in") {
			t.Errorf("the page after closing:\n%s", p.content())
		}
		if h.openClasses(family) != "account" || h.openClasses(plain) != "account" {
			t.Errorf("action classes of the family: %q", h.openClasses(family))
		}
		list, err := h.sessions.List(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if got := s.Authentications[0].OpenClasses(); s.ID == theirs.ID && !slices.Equal(got, []string{"account"}) ||
				s.ID == mine.ID && got != nil {
				t.Errorf("session: %v", got)
			}
		}
		if kinds := h.kinds(u); !slices.Contains(kinds, idp.EventWindowClosed) {
			t.Errorf("events %v", kinds)
		}
		if !strings.Contains(here.get("/account/activity").body, "You withdrew") {
			t.Error("the activity does not show it")
		}
		here.post("/account/windows/close", "authentication", authentication, "class", "payments").is("error", 404)
		here.post("/account/windows/close", "authentication", authentication, "class", "unknown").is("error", 404)
		here.post("/account/windows/close", "authentication", "unknown", "class", "account").is("error", 404)
		here.post("/account/windows/close").is("error", 404)

		again := there.signIn(u, keys[0].ID, "payments") // ends the former session
		family = h.window(u, again, "pay")
		if h.openClasses(family) != "payments" {
			t.Error("a new confirmation does not open the window again")
		}
		if err := h.sessions.Revoke(t.Context(), u.ID, again.ID); err != nil {
			t.Fatal(err)
		}
		p = here.get("/account/sessions")
		if !strings.Contains(p.body, "in a session that has ended") {
			t.Errorf("the window of a family whose session has ended is missing\n%s", p.content())
		}
		time.Sleep(5 * time.Minute)
		if here.get("/account/sessions").has("window") {
			t.Error("the window is shown after its end")
		}
	})
}

func TestAnotherUsersWindowCannotBeClosed(t *testing.T) {
	h := build(t)
	ada, keys := h.user("ada@example.com", 1)
	eve, others := h.user("eve@example.com", 1)
	sess := h.browser().signIn(ada, keys[0].ID, "payments")
	family := h.window(ada, sess, "pay")
	e := h.browser()
	e.signIn(eve, others[0].ID)
	e.post("/account/windows/close", "authentication", sess.Authentications[0].ID, "class", "payments").is("error", 404)
	e.site = "cross-site"
	p := e.post("/account/windows/close", "authentication", sess.Authentications[0].ID, "class", "payments")
	if p.status != 403 {
		t.Errorf("from another site: %d", p.status)
	}
	if err := h.sessions.CloseWindow(t.Context(),
		session.Window{UserID: eve.ID, Session: sess.ID, Authentication: sess.Authentications[0].ID, Class: "payments"}); err != nil {
		t.Error(err)
	}
	list, err := h.sessions.List(t.Context(), ada.ID)
	if err != nil || len(list[0].Authentications[0].OpenClasses()) != 1 || h.openClasses(family) != "payments" {
		t.Errorf("closed by another user: %v %v %q", err, list, h.openClasses(family))
	}
}
