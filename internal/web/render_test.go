// These tests are inside the package: they look at parts of pages and headers that a whole page only shows in part.
package web

import (
	"errors"
	"html"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stepward/stepward/internal/words"
)

func TestProblemsUseTypographicApostrophes(t *testing.T) {
	s := newShell(t, nil)
	p := &Problem{Status: 400, Title: "That didn't work", Text: "It's the device's 'word'.", Next: "Don't."}
	for accept, want := range map[string]string{"text/html": "It’s the device’s &#39;word’.", "application/json": "It’s the device’s 'word’. Don’t."} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		s.Fail(w, r, p)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: no %q in\n%s", accept, want, w.Body)
		}
	}
	if p.Title != "That didn't work" {
		t.Error("the problem itself was changed")
	}
}

func TestAnErrorPageHasOneWayOnWithAShortLabel(t *testing.T) {
	s := newShell(t, nil)
	for name, c := range map[string]struct {
		method, at string
		problem    *Problem
		want       string // label and address
	}{
		"with a label":         {"POST", "/x", &Problem{Status: 410, Next: "Sign in", NextURL: "/in"}, "Sign in /in"},
		"without one":          {"POST", "/x", &Problem{Status: 410, NextURL: "/in"}, "Continue /in"},
		"with sentences":       {"POST", "/x", &Problem{Status: 410, Next: "If you have a passkey, sign in. Otherwise ask for an invitation.", NextURL: "/in"}, "Continue /in"},
		"with one sentence":    {"POST", "/x", &Problem{Status: 410, Next: "Sign in here.", NextURL: "/in"}, "Continue /in"},
		"with advice alone":    {"GET", "/x", &Problem{Status: 404, Next: "Ask for it."}, "Go to your account /account"},
		"with nothing":         {"GET", "/x", &Problem{Status: 404}, "Go to your account /account"},
		"a fault of ours":      {"GET", "/x?y=1", &Problem{Status: 503}, "Try again /x?y=1"},
		"one on a form":        {"POST", "/x", &Problem{Status: 500}, "Go to your account /account"},
		"one at a sly address": {"GET", "//evil.example/x", &Problem{Status: 500}, "Go to your account /account"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, "/", nil)
		r.URL = &url.URL{Path: c.at}
		if path, query, ok := strings.Cut(c.at, "?"); ok {
			r.URL = &url.URL{Path: path, RawQuery: query}
		}
		c.problem.Title, c.problem.Text = "Title", "Text."
		s.Fail(w, r, c.problem)
		_, main, _ := strings.Cut(w.Body.String(), "<main")
		main, _, _ = strings.Cut(main, "</main>")
		links := regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>([^<]*)</a>`).FindAllStringSubmatch(main, -1)
		if len(links) != 1 || links[0][2]+" "+html.UnescapeString(links[0][1]) != c.want {
			t.Errorf("%s: %q, want %q", name, links, c.want)
		}
		if advice := c.problem.Next; strings.HasSuffix(advice, ".") && !strings.Contains(main, "<p>"+advice+"</p>") {
			t.Errorf("%s: the advice is lost\n%s", name, main)
		}
	}
}

func TestAPageIsWrittenWholeOrNotAtAll(t *testing.T) {
	s := newShell(t, nil)
	pages, err := s.Parse(fstest.MapFS{"p/bad.html": {Data: []byte(`{{define "content"}}before {{.Data.Missing.Field}}{{end}}`)}}, "p/*.html")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	err = s.Render(w, httptest.NewRequest("GET", "/", nil), pages, "bad", Page{Name: "login", Title: "x", Data: struct{ A int }{}})
	if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("error %v, body %q, header %v", err, w.Body, w.Header())
	}
	if err := s.Render(w, httptest.NewRequest("GET", "/", nil), pages, "nonesuch", Page{}); err == nil {
		t.Error("a page that is not there")
	}
	if _, err := s.Parse(fstest.MapFS{}, "pages/*.html"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no templates: %v", err)
	}
	if err := s.CheckPages(); err != nil {
		t.Error(err)
	}
	if _, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "content"}}{{nonesuch}}{{end}}`)}}, "a.html"); err != nil {
		t.Error(err)
	}
	if err := s.CheckPages(); err == nil {
		t.Error("a broken template was parsed")
	}
}

func TestPagesOfAFeatureDoNotSeeEachOther(t *testing.T) {
	s := newShell(t, nil)
	pages, err := s.Parse(fstest.MapFS{
		"_shared.html": {Data: []byte(`{{define "shared"}}from the shared part{{end}}`)},
		"one.html":     {Data: []byte(`{{define "content"}}one {{template "shared"}}{{end}}`)},
		"two.html":     {Data: []byte(`{{define "content"}}two{{end}}`)},
	}, "*.html")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"one": "one from the shared part", "two": "two"} {
		w := httptest.NewRecorder()
		if err := s.Render(w, httptest.NewRequest("GET", "/", nil), pages, name, Page{Name: "login", Title: "x"}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

func TestInputIsEscapedOnThePage(t *testing.T) {
	const evil = `"><script>alert(1)</script><a href='`
	s := newShell(t, func(c *Config) {
		c.ProductName = evil
		c.Footer = []Link{{Text: words.Data(evil), URL: "javascript:alert(1)"}}
	})
	pages, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "content"}}<div data-x="{{json .Data}}">{{.Data}}</div>{{end}}`)}}, "a.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, layout := range []string{LayoutThreshold, LayoutHouse} {
		w := httptest.NewRecorder()
		err := s.Render(w, httptest.NewRequest("GET", "/", nil), pages, "a", Page{
			Name: evil, Title: evil, Layout: layout, Data: evil,
			User: &Chip{Name: evil, Email: evil, SwitchURL: "javascript:alert(1)"}, Client: &ClientChip{Name: evil, Host: evil, LogoURL: "javascript:alert(1)", PolicyURI: "javascript:alert(1)"},
			Rail: []Link{{evil, words.Data(evil), evil}}, Nav: evil, SignOutURL: evil, FormAction: "https://app.example/; script-src *",
		})
		if err != nil {
			t.Fatal(err)
		}
		if body := w.Body.String(); strings.Contains(body, "<script>alert") || strings.Contains(body, "javascript:") {
			t.Errorf("%s: %s", layout, body)
		}
		if csp := w.Header().Get("Content-Security-Policy"); strings.Count(csp, "script-src") != 1 || !strings.Contains(csp, "form-action 'self' https:;") {
			t.Errorf("policy: %s", csp)
		}
	}
}

// An application may open us in a popup and wait there for the response. Our own pages must not be reachable from other
// windows.
func TestOnlyAccountPagesIsolateThemselvesFromTheirOpener(t *testing.T) {
	h := house(t, newShell(t, nil))
	for page, want := range map[string]string{"signin": "", "consent": "", "account": "same-origin"} {
		if got := ask(h, "GET", "/sample/"+page, "").Header.Get("Cross-Origin-Opener-Policy"); got != want {
			t.Errorf("%s: %q, want %q", page, got, want)
		}
	}
}

func TestPagesHaveANameAndNoInlineCode(t *testing.T) {
	h := house(t, newShell(t, nil))
	for name, p := range samples() {
		r := ask(h, "GET", "/sample/"+name, "")
		body := text(t, r)
		if r.StatusCode != http.StatusOK || !strings.Contains(body, `data-page="`+p.Name+`"`) || !strings.Contains(body, ` id="main" tabindex="-1">`) || !strings.Contains(body, " – Stepward</title>") {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
		}
		if strings.Contains(body, " style=") || strings.Contains(body, "<style") || strings.Contains(body, " onclick") || strings.Contains(body, "<script>") {
			t.Errorf("%s holds inline style or script", name)
		}
	}
}

func TestTimesAreFormattedAsText(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for before, want := range map[time.Duration]string{
		-time.Second: "just now", 59 * time.Second: "just now", time.Minute: "1 minute ago", 12 * time.Minute: "12 minutes ago", 61 * time.Minute: "1 hour ago",
		25 * time.Hour: "yesterday", 49 * time.Hour: "2 days ago", 15 * 24 * time.Hour: "on 7 November 2026",
	} {
		if got := string(ago(words.English(), now.Add(-before), now)); !strings.Contains(got, ">"+want+"<") {
			t.Errorf("%v: %s, want %s", before, got, want)
		}
	}
	if ago(words.English(), time.Time{}, now) != "never" || date(words.English(), time.Time{}) != "never" {
		t.Error("the zero time is a date")
	}
}

func TestInitialsStandForAName(t *testing.T) {
	for name, want := range map[string]string{
		"Ada Lovelace": "AL", "ada": "A", "ada@example.org": "A", "": "?", "   ": "?", "🦄🌈": "🦄", "Élodie de la Tour": "ÉT", "(Bob) 2nd": "B2", "李 明": "李明",
	} {
		if got := initials(name); got != want {
			t.Errorf("initials(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestTheRingNeverExceedsAFullCircle(t *testing.T) {
	for fraction, want := range map[float64]string{-1: `"0 100"`, 0.7: `"70 100"`, 9: `"100 100"`, math.Inf(1): `"100 100"`, math.NaN(): `"0 100"`} {
		if got := string(ring(fraction)); !strings.Contains(got, want) {
			t.Errorf("ring(%v) = %s", fraction, got)
		}
	}
}
