package account_test

import (
	"strings"
	"testing"
)

// Another browser, an attacker's perhaps, does not choose the language in which the owner is warned.
func TestPeopleAreWrittenToInTheirOwnLanguage(t *testing.T) {
	h := build(t)
	b := h.browser()
	b.languages = "de-AT,de;q=0.9,en;q=0.5"
	b.post("/signup", "email", "ada@example.com", "name", "Ada").is("verify", 200)
	m := h.email()
	if m.Subject != "Ihr Code für Stepward" || !strings.Contains(m.HTML, `<html lang="de" dir="ltr">`) {
		t.Errorf("the code: %q", m.Subject)
	}
	p := b.post("/signup/verify", "token", eightDigits.FindStringSubmatch(m.Text)[1]).is("passkey", 200)
	if !strings.Contains(p.body, "<h1>Erstellen Sie Ihren Passkey</h1>") {
		t.Errorf("the page: %s", p.body)
	}
	b.create(p).member("next")
	u, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if u.Profile.Locale != "de" {
		t.Errorf("the user's language is %q", u.Profile.Locale)
	}
	stranger := h.browser()
	stranger.languages = "ja"
	stranger.post("/recover", "email", "ada@example.com").is("recover", 200)
	if m := h.email(); m.Subject != "Zurück in Ihr Konto bei Stepward" {
		t.Errorf("the warning: %q", m.Subject)
	}
	stranger.post("/recover", "email", "nobody@example.com").is("recover", 200)
	if m := h.email(); m.Subject != "Stepward のアカウントの復旧" {
		t.Errorf("to a stranger: %q", m.Subject)
	}
}
