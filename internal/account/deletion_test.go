package account_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// leaving is what a sign-in with a passkey of a user does whose account is to be deleted. It returns the next page.
func (b *browser) leaving(u idp.User, passkeyID string) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", issuer+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	next, err := b.account.Deletions().Offer(w, r, u, passkeyID, "I1")
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(r.URL, w.Result().Cookies())
	return next
}

// job runs the job that erases accounts.
func (h *house) job() {
	h.t.Helper()
	if err := h.account.Deletions().Run(h.t.Context(), time.Now()); err != nil {
		h.t.Fatal(err)
	}
}

func TestUsersDeleteTheirAccountAndHaveAWeekToChangeTheirMind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, keys := h.user("ada@example.com", 1)
		b, elsewhere := h.browser(), h.browser()
		b.signIn(u, keys[0].ID)
		elsewhere.signIn(u, keys[0].ID)
		if p := b.get("/account/delete"); p.url.Query().Get("class") != "account" {
			t.Fatalf("no step-up: %s", p.url)
		}
		sess := b.signIn(u, keys[0].ID, "account")
		family := h.family(u, sess.ID, true)
		b.get("/account/data").is("account", 200).wants("delete-link")
		b.get("/account/delete").is("account", 200).wants("delete-sure", "confirm", "cancel", "data-link")
		b.post("/account/delete").is("account", 200) // without the box
		h.noEmail()
		if p := b.post("/account/delete", "sure", "yes").is("account", 200); p.url.Path != "/account/delete/asked" {
			t.Errorf("at %s", p.url)
		}
		if m := h.email(); m.Subject != "Your account will be deleted" || m.To != u.Email {
			t.Errorf("e-mail %q to %s", m.Subject, m.To)
		}
		h.checkFamily(family, false)
		for _, gone := range []*browser{b, elsewhere} {
			if p := gone.get("/account"); p.url.Path != "/login" {
				t.Errorf("still signed in: %s", p.url)
			}
		}
		// A sign-in leads to the page that keeps the account, in this browser and for ten minutes, and to nothing else.
		stored, err := h.db.UserByID(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if next := b.leaving(stored, keys[0].ID); next != "/account/keep" {
			t.Fatalf("next %q", next)
		}
		b.get("/account/keep").is("account", 200).wants("deletion-at", "deletion-keep", "deletion-leave")
		elsewhere.get("/account/keep").is("error", 410)
		elsewhere.post("/account/keep").is("error", 410)
		if p := b.get("/account"); p.url.Path != "/login" {
			t.Errorf("signed in: %s", p.url)
		}
		time.Sleep(10 * time.Minute)
		b.post("/account/keep").is("error", 410)
		b.leaving(stored, keys[0].ID)
		b.post("/account/keep/leave").is("logged-out", 200)
		b.post("/account/keep").is("error", 410)

		b.leaving(stored, keys[0].ID)
		if p := b.post("/account/keep"); p.url.Path != "/login" || p.url.Query().Get("i") != "I1" {
			t.Errorf("kept, and then at %s", p.url)
		}
		b.post("/account/keep").is("error", 410)
		if m := h.email(); m.Subject != "Your account stays" {
			t.Errorf("e-mail %q", m.Subject)
		}
		if next := b.leaving(stored, keys[0].ID); next != "" {
			t.Errorf("offered again: %q", next)
		}
		b.signIn(u, keys[0].ID)
		b.get("/account").is("account", 200)
		time.Sleep(30 * 24 * time.Hour)
		h.job()
		h.noEmail()
		if kinds := h.kinds(u); !slices.Contains(kinds, idp.EventDeletionAsked) || !slices.Contains(kinds, idp.EventDeletionStopped) {
			t.Errorf("events %v", kinds)
		}
	})
}

func TestAnAccountIsErasedAfterAWeekAndAReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b, u, _ := h.signedIn()
		b.addAddress(u, "second@example.org")
		b.post("/account/delete", "sure", "yes").is("account", 200)
		subjects := func(n int, want string) {
			t.Helper()
			for range n {
				if m := h.email(); m.Subject != want {
					t.Errorf("e-mail %q to %s", m.Subject, m.To)
				}
			}
			h.noEmail()
		}
		subjects(2, "Your account will be deleted")
		time.Sleep(directory.DeletionWait - directory.DeletionReminder - time.Minute)
		h.job()
		h.noEmail()
		time.Sleep(time.Minute)
		h.job()
		h.job()
		subjects(2, "One day left to keep your account")
		time.Sleep(directory.DeletionReminder - time.Minute)
		h.job()
		h.noEmail()
		time.Sleep(time.Minute)
		h.job()
		subjects(2, "Your account was deleted")
		if _, err := h.db.UserByID(t.Context(), u.ID); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("user: %v", err)
		}
		if left := h.kinds(u); len(left) != 0 {
			t.Errorf("events still name the user: %v", left)
		}
		if sessions, err := h.sessions.List(t.Context(), u.ID); err != nil || len(sessions) != 0 {
			t.Errorf("sessions %v (%v)", sessions, err)
		}
		h.user("ada@example.com", 1) // the address is free
	})
}

func TestAnAccountInRecoveryAndThatOfTheLastOwnerStay(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	h.change(u, func(u *idp.User) { u.Role = directory.RoleOwner })
	b := h.browser()
	b.signIn(u, keys[0].ID, "account")
	b.post("/account/delete", "sure", "yes").is("error", 409)

	l := h.lockOut("bob@example.com")
	k := l.recoverAccount(l.codes[0])
	owner := h.browser()
	owner.signIn(l.user, k.ID, "account")
	owner.post("/account/delete", "sure", "yes").is("error", 403)
}
