package console

import (
	"html/template"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/words"
)

// Kinds of fields.
const (
	kindText   = "text"
	kindLines  = "lines"  // a value a line
	kindSelect = "select" // one of the choices
	kindCheck  = "check"  // yes or no
	kindChecks = "checks" // some of the choices
)

// A field is a part of a form. Its label is the text Key, its hint Key.hint if there is one.
type field struct {
	Kind, Name, Key string
	Value           string // text, lines, select
	On              bool   // check
	Choices         []choice
	Example         string
	Test            string // hook for tests
	Required        bool
	Faults          []string // in English, as operations say them
}

// A choice is one value of a select or of checks.
type choice struct {
	Value, Name string
	Text        words.Text // instead of Name
	On          bool
}

// A section is a group of fields. Without a title it is always open.
type section struct {
	Title   words.Text
	Present words.Text // its present value, beside the title
	Fields  []field
	Open    bool
}

// Label and Hint are the texts of a field.
func (f field) Label() words.Text { return words.T(f.Key) }

// Hint is described at Label.
func (f field) Hint() words.Text {
	if key := f.Key + ".hint"; words.Has(key) {
		return words.T(key)
	}
	return words.Text{}
}

// About is what the control says of its hint or faults, to those who cannot see them.
func (f field) About() template.HTMLAttr {
	at := `aria-describedby="about-` + template.HTMLEscapeString(f.Name) + `"`
	switch {
	case len(f.Faults) > 0:
		return template.HTMLAttr(`aria-invalid="true" ` + at)
	case f.Hint().Key != "":
		return template.HTMLAttr(at)
	}
	return ""
}

// A form is the input of a page: sections, and what is wrong with no field in particular.
type form struct {
	Sections []section
	Faults   []string
	Count    int // of all faults
}

// blame puts faults beside their fields and opens their sections. names maps members of the object to fields of the
// form, where they differ.
func (f *form) blame(faults directory.Faults, names map[string]string) {
	f.Count = len(faults)
	for _, fault := range faults {
		name := fault.Field
		if other, ok := names[name]; ok {
			name = other
		}
		if at := f.find(name); at != nil {
			at.Faults = append(at.Faults, fault.Text)
			continue
		}
		f.Faults = append(f.Faults, strings.TrimSpace(fault.Field+" "+fault.Text))
	}
	for i := range f.Sections {
		f.Sections[i].Open = f.Sections[i].Open || slices.ContainsFunc(f.Sections[i].Fields, func(f field) bool {
			return len(f.Faults) > 0
		})
	}
}

func (f *form) find(name string) *field {
	for i := range f.Sections {
		for j := range f.Sections[i].Fields {
			if f.Sections[i].Fields[j].Name == name {
				return &f.Sections[i].Fields[j]
			}
		}
	}
	return nil
}

// lines returns the values of a field of lines, without blank ones.
func lines(form url.Values, name string) (values []string) {
	for line := range strings.Lines(form.Get(name)) {
		if line = strings.TrimSpace(line); line != "" {
			values = append(values, line)
		}
	}
	return values
}

// listed returns the values of a text that commas separate.
func listed(text string) (values []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			values = append(values, part)
		}
	}
	return values
}

// checked returns the checked choices of a field, in the order of its choices.
func checked(form url.Values, name string, of []string) (values []string) {
	for _, value := range of {
		if slices.Contains(form[name], value) {
			values = append(values, value)
		}
	}
	return values
}

// choices returns choices named by their values.
func choices(values []string, on ...string) (list []choice) {
	for _, v := range values {
		list = append(list, choice{Value: v, Name: v, On: slices.Contains(on, v)})
	}
	return list
}

// maxQuery bounds what a query of ours may contain, in bytes: client IDs can be URLs.
const maxQuery = 2048

// query returns a value of the query that a store can compare with; "" for others, which Postgres would reject.
func query(q url.Values, name string) string {
	s := strings.TrimSpace(q.Get(name))
	if len(s) > maxQuery || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// linkTo returns a path with a query of the values that are not empty.
func linkTo(path string, pairs ...string) string {
	q := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
