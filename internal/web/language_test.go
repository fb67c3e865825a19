package web

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/words"
)

// polyglot serves a page at /page, for an application that asks for the languages in the query and a user with a saved one.
func polyglot(t *testing.T, offered ...*words.Set) http.Handler {
	t.Helper()
	s := newShell(t, func(c *Config) {
		c.Insecure = false
		for _, set := range offered {
			c.Languages = set
		}
	})
	pages, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(
		`{{define "title"}}{{plain "cancel.to" "app" .Data}}{{end}}{{define "content"}}<h1>{{t "signin.title"}}</h1><p title="{{t "agent.alone" "browser" .Data}}">{{t "signin.to" "app" .Data}}</p>{{end}}`,
	)}}, "a.html")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	page := func(w http.ResponseWriter, r *http.Request) error {
		AskLanguages(r.Context(), strings.Fields(r.URL.Query().Get("asked")))
		SavedLanguage(r.Context(), r.URL.Query().Get("saved"))
		if r.URL.Query().Has("fail") {
			return &Problem{Status: 400, Words: "problem.unread"}
		}
		return s.Render(w, r, pages, "a", Page{Name: "login", Data: `<b>"Acme"`})
	}
	s.Handle(mux, "GET /page", page)
	s.Handle(mux, "POST /page", page)
	return s.Browser(mux)
}

func TestTheLanguageOfAPageIsChosenInOrder(t *testing.T) {
	h := polyglot(t)
	for name, c := range map[string]struct{ query, cookie, accept, want string }{
		"nothing":                                          {"", "", "", "en"},
		"a browser":                                        {"", "", "fr-CA,fr;q=0.9", "fr"},
		"a browser we do not speak":                        {"", "", "it", "en"},
		"a user before the browser":                        {"saved=es", "", "fr", "es"},
		"a user whose we do not speak":                     {"saved=it", "", "fr", "fr"},
		"an application before both":                       {"asked=tlh+ja&saved=es", "", "fr", "ja"},
		"the switch before all":                            {"asked=ja&saved=es", "ar", "fr", "ar"},
		"a cookie with a value that the switch never sets": {"", "xx", "de", "de"},
	} {
		r := ask(h, "GET", "/page?"+c.query, "", "Accept-Language", c.accept, "Cookie", "__Host-stepward-language="+c.cookie)
		dir := map[bool]string{true: "rtl", false: "ltr"}[c.want == "ar"]
		if body := text(t, r); !strings.Contains(body, `<html lang="`+c.want+`" dir="`+dir+`">`) {
			t.Errorf("%s: %.200s", name, body)
		}
	}
}

func TestAPageIsInItsLanguageThroughout(t *testing.T) {
	h := polyglot(t)
	body := text(t, ask(h, "GET", "/page", "", "Accept-Language", "de"))
	for _, want := range []string{
		"<title>Abbrechen und zurück zu &lt;b&gt;&#34;Acme&#34; – Stepward</title>", "<h1>Anmelden</h1>", "Zum Inhalt springen",
		`<p title="&lt;b&gt;&#34;Acme&#34;">Melden Sie sich an, um zu <bdi>&lt;b&gt;&#34;Acme&#34;</bdi> zu gelangen.</p>`,
		`value="de" lang="de" aria-current="true"`, `name="back" value="/page"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if body := text(t, ask(h, "GET", "/page?fail", "", "Accept-Language", "de")); !strings.Contains(body, "Wir konnten nicht lesen, was Ihr Browser gesendet hat.") {
		t.Errorf("an error page: %s", body)
	}
	if body := text(t, ask(h, "GET", "/page?fail", "", "Accept-Language", "fr", "Content-Type", "application/json")); !strings.Contains(body, "Nous n’avons pas pu lire ce que votre navigateur a envoyé. Revenez") {
		t.Errorf("an answer for our script: %s", body)
	}
	if body := text(t, ask(h, "POST", "/page", "", "Sec-Fetch-Site", "same-origin")); !strings.Contains(body, "<h1>Sign in</h1>") || strings.Contains(body, `action="/language"`) {
		t.Errorf("a page that cannot be shown again has a switch: %s", body)
	}
}

func TestOAuthClientsReadEnglish(t *testing.T) {
	s := newShell(t, nil)
	mux := http.NewServeMux()
	s.Handle(mux, "POST /token", func(http.ResponseWriter, *http.Request) error { return &Problem{Status: 400, Words: "problem.unread"} })
	if body := text(t, ask(s.Protocol(mux), "POST", "/token", "", "Accept-Language", "de")); !strings.Contains(body, "We couldn’t read") {
		t.Error(body)
	}
}

func TestTheSwitchSetsACookieAndReturns(t *testing.T) {
	h := polyglot(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}
	for body, want := range map[string][2]string{
		"to=ar&back=/page%3Fx=1":             {"/page?x=1", "ar"},
		"to=xx&back=/page":                   {"/page", ""},
		"to=de&back=https://evil.example/":   {"/", "de"},
		"to=de&back=//evil.example/":         {"/", "de"},
		"to=de&back=/%5Cevil.example/":       {"/", "de"},
		"to=de&back=/%09/evil.example/":      {"/", "de"},
		"to=de":                              {"/", "de"},
		"to=de&back=javascript:alert(1)":     {"/", "de"},
		"to=de&back=/login%3Fi=1%26x=%2F%2F": {"/login?i=1&x=//", "de"},
	} {
		r := ask(h, "POST", "/language", body, form...)
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != want[0] {
			t.Errorf("%s: %d %q", body, r.StatusCode, r.Header.Get("Location"))
		}
		cookie := ""
		for _, c := range r.Cookies() {
			cookie = c.Value
			if c.Name != "__Host-stepward-language" || !c.HttpOnly || !c.Secure || c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.MaxAge <= 0 {
				t.Errorf("cookie: %v", c)
			}
		}
		if cookie != want[1] {
			t.Errorf("%s: cookie %q", body, cookie)
		}
	}
	form[3] = "cross-site"
	if r := ask(h, "POST", "/language", "to=ar&back=/", form...); r.StatusCode != http.StatusForbidden || len(r.Cookies()) > 0 {
		t.Errorf("another site chose the language: %d", r.StatusCode)
	}
	if r := ask(h, "GET", "/language?to=ar", "", form...); r.StatusCode != http.StatusMethodNotAllowed || len(r.Cookies()) > 0 {
		t.Errorf("a link chose the language: %d", r.StatusCode)
	}
}

func TestScriptsSpeakTheLanguageOfTheirPage(t *testing.T) {
	s := newShell(t, nil)
	seen := map[string]bool{}
	for _, l := range words.Languages() {
		for _, name := range []string{"passkey.js", "copy.js"} {
			path, err := s.static.url(l, name)
			if err != nil || seen[path] {
				t.Fatalf("%s %s: %q %v", l.Tag, name, path, err)
			}
			seen[path] = true
			body := string(s.static.files[strings.TrimPrefix(path, "/static/")].plain)
			if strings.Contains(body, "WORDS") || name == "passkey.js" && !strings.Contains(body, l.Text(words.T("script.passkey.waiting"))) {
				t.Errorf("%s %s has no words", l.Tag, name)
			}
		}
	}
	if _, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "content"}}{{t "no.such"}}{{end}}`)}}, "a.html"); err != nil {
		t.Error(err)
	}
	if err := s.CheckPages(); err == nil {
		t.Error("a page with a text that does not exist was parsed")
	}
}

func TestAStoredAgentIsShownInEveryLanguage(t *testing.T) {
	de := words.ByTag("de")
	for stored, want := range map[string]string{
		"Firefox on macOS": "Firefox unter macOS", "a browser": "ein Browser", "curl": "curl", "unknown browser": "unbekannter Browser", "a web view on iPhone": "eine Webansicht in einer App unter iPhone",
	} {
		if got := de.Text(AgentWords(stored)); got != want {
			t.Errorf("%s: %q", stored, got)
		}
		if got := words.English().Text(AgentWords(stored)); got != stored {
			t.Errorf("%s: %q", stored, got)
		}
	}
}

// The token of an invitation is in the fragment, which enrol.js has taken out of the address.
func TestTheSwitchKeepsTheTokenOfAnInvitation(t *testing.T) {
	s := newShell(t, nil)
	pages, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "content"}}<form method="post" data-fragment-token><button>{{t "copy"}}</button></form>
		<script src="{{asset "enrol.js"}}" defer></script>{{end}}`)}}, "a.html")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	s.Handle(mux, "GET /enrol", func(w http.ResponseWriter, r *http.Request) error {
		return s.Render(w, r, pages, "a", Page{Name: "passkey", Title: "x"})
	})
	base, ctx := onLocalhost(t, s.Browser(mux)), browser(t)
	do(t, ctx, chromedp.Navigate(base+"/enrol?x=1#TOKEN23"), chromedp.Click(chromedp.CSS("summary")), chromedp.Click(chromedp.CSS(`button[value="ar"]`)),
		chromedp.WaitVisible(chromedp.CSS(`html[lang="ar"] form.languages`)))
	if got := eval[string](t, ctx, `document.querySelector("input[name=token][type=hidden]").value + " " + location.href + " " + document.dir`); got != "TOKEN23 "+base+"/enrol?x=1 rtl" {
		t.Errorf("token, address, direction: %q", got)
	}
}

func TestPagesKeepToTheLanguagesOfTheService(t *testing.T) {
	serve := func(tags ...string) http.Handler {
		only, err := words.Only(tags)
		if err != nil {
			t.Fatal(err)
		}
		return polyglot(t, only)
	}
	h := serve("fr", "de")
	for name, c := range map[string]struct{ query, cookie, accept, want string }{
		"nothing":                          {"", "", "", "fr"},
		"an application":                   {"asked=ja+de", "", "", "de"},
		"a cookie of an earlier setting":   {"", "ar", "de", "de"},
		"a user whose is no more offered":  {"saved=es", "", "de", "de"},
		"a browser with one that is not":   {"", "", "ja", "fr"},
		"a browser with a second that is ": {"", "", "en,de;q=0.5", "de"},
	} {
		body := text(t, ask(h, "GET", "/page?"+c.query, "", "Accept-Language", c.accept, "Cookie", "__Host-stepward-language="+c.cookie))
		if !strings.Contains(body, `<html lang="`+c.want+`"`) {
			t.Errorf("%s: %.200s", name, body)
		}
		if fr, de := strings.Index(body, `value="fr"`), strings.Index(body, `value="de"`); fr < 0 || de < fr || strings.Count(body, `name="to"`) != 2 {
			t.Errorf("%s: the switch: %s", name, body)
		}
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}
	if r := ask(h, "POST", "/language", "to=ja&back=/page", form...); len(r.Cookies()) != 0 {
		t.Errorf("a language that is not offered was chosen: %v", r.Cookies())
	}
	if body := text(t, ask(serve("de"), "GET", "/page", "")); !strings.Contains(body, `<html lang="de"`) || strings.Contains(body, `action="/language"`) {
		t.Errorf("a switch with one language: %s", body)
	}
}
