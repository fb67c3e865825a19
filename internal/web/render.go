package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/words"
)

//go:embed pages/error.html
var ownPages embed.FS

//go:embed pages/layout.html
var layoutHTML string

// The two layouts: one for sign-in pages, one for account pages.
const (
	LayoutThreshold = "threshold"
	LayoutHouse     = "house"
)

// A Page is the input of the layout. Templates of the page see Data as .Data.
type Page struct {
	Name   string // body data-page, one of DESIGN.md §6
	Title  string // without the product's name; unused if the template defines "title"
	Layout string // empty: threshold
	Status int    // zero: 200
	User   *Chip
	Client *ClientChip
	Data   any
	// FormAction is where a form on this page may redirect to besides our own origin: the client's redirect URI.
	FormAction string
	// Once means that the page cannot be shown again, even with GET, so it has no switch of the language.
	Once bool
	// Frames are URLs on other sites that the page shows in frames.
	Frames []string

	Rail       []Link // house: at most seven links
	Nav        string // house: the Name of the active link
	SignOutURL string // house: POST target; empty: no sign-out button
}

// A Chip shows who is signed in.
type Chip struct {
	Name, Email string
	SwitchURL   string // where "Not you?" posts to; empty: not shown
	Interaction string // posted as field i
	// RecoveryFrom is when somebody who reads the user's e-mails can get into the account (idp.User.RecoveryReadyAt);
	// zero: nobody waits for that. Pages warn of it, with a button that stops it.
	RecoveryFrom time.Time
}

// A ClientChip shows the requesting application.
type ClientChip struct {
	Name, LogoURL string
	Host          string     // the host that gets the response
	Place         words.Text // where it runs, if it has no host
	PolicyURI     string
	TOSURI        string
}

// Mixed reports whether the name may imitate another.
func (c ClientChip) Mixed() bool { return mixesScripts(c.Name) }

// Pages are the page templates of one feature. Each is parsed once per language, when it is first shown, so that texts
// without arguments cost nothing then, and pages that nobody looks at no memory.
type Pages struct {
	parsed map[pageKey]func() (*template.Template, error)
}

type pageKey struct {
	language *words.Language
	name     string
}

// Parse reads page templates, each with its own copy of the layout. Each defines "content" and "title" and is rendered
// under the name of its file without the extension. Names may be patterns (pages/*.html). A file whose name begins with
// "_" is not a page; it is parsed into all pages. CheckPages finds what is wrong in a template.
func (s *Shell) Parse(fsys fs.FS, names ...string) (*Pages, error) {
	files, shared := map[string]string{}, []string{layoutHTML}
	for _, name := range names {
		found, err := fs.Glob(fsys, name)
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("no page %q: %w", name, fs.ErrNotExist)
		}
		for _, f := range found {
			source, err := fs.ReadFile(fsys, f)
			if err != nil {
				return nil, fmt.Errorf("read page: %w", err)
			}
			if base := path.Base(f); strings.HasPrefix(base, "_") {
				shared = append(shared, string(source))
			} else {
				files[strings.TrimSuffix(base, path.Ext(f))] = string(source)
			}
		}
	}
	pages := &Pages{parsed: map[pageKey]func() (*template.Template, error){}}
	for _, l := range s.config.Languages.Languages() {
		for name, source := range files {
			pages.parsed[pageKey{l, name}] = sync.OnceValues(func() (*template.Template, error) {
				return s.parse(l, name, append(slices.Clip(shared), source))
			})
		}
	}
	s.pages = append(s.pages, pages)
	return pages, nil
}

func (s *Shell) parse(l *words.Language, name string, sources []string) (*template.Template, error) {
	t := template.New("layout.html").Funcs(s.funcs(l))
	for _, source := range sources {
		source, err := translated(l, source)
		if err == nil {
			_, err = t.Parse(source)
		}
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
	}
	return t, nil
}

// CheckPages parses all pages of the features of this shell in all languages, and returns what is wrong. A server does
// not need it: templates are part of the program, so a test holds that they are right.
func (s *Shell) CheckPages() error {
	var faults []error
	for _, pages := range s.pages {
		for _, parsed := range pages.parsed {
			_, err := parsed()
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// constantText is a text without arguments. Only such a text is written in double quotes right before the braces.
var constantText = regexp.MustCompile(`\{\{t "([^"]*)"\}\}`)

// translated replaces the texts without arguments in the source of a template. Messages contain no braces, so they are
// safe there.
func translated(l *words.Language, source string) (string, error) {
	var fault error
	source = constantText.ReplaceAllStringFunc(source, func(action string) string {
		m := words.T(constantText.FindStringSubmatch(action)[1])
		if err := words.Check(m); err != nil {
			fault = err
		}
		return string(l.HTML(m))
	})
	return source, fault
}

// view is the data of a template: the Page and the configuration.
type view struct {
	Page
	Product   string
	LogoURL   string
	Footer    []Link
	RequestID string
	Language  *words.Language
	Back      string // where the switch of the language returns to; empty: no switch
}

// Render writes a page completely or not at all: on an error, nothing was written.
func (s *Shell) Render(w http.ResponseWriter, r *http.Request, pages *Pages, name string, p Page) error {
	back := ""
	if !p.Once {
		back = s.backTo(r)
	}
	body, err := s.render(pages, name, p, s.Language(r), back, RequestID(r.Context()))
	if err != nil {
		return err
	}
	writePage(w, p, body)
	return nil
}

func (s *Shell) render(pages *Pages, name string, p Page, l *words.Language, back, requestID string) ([]byte, error) {
	parsed, ok := pages.parsed[pageKey{l, name}]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
	}
	t, err := parsed()
	if err != nil {
		return nil, err
	}
	v := view{
		Page: p, Product: s.config.ProductName, LogoURL: s.config.LogoURL, Footer: s.config.Footer,
		RequestID: requestID, Language: l, Back: back,
	}
	if v.Layout == "" {
		v.Layout = LayoutThreshold
	}
	var body bytes.Buffer
	if err := t.Execute(&body, v); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return body.Bytes(), nil
}

// writePage writes a rendered page with its headers.
func writePage(w http.ResponseWriter, p Page, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	policy := pagePolicy
	if source := formSource(p.FormAction); source != "" {
		policy = fmt.Sprintf(contentPolicy, source)
	}
	if sources := frameSources(p.Frames); sources != "" {
		policy += "; frame-src" + sources
	}
	h.Set("Content-Security-Policy", policy)
	if p.Layout == LayoutHouse {
		// Not on the threshold: it would cut off an application that opened us in a popup and waits for it.
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = w.Write(body) // the browser may be gone
}
