package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
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

// Pages are the parsed page templates of one feature. They are parsed once per language, on its first use, so that
// texts without arguments cost nothing when a page is shown.
type Pages struct {
	parsed map[*words.Language]func() (templates, error)
}

type templates map[string]*template.Template // by name

// Parse parses page templates, each with its own copy of the layout. Each defines "content" and "title" and is rendered
// under the name of its file without the extension. Names may be patterns (pages/*.html). A file whose name begins with
// "_" is not a page; it is parsed into all pages.
func (s *Shell) Parse(fsys fs.FS, names ...string) (*Pages, error) {
	files, partials := map[string]string{}, []string{}
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
				partials = append(partials, string(source))
			} else {
				files[strings.TrimSuffix(base, path.Ext(f))] = string(source)
			}
		}
	}
	pages := &Pages{parsed: map[*words.Language]func() (templates, error){}}
	for _, l := range s.config.Languages.Languages() {
		pages.parsed[l] = sync.OnceValues(func() (templates, error) { return s.parse(l, files, partials) })
	}
	// So that a fault shows at start. The other languages only differ in texts.
	_, err := pages.parsed[s.config.Languages.First()]()
	return pages, err
}

func (s *Shell) parse(l *words.Language, files map[string]string, partials []string) (templates, error) {
	base := template.New("layout.html").Funcs(s.funcs(l))
	for _, source := range append([]string{layoutHTML}, partials...) {
		source, err := translated(l, source)
		if err == nil {
			_, err = base.Parse(source)
		}
		if err != nil {
			return nil, fmt.Errorf("parse layout: %w", err)
		}
	}
	pages := templates{}
	for name, source := range files {
		t, err := base.Clone()
		if err == nil {
			source, err = translated(l, source)
		}
		if err == nil {
			_, err = t.Parse(source)
		}
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
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
	parsed, err := pages.parsed[l]()
	if err != nil {
		return nil, err
	}
	t, ok := parsed[name]
	if !ok {
		return nil, fmt.Errorf("no page %q", name)
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
