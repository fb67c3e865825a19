package account_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/notices"
	"github.com/stepward/stepward/internal/store/personal"
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

func TestTheFirstUseOfAnApplicationThatAsksForNothingIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, _ := h.user("ada@example.com", 1)
		old, _ := h.user("bob@example.com", 1)
		r := httptest.NewRequestWithContext(t.Context(), "GET", issuer+"/oauth2/authorize", nil)
		client := func(name string) idp.Client { return idp.Client{ID: idp.NewID(), Name: name, FirstParty: true} }
		n, intranet := h.account.Notices(), client("Intranet")
		n.Used(r, u.ID, client("Start")) // they have just created the account on the way there
		h.noEmail()
		time.Sleep(time.Hour)
		n.Used(r, u.ID, intranet)
		if m := h.email(); m.To != u.Email || !strings.Contains(m.Subject, "Intranet") || !strings.Contains(m.Text, "for the first time") {
			t.Errorf("e-mail %q to %s: %s", m.Subject, m.To, m.Text)
		}
		n.Used(r, u.ID, intranet)
		h.noEmail()
		// Another application is another first use. One that got tokens before is none.
		n.Used(r, u.ID, client("Wiki"))
		h.email()
		ev := idp.NewEvent(idp.EventTokensIssued, old.ID, time.Now())
		ev.ClientID = intranet.ID
		if err := h.db.RecordEvents(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		n.Used(r, old.ID, intranet)
		h.noEmail()
		if err := personal.New(h.db).SetNoticesOff(t.Context(), u.ID, []string{notices.NewApplication}); err != nil {
			t.Fatal(err)
		}
		n.Used(r, u.ID, client("Shop"))
		h.noEmail()
	})
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
