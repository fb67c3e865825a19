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

// The two layouts: one door, and the rooms behind it.
const (
	LayoutThreshold = "threshold"
	LayoutHouse     = "house"
)

// A Page is what the layout needs to know; Data is for the page's own template, which sees it as .Data.
type Page struct {
	Name   string // body data-page, one of DESIGN.md §6
	Title  string // without the product's name
	Layout string // empty: threshold
	Status int    // zero: 200
	User   *Chip
	Client *ClientChip
	Data   any
	// FormAction is where a form on this page may lead in the end besides our own origin: the client's redirect URI.
	FormAction string
	// Frames are the addresses of other sites that the page shows in frames.
	Frames []string

	Rail       []Link // house: at most seven words
	Nav        string // house: the Text of the active one
	SignOutURL string // house: POST target; empty: no sign-out button

	Lang string // BCP 47; empty: en
	Dir  string // empty: ltr
}

// A Chip says who is signed in.
type Chip struct {
	Name, Email string
	SwitchURL   string // where "Not you?" posts to; empty: it is not offered
	Interaction string // sent along as field i
}

// A ClientChip says which application is asking.
type ClientChip struct{ Name, LogoURL, Host, PolicyURI, TOSURI string }

// Mixed reports whether the name may be meant to look like another.
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

// Parse reads page templates, each over its own copy of the layout; each defines "content" and is rendered under its
// file's name without the extension. Names may be patterns (pages/*.html). A file whose name begins with "_" is not a
// page but parsed into all of them.
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

// view is what templates see: the Page, and the house around it.
type view struct {
	Page
	Product   string
	LogoURL   string
	Footer    []Link
	RequestID string
}

// Render writes a page, complete or not at all: an error means that nothing was written.
func (s *Shell) Render(w http.ResponseWriter, r *http.Request, pages *Pages, name string, p Page) error {
	t, ok := pages.byName[name]
	if !ok {
		return fmt.Errorf("no page %q", name)
	}
	v := view{Page: p, Product: s.config.ProductName, LogoURL: s.config.LogoURL, Footer: s.config.Footer, RequestID: RequestID(r.Context())}
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
		// Only here: on the threshold it would cut the tie to an application that opened us in a popup and waits for it.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = w.Write(body.Bytes()) // the browser may have gone; there is nobody left to tell
	return nil
}
