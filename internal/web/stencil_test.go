// These tests are inside the package: they compare a filled page with the rendered one, and look at what is kept.
package web

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stepward/stepward/internal/words"
)

func newStencil(t *testing.T) (*Stencil[string], *int) {
	t.Helper()
	s, drawn := newShell(t, nil), 0
	pages, err := s.Parse(fstest.MapFS{"p/in.html": {Data: []byte(`{{define "title"}}In{{end}}{{define "content"}}` +
		`{{with .Data}}<p>{{.For}}</p><input value="{{.I}}"><a href="/x?i={{.I}}" data-options="{{.Options}}">{{.Options}}</a>{{end}}{{end}}`)}}, "p/*.html")
	if err != nil {
		t.Fatal(err)
	}
	return NewStencil(s, pages, "in", 2, func(key string, values []string) Page {
		drawn++
		return Page{Name: "login", FormAction: "https://" + key, Data: map[string]string{"For": key, "I": values[0], "Options": values[1]}}
	}), &drawn
}

func TestAFilledPageIsTheRenderedOne(t *testing.T) {
	st, drawn := newStencil(t)
	for i, options := range []string{`{"a":"b"}`, `"'<>&+` + "\x00" + `</a><script>`, "", st.holes[0], "ü€\u202e"} {
		for _, language := range []string{"en", "de"} {
			values := []string{fmt.Sprint("I", i), options}
			r := httptest.NewRequest("GET", "/login?i="+values[0]+"&x=%3C+'", nil)
			r.Header.Set("Accept-Language", language)
			filled, rendered := httptest.NewRecorder(), httptest.NewRecorder()
			if err := st.Render(filled, r, "app.example", values...); err != nil {
				t.Fatal(err)
			}
			if err := st.shell.Render(rendered, r, st.pages, st.name, st.draw("app.example", values)); err != nil {
				t.Fatal(err)
			}
			*drawn--
			if filled.Body.String() != rendered.Body.String() || fmt.Sprint(filled.Header()) != fmt.Sprint(rendered.Header()) {
				t.Errorf("%q, %s: filled\n%s\n%s\nrendered\n%s\n%s", options, language, filled.Header(), filled.Body, rendered.Header(), rendered.Body)
			}
		}
	}
	if *drawn != 2 {
		t.Errorf("drawn %d times for two languages", *drawn)
	}
}

func TestAPageIsKeptForEachOfWhatItDependsOn(t *testing.T) {
	st, drawn := newStencil(t)
	show := func(method, key, language string) string {
		r, w := httptest.NewRequest(method, "/login", nil), httptest.NewRecorder()
		r.Header.Set("Accept-Language", language)
		if err := st.Render(w, r, key, "I", "o"); err != nil {
			t.Fatal(err)
		}
		return w.Body.String()
	}
	seen := map[string]bool{}
	for _, method := range []string{"GET", "POST"} { // a page after a POST has no switch of the language
		for _, key := range []string{"a.example", "b.example"} {
			for _, l := range words.Languages() {
				page := show(method, key, l.Tag)
				if !strings.Contains(page, "<p>"+key+"</p>") || !strings.Contains(page, `lang="`+l.Tag+`"`) || seen[page] {
					t.Errorf("%s %s %s: %s", method, key, l.Tag, page)
				}
				seen[page] = true
			}
		}
	}
	if want := 4 * len(words.Languages()); *drawn != want || len(st.kept) != want {
		t.Errorf("drawn %d times, kept %d, want %d", *drawn, len(st.kept), want)
	}
	for i := range 2 * maxKept {
		show("GET", fmt.Sprint("client", i), "en")
	}
	if len(st.kept) > maxKept {
		t.Errorf("%d pages are kept", len(st.kept))
	}
}

func TestAPageIsFilledWithAllItsValues(t *testing.T) {
	st, _ := newStencil(t)
	w := httptest.NewRecorder()
	if err := st.Render(w, httptest.NewRequest("GET", "/login", nil), "a.example", "I"); err == nil || w.Body.Len() > 0 {
		t.Errorf("with a value too few: %v, %s", err, w.Body)
	}
}
