package login

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

var anyTag = regexp.MustCompile(`<[^>]*>`)

// A page that knows the user, and whose application asks for no language.
func TestAPageUsesTheLanguageOfTheProfile(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.headers.Set("Accept-Language", "de")
	alice := b.enrol("alice@example.com")
	h.must(h.cfg.DB.UpdateProfile(t.Context(), alice.ID, alice.Name, idp.Profile{Locale: "fr-CA"}, time.Now()))
	page := b.show(b.begin())
	if !strings.Contains(page.body, `<html lang="de"`) { // nobody is signed in
		t.Errorf("sign-in: %.100s", page.body)
	}
	b.signIn()
	h.request.Prompt = []string{"select_account"}
	if page := b.show(b.begin()); !strings.Contains(page.body, `<html lang="fr"`) {
		t.Errorf("signed in: %.100s", page.body)
	}
	h.request.UILocales = []string{"ja"}
	if page := b.show(b.begin()); !strings.Contains(page.body, `<html lang="ja"`) {
		t.Errorf("an application asks: %.100s", page.body)
	}
}

// Every screen of an interaction, in every language that an application may ask for.
func TestEveryScreenSpeaksTheLanguageOfTheRequest(t *testing.T) {
	h := newHouse(t)
	for _, l := range words.Languages() {
		h.request.UILocales = []string{"tlh", l.Tag}
		h.request.Prompt, h.need = nil, idp.Requirement{}
		h.request.Scopes = []string{"openid", "email"}
		b := h.browser()
		alice := b.enrol("alice@" + l.Tag + ".example.com")
		check := func(screen string, a answer, texts ...words.Text) {
			t.Helper()
			h.expect(a, http.StatusOK, screen)
			said := html.UnescapeString(anyTag.ReplaceAllString(a.body, ""))
			if !strings.Contains(a.body, `<html lang="`+l.Tag+`" dir="`+l.Dir+`"`) {
				t.Errorf("%s in %s: %.100s", screen, l.Tag, a.body)
			}
			for _, text := range texts {
				if want := html.UnescapeString(anyTag.ReplaceAllString(string(l.HTML(text)), "")); !strings.Contains(said, want) {
					t.Errorf("%s in %s: no %q in\n%s", screen, l.Tag, want, said)
				}
			}
		}
		const app = "Acme Bank"
		i := b.begin()
		page := b.show(i)
		check("login", page, words.T("signin.to", "app", app), words.T("signin.gesture"), words.T("cancel.to", "app", app))
		h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
		check("consent", b.show(i), words.T("consent.title", "app", app), words.T("scope.email"), words.T("layout.notyou"))
		b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow")
		h.need = idp.Requirement{ActionClasses: []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]}}
		check("stepup", b.show(b.begin()), words.T("stepup.title"), words.T("stepup.window", "time", h.need.ActionClasses[0].Window),
			words.T("stepup.actions", "app", app, "actions", words.And("make a payment")))
		h.need, h.request.Prompt = idp.Requirement{}, []string{"select_account"}
		check("login", b.show(b.begin()), words.T("select.which.app", "app", app))
	}
}
