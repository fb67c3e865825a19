package words

import (
	"errors"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/unicode/bidi"
)

// A message is a parsed text: its parts in order.
type message []part

// A part is a piece of text, the place of an argument, or a plural.
type part struct {
	text  string
	arg   string             // the name of a placeholder; # within a plural has the plural's
	forms map[string]message // of a plural, by CLDR category
}

// parse reads a message: text, {name}, and {name, plural, one {…} other {…}} with # for the number (ICU MessageFormat).
// There is no quoting: a message cannot contain braces, so it is safe inside a template.
func parse(s string) (message, error) {
	m, rest, err := parseUntil(s, "", false)
	if err == nil && rest != "" {
		err = errors.New("a } without a {")
	}
	return m, err
}

// parseUntil reads parts up to the } that ends a form of a plural over number, or to the end.
func parseUntil(s, number string, inForm bool) (m message, rest string, err error) {
	special := "{}"
	if inForm {
		special = "{}#"
	}
	for {
		i := strings.IndexAny(s, special)
		if i < 0 {
			if inForm {
				return nil, "", errors.New("a { without a }")
			}
			if s != "" {
				m = append(m, part{text: s})
			}
			return m, "", nil
		}
		if i > 0 {
			m = append(m, part{text: s[:i]})
		}
		c := s[i]
		s = s[i+1:]
		switch c {
		case '}':
			if !inForm {
				return nil, "", errors.New("a } without a {")
			}
			return m, s, nil
		case '#':
			m = append(m, part{arg: number})
		default:
			var p part
			if p, s, err = parsePlace(s); err != nil {
				return nil, "", err
			}
			m = append(m, p)
		}
	}
}

// parsePlace reads what follows a {.
func parsePlace(s string) (p part, rest string, err error) {
	i := strings.IndexAny(s, ",}")
	if i < 0 {
		return p, "", errors.New("a { without a }")
	}
	p.arg = strings.TrimSpace(s[:i])
	if p.arg == "" || strings.Trim(p.arg, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return p, "", fmt.Errorf("a placeholder is named %q", p.arg)
	}
	if s[i] == '}' {
		return p, s[i+1:], nil
	}
	kind, forms, _ := strings.Cut(s[i+1:], ",")
	if strings.TrimSpace(kind) != "plural" {
		return p, "", fmt.Errorf("{%s, %s}: only plural is known", p.arg, strings.TrimSpace(kind))
	}
	p.forms = map[string]message{}
	for s = strings.TrimSpace(forms); !strings.HasPrefix(s, "}"); s = strings.TrimSpace(s) {
		category, after, ok := strings.Cut(s, "{")
		category = strings.TrimSpace(category)
		if known := slices.Contains(slices.Collect(maps.Values(names)), category); !ok || !known {
			return p, "", fmt.Errorf("{%s}: %q is not a plural category", p.arg, category)
		}
		if p.forms[category] != nil {
			return p, "", fmt.Errorf("{%s}: %s twice", p.arg, category)
		}
		if p.forms[category], s, err = parseUntil(after, p.arg, true); err != nil {
			return p, "", err
		}
	}
	if p.forms["other"] == nil {
		return p, "", fmt.Errorf("{%s}: no form for other", p.arg)
	}
	return p, s[1:], nil
}

// names are the plural categories of CLDR.
var names = map[plural.Form]string{
	plural.Zero: "zero", plural.One: "one", plural.Two: "two",
	plural.Few: "few", plural.Many: "many", plural.Other: "other",
}

// category returns the plural category of n.
func (l *Language) category(n int) string {
	if n < 0 {
		n = -n
	}
	return names[plural.Cardinal.MatchPlural(l.tag, n%10_000_000, 0, 0, 0, 0)]
}

// placeholders returns the names of all placeholders of a message.
func (m message) placeholders() []string {
	found := map[string]bool{}
	m.collect(found)
	return slices.Sorted(maps.Keys(found))
}

func (m message) collect(found map[string]bool) {
	for _, p := range m {
		if p.arg != "" {
			found[p.arg] = true
		}
		for _, form := range p.forms {
			form.collect(found)
		}
	}
}

// check compares arguments with the placeholders of the message.
func (m message) check(args []any) error {
	var given []string
	for i := 0; i < len(args); i += 2 {
		name, ok := args[i].(string)
		if !ok || i+1 == len(args) {
			return errors.New("arguments are pairs of a name and a value")
		}
		given = append(given, name)
	}
	slices.Sort(given)
	if want := m.placeholders(); !slices.Equal(given, want) {
		return fmt.Errorf("has the arguments %q, wants %q", given, want)
	}
	return nil
}

// The two forms of output.
const (
	plain = iota
	markup
)

// written is text that is in the language already.
type written string

func (l *Language) write(b *strings.Builder, t Text, form int) {
	if t.Key == "" {
		return
	}
	m, ok := l.messages()[t.Key]
	if !ok {
		m = message{{text: t.Key}} // a test finds it
	}
	l.writeMessage(b, m, t.Args, form)
}

func (l *Language) writeMessage(b *strings.Builder, m message, args []any, form int) {
	for _, p := range m {
		switch {
		case p.forms != nil:
			n, _ := argument(args, p.arg).(int)
			chosen, ok := p.forms[l.category(n)]
			if !ok {
				chosen = p.forms["other"]
			}
			l.writeMessage(b, chosen, args, form)
		case p.arg != "":
			l.writeArgument(b, argument(args, p.arg), form)
		case form == markup:
			b.WriteString(escape(p.text))
		default:
			b.WriteString(withoutTags.Replace(p.text))
		}
	}
}

// argument returns the value of a placeholder. Without one it is the placeholder itself: scripts fill in their own.
func argument(args []any, name string) any {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == name {
			return args[i+1]
		}
	}
	return written("{" + name + "}")
}

func (l *Language) writeArgument(b *strings.Builder, v any, form int) {
	switch v := v.(type) {
	case Text:
		l.write(b, v, form)
	case written:
		b.WriteString(string(v))
	case int:
		b.WriteString(l.Number(v))
	case time.Duration:
		b.WriteString(l.Duration(v))
	case time.Time:
		b.WriteString(l.Date(v))
	case Moment:
		b.WriteString(l.Moment(time.Time(v)))
	case template.HTML:
		if form == markup {
			b.WriteString(string(v))
		}
	default:
		data := fmt.Sprint(v)
		switch {
		case form == markup && data != "":
			b.WriteString("<bdi>" + template.HTMLEscapeString(data) + "</bdi>")
		case l.foreign(data):
			b.WriteString("\u2068" + data + "\u2069") // FIRST STRONG ISOLATE … POP DIRECTIONAL ISOLATE
		default:
			b.WriteString(data)
		}
	}
}

// foreign reports whether data contains letters or digits that run against the direction of the language. Plain text
// has no <bdi>, so they need marks around them.
func (l *Language) foreign(data string) bool {
	for _, r := range data {
		p, _ := bidi.LookupRune(r)
		switch p.Class() {
		case bidi.R, bidi.AL, bidi.AN:
			if l.Dir == "ltr" {
				return true
			}
		case bidi.L, bidi.EN:
			if l.Dir == "rtl" {
				return true
			}
		}
	}
	return false
}

// Messages contain no HTML but <strong>.
var (
	tags        = strings.NewReplacer("&lt;strong&gt;", "<strong>", "&lt;/strong&gt;", "</strong>")
	withoutTags = strings.NewReplacer("<strong>", "", "</strong>", "")
)

func escape(text string) string {
	if !strings.ContainsAny(text, `<>&"'`) {
		return text
	}
	return tags.Replace(template.HTMLEscapeString(text))
}
