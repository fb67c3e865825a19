package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed pages
var ownPages embed.FS

// The two layouts: one for sign-in pages, one for account pages.
const (
	LayoutThreshold = "threshold"
	LayoutHouse     = "house"
)

// A Page is the input of the layout. Templates of the page see Data as .Data.
type Page struct {
	Name   string // body data-page, one of DESIGN.md §6
	Title  string // without the product's name
	Layout string // empty: threshold
	Status int    // zero: 200
	User   *Chip
	Client *ClientChip
	Data   any
	// FormAction is where a form on this page may redirect to besides our own origin: the client's redirect URI.
	FormAction string
	// Frames are URLs on other sites that the page shows in frames.
	Frames []string

	Rail       []Link // house: at most seven links
	Nav        string // house: the Text of the active link
	SignOutURL string // house: POST target; empty: no sign-out button

	Lang string // BCP 47; empty: en
	Dir  string // empty: ltr
}

// A Chip shows who is signed in.
type Chip struct {
	Name, Email string
	SwitchURL   string // where "Not you?" posts to; empty: not shown
	Interaction string // posted as field i
}

// A ClientChip shows the requesting application.
type ClientChip struct{ Name, LogoURL, Host, PolicyURI, TOSURI string }

// Mixed reports whether the name may imitate another.
func (c ClientChip) Mixed() bool { return mixesScripts(c.Name) }

// Pages are the parsed page templates of one feature.
type Pages struct{ byName map[string]*template.Template }

type layout struct{ base *template.Template }

func newLayout(s *Shell) (*layout, error) {
	base, err := template.New("layout.html").Funcs(s.funcs()).ParseFS(ownPages, "pages/layout.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	return &layout{base: base}, nil
}

// Parse parses page templates, each with its own copy of the layout. Each defines "content" and is rendered under the
// name of its file without the extension. Names may be patterns (pages/*.html). A file whose name begins with "_" is
// not a page; it is parsed into all pages.
func (s *Shell) Parse(fsys fs.FS, names ...string) (*Pages, error) {
	var files, partials []string
	for _, name := range names {
		found, err := fs.Glob(fsys, name)
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("no page %q: %w", name, fs.ErrNotExist)
		}
		for _, f := range found {
			if strings.HasPrefix(path.Base(f), "_") {
				partials = append(partials, f)
			} else {
				files = append(files, f)
			}
		}
	}
	pages := &Pages{byName: map[string]*template.Template{}}
	for _, f := range files {
		t, err := s.layout.base.Clone()
		if err != nil {
			return nil, fmt.Errorf("clone layout: %w", err)
		}
		if _, err := t.ParseFS(fsys, append(partials, f)...); err != nil {
			return nil, fmt.Errorf("parse page: %w", err)
		}
		pages.byName[strings.TrimSuffix(path.Base(f), path.Ext(f))] = t
	}
	return pages, nil
}

// view is the data of a template: the Page and the configuration.
type view struct {
	Page
	Product   string
	LogoURL   string
	Footer    []Link
	RequestID string
}

// Render writes a page completely or not at all: on an error, nothing was written.
func (s *Shell) Render(w http.ResponseWriter, r *http.Request, pages *Pages, name string, p Page) error {
	t, ok := pages.byName[name]
	if !ok {
		return fmt.Errorf("no page %q", name)
	}
	v := view{
		Page: p, Product: s.config.ProductName, LogoURL: s.config.LogoURL, Footer: s.config.Footer,
		RequestID: RequestID(r.Context()),
	}
	if v.Layout == "" {
		v.Layout = LayoutThreshold
	}
	if v.Lang == "" {
		v.Lang = "en"
	}
	if v.Dir == "" {
		v.Dir = "ltr"
	}
	var body bytes.Buffer
	if err := t.Execute(&body, v); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	if source := formSource(p.FormAction); source != "" {
		h.Set("Content-Security-Policy", fmt.Sprintf(contentPolicy, source))
	}
	if sources := frameSources(p.Frames); sources != "" {
		h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; frame-src"+sources)
	}
	if p.Layout == LayoutHouse {
		// Not on the threshold: it would cut off an application that opened us in a popup and waits for it.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = w.Write(body.Bytes()) // the browser may be gone
	return nil
}
