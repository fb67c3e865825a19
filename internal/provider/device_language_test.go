package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

func wantLanguage(t *testing.T, page string, r reply, tag string) {
	t.Helper()
	if !strings.Contains(r.body, `<html lang="`+tag+`"`) {
		t.Errorf("%s is not in %s: %d %.200s", page, tag, r.StatusCode, r.body)
	}
}

func TestADeviceAsksForTheLanguageOfItsPages(t *testing.T) {
	h := open(t)
	c, u := h.addDevice(nil), h.addUser()
	asked := func() (string, string) {
		m := h.ask(c, "ui_locales", "tlh ja").json(t)
		return m["verification_uri_complete"].(string), m["user_code"].(string)
	}
	french := func(r *http.Request) { r.Header.Set("Accept-Language", "fr") }
	link, shown := asked()
	if want := h.url + "/device?ui_locales=tlh+ja&user_code=" + shown; link != want {
		t.Errorf("the link is %s, want %s", link, want)
	}
	page := h.get(strings.TrimPrefix(link, h.url), french)
	wantLanguage(t, "the page of the link", page, "ja")
	if !strings.Contains(page.body, `name="ui_locales" value="tlh ja"`) {
		t.Error("the form forgets the language")
	}
	wantLanguage(t, "the page of a wrong code", h.post("/device", url.Values{"user_code": {"BCDF-GHJK"}, "ui_locales": {"tlh ja"}}, french), "ja")
	wantLanguage(t, "the page of a code that was typed", h.post("/device", url.Values{"user_code": {shown}}, french), "ja")
	h.goOn(shown)
	if got := h.last.Request.UILocales; !slices.Equal(got, []string{"tlh", "ja"}) {
		t.Errorf("the sign-in is in %q", got)
	}
	r, err := h.respond(h.outcome(u))
	check(t, err)
	if got := r.Header.Get("Location"); got != "/device/connected?ui_locales=tlh+ja" {
		t.Errorf("goes to %s", got)
	}
	wantLanguage(t, "the last page", h.get(r.Header.Get("Location"), french), "ja")

	_, shown = asked()
	r = h.post("/device/confirm", url.Values{"user_code": {shown}, "answer": {"refuse"}, "ui_locales": {"tlh ja"}})
	wantLanguage(t, "the page after a refusal", h.get(r.Header.Get("Location"), french), "ja")
}

func TestThePagesOfADeviceAreInThePersonsLanguage(t *testing.T) {
	h := open(t)
	u := idp.NewUser("ada@example.com", "Ada", h.addUser().CreatedAt)
	u.Profile.Locale = "es"
	check(t, h.db.CreateUser(t.Context(), u))
	french := func(r *http.Request) { r.Header.Set("Accept-Language", "fr") }
	_, shown := h.asked(h.addDevice(nil))
	wantLanguage(t, "the page for a stranger", h.get("/device", french), "fr")
	h.signIn(h.addClient(nil), u)
	wantLanguage(t, "the page for a signed-in user", h.get("/device", french), "es")
	wantLanguage(t, "the question", h.post("/device", url.Values{"user_code": {shown}}, french), "es")
	wantLanguage(t, "the last page", h.get("/device/refused", french), "es")
	wantLanguage(t, "the page for the device's language", h.get("/device?ui_locales=de", french), "de")
}

func TestTheMetadataNamesOnlyLanguagesThatAreOffered(t *testing.T) {
	only, err := words.Only([]string{"fr", "de"})
	check(t, err)
	h := open(t, func(c *Config) {
		issuer, err := url.Parse(c.Issuer)
		check(t, err)
		c.Shell, err = web.New(web.Config{Issuer: issuer, Insecure: true, Languages: only})
		check(t, err)
	})
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		var got []string
		for _, tag := range h.get(path).json(t)["ui_locales_supported"].([]any) {
			got = append(got, tag.(string))
		}
		if !slices.Equal(got, []string{"fr", "de"}) {
			t.Errorf("%s: %q", path, got)
		}
	}
	wantLanguage(t, "the page of a device", h.get("/device?ui_locales=ja"), "fr")
}
