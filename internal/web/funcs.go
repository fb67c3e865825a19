package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/words"
)

// funcs returns the functions for templates in a language.
func (s *Shell) funcs(l *words.Language) template.FuncMap {
	buttons := s.languageButtons(l) // the same on every page
	return template.FuncMap{
		"asset":     func(name string) (string, error) { return s.static.url(l, name) },
		"icon":      s.icon,
		"ring":      ring,
		"logo":      func() template.HTML { return template.HTML(logoSVG) },
		"initials":  initials,
		"ago":       func(t time.Time) template.HTML { return ago(l, t, time.Now()) },
		"exactly":   func(t time.Time) template.HTML { return exactly(l, t, time.Now()) },
		"date":      func(t time.Time) template.HTML { return date(l, t) },
		"json":      toJSON,
		"agent":     func(stored string) string { return l.Text(AgentWords(stored)) },
		"place":     func(address string) template.HTML { return s.place(l, address) },
		"languages": func() template.HTML { return buttons },
		"t": func(text any, args ...any) (template.HTML, error) {
			m, err := named(text, args)
			return l.HTML(m), err
		},
		"plain": func(text any, args ...any) (string, error) { // where there can be no element, as in a title
			m, err := named(text, args)
			return l.Text(m), err
		},
		"fault": func(said string) template.HTML { return fault(l, said) },
	}
}

// fault returns a fault that an operation reports in English; one that the catalogue lacks stays English, and says so.
func fault(l *words.Language, said string) template.HTML {
	if t, ok := words.Fault(said); ok {
		return l.HTML(t)
	}
	return template.HTML(`<span lang="en" dir="ltr">` + template.HTMLEscapeString(said) + `</span>`)
}

// place says roughly where an address is, after what stands before it; nothing if that is not known.
func (s *Shell) place(l *words.Language, address string) template.HTML {
	if s.config.Place == nil || address == "" {
		return ""
	}
	place := s.config.Place(address, l)
	if place.Key == "" {
		return ""
	}
	return ` · <span data-test="place">` + l.HTML(place) + `</span>`
}

// named returns the message of {{t …}}: a key with arguments, or a text that the program made.
func named(text any, args []any) (words.Text, error) {
	if m, ok := text.(words.Text); ok && len(args) == 0 {
		return m, nil
	}
	key, ok := text.(string)
	if !ok {
		return words.Text{}, fmt.Errorf("%T names no text", text)
	}
	if !words.Has(key) {
		return words.Text{}, fmt.Errorf("no text %q", key)
	}
	return words.T(key, args...), nil // a test compares the arguments: comparing them here would cost more than the text
}

// icon returns an icon of the sprite. It is decoration: the text beside it says the same.
func (s *Shell) icon(name string) (template.HTML, error) {
	if !s.static.icons[name] {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(`<svg class="icon" aria-hidden="true" focusable="false"><use href="/static/` +
		s.static.names["icons.svg"] + `#` + name + `"/></svg>`), nil
}

// ring draws the remaining part of a window, 0 to 1.
func ring(fraction float64) template.HTML {
	if math.IsNaN(fraction) {
		fraction = 0
	}
	left := math.Round(100 * min(max(fraction, 0), 1))
	return template.HTML(fmt.Sprintf(`<svg class="ring" viewBox="0 0 36 36" aria-hidden="true" focusable="false">`+
		`<circle cx="18" cy="18" r="15.5"/>`+
		`<circle class="left" cx="18" cy="18" r="15.5" pathLength="100" stroke-dasharray="%g 100"/></svg>`, left))
}

// initials returns one or two characters for a name.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '@' })
	first := func(word string) string {
		for _, r := range word {
			if unicode.IsLetter(r) || unicode.IsNumber(r) {
				return strings.ToUpper(string(r))
			}
		}
		for _, r := range word { // a name of emoji
			return string(r)
		}
		return ""
	}
	switch {
	case len(words) == 0:
		return "?"
	case len(words) == 1 || strings.Contains(name, "@"):
		return first(words[0])
	}
	return first(words[0]) + first(words[len(words)-1])
}

// ago describes how long before now t was.
func ago(l *words.Language, t, now time.Time) template.HTML {
	if t.IsZero() {
		return never(l)
	}
	return timeElement(l, t, l.Ago(t, now))
}

// exactly formats t to the minute, with the time since then.
func exactly(l *words.Language, t, now time.Time) template.HTML {
	if t.IsZero() {
		return never(l)
	}
	text := timeElement(l, t, l.Moment(t))
	if now.Sub(t) >= 14*24*time.Hour || t.After(now) { // ago would only repeat the date, or has nothing to say
		return text
	}
	return text + " · " + ago(l, t, now)
}

func date(l *words.Language, t time.Time) template.HTML {
	if t.IsZero() {
		return never(l)
	}
	return timeElement(l, t, l.Date(t))
}

func never(l *words.Language) template.HTML { return l.HTML(words.T("ago.never")) }

// timeElement never contains outside text: it comes from the clock and the catalogue.
func timeElement(l *words.Language, t time.Time, text string) template.HTML {
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` +
		template.HTMLEscapeString(l.Moment(t)) + `">` + template.HTMLEscapeString(text) + `</time>`)
}

// toJSON is for data attributes. The template escapes its result.
func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
