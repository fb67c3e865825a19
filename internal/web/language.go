package web

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepward/stepward/internal/words"
)

const (
	pathLanguage   = "/language"
	languageCookie = "stepward-language"
	// maxBack is the longest address that the switch returns to. On pages with a longer one it is not shown.
	maxBack = 2000
)

// AskLanguages records which languages the application asks for (ui_locales), for all pages of the request in ctx.
func AskLanguages(ctx context.Context, tags []string) {
	if rec, ok := recordOf(ctx); ok && len(tags) > 0 {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.asked = strings.Join(tags, " ")
	}
}

// SavedLanguage records the language in the user's profile, for all pages of the request in ctx.
func SavedLanguage(ctx context.Context, tag string) {
	if rec, ok := recordOf(ctx); ok {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.saved = tag
	}
}

// Language returns the language to answer a request in: what the person chose at the switch, what the application asks
// for, what the user's profile says, what the browser accepts, or the first one. The switch comes first, because it
// would otherwise do nothing on a page that an application opened with ui_locales.
func (s *Shell) Language(r *http.Request) *words.Language {
	return cmp.Or(s.Wanted(r), s.config.Languages.First())
}

// Languages returns the languages of the pages.
func (s *Shell) Languages() *words.Set { return s.config.Languages }

// Wanted is Language, but nil if nothing says what the person wants.
func (s *Shell) Wanted(r *http.Request) *words.Language {
	if c, err := r.Cookie(s.languageCookieName()); err == nil {
		if l := words.ByTag(c.Value); s.config.Languages.Has(l) {
			return l
		}
	}
	var asked, saved string
	if rec, ok := recordOf(r.Context()); ok {
		rec.mu.Lock()
		asked, saved = rec.asked, rec.saved
		rec.mu.Unlock()
	}
	for _, wanted := range []string{asked, saved, r.Header.Get("Accept-Language")} {
		if l := s.config.Languages.Choose(wanted); l != nil {
			return l
		}
	}
	return nil
}

func (s *Shell) languageCookieName() string {
	if s.config.Insecure {
		return languageCookie
	}
	return "__Host-" + languageCookie
}

// switchLanguage stores the choice of the switch in a cookie and returns to the page. It is a POST behind the
// cross-origin check, so that no other site chooses.
func (s *Shell) switchLanguage(w http.ResponseWriter, r *http.Request) error {
	if err := ReadForm(r); err != nil {
		return err
	}
	if l := words.ByTag(r.PostFormValue("to")); s.config.Languages.Has(l) {
		http.SetCookie(w, &http.Cookie{
			Name: s.languageCookieName(), Value: l.Tag, Path: "/", MaxAge: 365 * 24 * 60 * 60, HttpOnly: true,
			Secure: !s.config.Insecure, SameSite: http.SameSiteLaxMode,
		})
	}
	back := r.PostFormValue("back")
	if !ourPage(back) {
		back = "/"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}

// backTo returns where the switch on a page returns to, or "" if the page has none. Only a page that was fetched with
// GET can be shown again. A page of a protocol endpoint must not repeat what an application sent, which is in its
// address. A service with one language has no switch.
func (s *Shell) backTo(r *http.Request) string {
	if len(s.config.Languages.Languages()) == 1 {
		return ""
	}
	if rec, ok := recordOf(r.Context()); ok && rec.machine {
		return ""
	}
	if back := r.URL.RequestURI(); r.Method == http.MethodGet && len(back) <= maxBack && ourPage(back) {
		return back
	}
	return ""
}

// ourPage reports whether every browser resolves address to a page of our own.
func ourPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host == "" && strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//") &&
		!strings.ContainsFunc(address, func(c rune) bool { return c == '\\' || c < ' ' })
}

// languageButtons returns the buttons of the switch on pages in l.
func (s *Shell) languageButtons(l *words.Language) template.HTML {
	var b strings.Builder
	for _, other := range s.config.Languages.Languages() {
		b.WriteString(`<button class="link" name="to" value="` + other.Tag + `" lang="` + other.Tag + `"`)
		if other == l {
			b.WriteString(` aria-current="true"`)
		}
		b.WriteString(`>` + other.Name + `</button>`)
	}
	return template.HTML(b.String())
}
