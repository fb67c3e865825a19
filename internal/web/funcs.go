package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
	"unicode"
)

// funcs returns the functions for templates.
func (s *Shell) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":    s.static.url,
		"icon":     s.icon,
		"ring":     ring,
		"logo":     func() template.HTML { return template.HTML(logoSVG) },
		"initials": initials,
		"ago":      func(t time.Time) template.HTML { return ago(t, time.Now()) },
		"exactly":  func(t time.Time) template.HTML { return exactly(t, time.Now()) },
		"date":     date,
		"json":     toJSON,
	}
}

// icon returns an icon of the sprite. It is decoration: the text beside it says the same.
func (s *Shell) icon(name string) (template.HTML, error) {
	href, err := s.static.url("icons.svg")
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(s.static.sprite), `id="`+name+`"`) {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(
		`<svg class="icon" aria-hidden="true" focusable="false"><use href="` + href + `#` + name + `"/></svg>`,
	), nil
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
func ago(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	var text string
	switch {
	case d < time.Minute:
		text = "just now"
	case d < time.Hour:
		text = plural(int(d/time.Minute), "minute") + " ago"
	case d < 24*time.Hour:
		text = plural(int(d/time.Hour), "hour") + " ago"
	case d < 48*time.Hour:
		text = "yesterday"
	case d < 14*24*time.Hour:
		text = plural(int(d/(24*time.Hour)), "day") + " ago"
	default:
		text = "on " + t.UTC().Format("2 January 2006")
	}
	return timeElement(t, text)
}

// exactly formats t to the minute, with the time since then.
func exactly(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	text := t.UTC().Format("2 January 2006, 15:04 UTC")
	if now.Sub(t) >= 14*24*time.Hour || t.After(now) { // ago would only repeat the date, or has nothing to say
		return timeElement(t, text)
	}
	return timeElement(t, text) + " · " + ago(t, now)
}

func date(t time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	return timeElement(t, t.UTC().Format("2 January 2006"))
}

// timeElement never contains outside text: both arguments come from the clock.
func timeElement(t time.Time, text string) template.HTML {
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) +
		`" title="` + t.Format("2 January 2006, 15:04 UTC") + `">` + text + `</time>`)
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// toJSON is for data attributes. The template escapes its result.
func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
