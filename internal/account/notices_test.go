package account_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// signedIn is what a sign-in does about e-mails.
func (b *browser) signedIn(u idp.User, k idp.Passkey) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", issuer+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.account.Notices().SignedIn(w, r, u, k)
	b.client.Jar.SetCookies(r.URL, w.Result().Cookies())
}

func TestASignInInANewBrowserIsToldOnce(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	k := keys[0]
	home := h.browser()
	home.signedIn(u, k) // the passkey is new: it had its own e-mail
	h.noEmail()
	k.CreatedAt = time.Now().Add(-time.Hour)
	home.signedIn(u, k)
	h.noEmail()
	b := h.browser()
	b.signedIn(u, k)
	if m := h.email(); m.Subject != "A sign-in in a new browser" || m.To != u.Email {
		t.Errorf("e-mail %q to %s", m.Subject, m.To)
	}
	b.signedIn(u, k)
	h.noEmail()
	// Another user of the same browser is told, and the first one stays known.
	other, theirs := h.user("bob@example.com", 1)
	theirs[0].CreatedAt = k.CreatedAt
	b.signedIn(other, theirs[0])
	if m := h.email(); m.To != other.Email {
		t.Errorf("e-mail to %s", m.To)
	}
	b.signedIn(u, k)
	h.noEmail()
	// A cookie that somebody made up, or planted beside ours, does not count.
	forged := h.browser()
	forged.client.Jar.SetCookies(must(http.NewRequestWithContext(t.Context(), "GET", issuer, nil)).URL, []*http.Cookie{{
		Name: "__Host-stepward-known", Value: "AAAAAAAAAAAAAAAA", Path: "/", Secure: true,
	}})
	forged.signedIn(u, k)
	h.email()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestUsersSwitchOffSomeEmailsAndNotOthers(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	k := keys[0]
	k.CreatedAt = time.Now().Add(-time.Hour)
	b := h.browser()
	b.signIn(u, k.ID)
	b.get("/account").is("account", 200).wants("notices-link")
	b.get("/account/notices").is("account", 200).wants("notice-browser", "notice-application", "notices-save")
	if p := b.post("/account/notices", "application", "yes"); p.url.Query().Get("class") != "account" {
		t.Errorf("no step-up: %s", p.url)
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", issuer+"/consent", nil)
	b.account.Notices().Allowed(r, u.ID, "Acme Bank")
	if m := h.email(); m.Subject != "\u2068Acme Bank\u2069 has access to your account" && m.Subject != "Acme Bank has access to your account" {
		t.Errorf("e-mail %q", m.Subject)
	}
	b.signIn(u, k.ID, "account")
	b.post("/account/notices").is("account", 200) // both boxes empty
	b.account.Notices().Allowed(r, u.ID, "Acme Bank")
	h.browser().signedIn(u, k)
	h.noEmail()
	b.post("/account/notices", "browser", "yes").is("account", 200)
	b.account.Notices().Allowed(r, u.ID, "Acme Bank")
	h.noEmail()
	h.browser().signedIn(u, k)
	h.email()
	if kinds := h.kinds(u); kinds[len(kinds)-1] != idp.EventNoticesChanged {
		t.Errorf("events %v", kinds)
	}
}
