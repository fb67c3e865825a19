package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/words"
)

// The pages of a sign-in as an application asks for them in German and in Arabic, then by the switch, without scripts.
func TestThePagesSpeakTheLanguageOfTheRequest(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada@example.com")
	said := func(lang, dir, want string) {
		t.Helper()
		if got := l.eval(`document.documentElement.lang + " " + document.dir`); got != lang+" "+dir {
			t.Errorf("language and direction: %s", got)
		}
		if text := l.eval(`document.body.innerText`); !strings.Contains(text, want) {
			t.Errorf("%s: no %q in %s", lang, want, text)
		}
	}
	for tag, c := range map[string]struct{ dir, signIn, consent, stepUp, wrong string }{
		"de": {"ltr", "Mit Passkey anmelden", "Nicht erlauben", "Bestätigen Sie, dass Sie es sind", "Dieser Anmeldelink funktioniert nicht"},
		"ar": {"rtl", "تسجيل الدخول بمفتاح مرور", "عدم السماح", "أكّد أنك أنت", "رابط تسجيل الدخول هذا لا يعمل"},
	} {
		l.open(l.request("ui_locales", tag, "prompt", "consent"))
		said(tag, c.dir, c.consent)
		l.look("consent-"+tag, "consent")
		l.open(l.request("ui_locales", "tlh "+tag, "max_age", "0"))
		said(tag, c.dir, c.stepUp)
		l.look("stepup-"+tag, "stepup")
		l.open(l.request("ui_locales", tag, "prompt", "select_account"))
		l.look("select-"+tag, "login")
		l.touch(false) // else autofill signs in
		l.follow("account-switch")
		said(tag, c.dir, c.signIn)
		l.look("login-"+tag, "login")
		l.touch(true)
		l.open(issuer + "/oauth2/authorize?" + url.Values{"client_id": {"nobody"}, "ui_locales": {tag}}.Encode())
		said(tag, c.dir, c.wrong)
		l.look("error-"+tag, "error")
	}
	l.scripts(false)
	l.open(l.request("ui_locales", "ar", "max_age", "0"))
	l.do(chromedp.Click(hook("language")))
	l.do(chromedp.Click(chromedp.CSS(`[name=to][value=de]`)))
	l.scripts(true)
	l.wait(`document.documentElement.lang === "de"`, "the language of the switch")
	said("de", "ltr", "Bestätigen Sie, dass Sie es sind")
}

func TestFaultsInTheConsoleAreInItsLanguage(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleOwner)
	group := url.Values{"name": {"a,b"}, "description": {strings.Repeat("x", 501)}}
	ada.confirm(ada.post("/admin/groups/new", group))
	at := ada.post("/admin/groups/new", url.Values{"name": {"staff"}})
	for path, want := range map[string]string{
		"/add":  `<input name="email" value="nobody@example.com" autocomplete="off" required data-test="member-email" autofocus aria-invalid="true" aria-describedby="about-email">`,
		"/nest": `data-test="parent-name" autofocus aria-invalid="true" aria-describedby="about-parent">`,
	} { // the focus is where something is wrong, and hears what
		p := ada.post(at.url.Path+path, url.Values{"email": {"nobody@example.com"}, "parent": {"nothing"}})
		if p.status != http.StatusUnprocessableEntity || !strings.Contains(p.body, want) {
			t.Errorf("%s: no %s on %s", path, want, p)
		}
	}
	for _, language := range words.Languages() {
		ada.post("/language", url.Values{"to": {language.Tag}, "back": {"/admin"}})
		for path, c := range map[string]struct {
			form   url.Values
			faults []words.Text
		}{
			"/admin/groups/new": {group, []words.Text{words.T("fault.separators"), words.T("fault.oneline")}},
			"/admin/users/invite": {
				url.Values{"email": {"nobody"}, "groups": {"none"}},
				[]words.Text{words.T("fault.email", "value", "nobody"), words.T("fault.nogroup", "value", "none")},
			},
			"/admin/clients/new": {
				url.Values{"client_name": {"App"}, "redirect_uris": {"http://app.example/"}, "token_endpoint_auth_method": {"none"}, "policy": {"fapi2"}},
				[]words.Text{
					words.T("fault.about", "value", "http://app.example/", "fault", words.T("fault.plainhttp")),
					words.T("fault.underpolicy", "fault", words.T("fault.notnone"), "policy", "fapi2"),
				},
			},
			"/admin/claims/edit": {url.Values{"name": {"sub"}, "type": {"string"}, "scope": {"profile"}}, []words.Text{words.T("fault.reserved")}},
		} {
			at := ada.post(path, c.form)
			for _, fault := range c.faults {
				if want := string(language.HTML(fault)); at.status != http.StatusUnprocessableEntity || !strings.Contains(at.body, want) {
					t.Errorf("%s %s: no %q on %s: %s", language.Tag, path, want, at, faultsOn(at))
				}
			}
			if strings.Contains(faultsOn(at)+at.body, `<span lang="en" dir="ltr">`) {
				t.Errorf("%s %s: English: %s", language.Tag, path, faultsOn(at))
			}
		}
	}
}
