package desk

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// Kinds of fields.
const (
	KindText   = "text"
	KindLines  = "lines"  // a value a line
	KindCode   = "code"   // text with structure
	KindSelect = "select" // one of the choices
	KindCheck  = "check"  // yes or no
	KindChecks = "checks" // some of the choices
)

// A Field is a part of a form. Its label is the text Key, its hint Key.hint if there is one.
type Field struct {
	Kind, Name, Key string
	Value           string // text, lines, select
	On              bool   // check
	Choices         []Choice
	Example         string
	Test            string // hook for tests
	Required        bool
	// Title and Help are the label and the hint if they are data.
	Title, Help words.Text
	Faults      []string // as operations report them; pages say them in their language (words.Fault)
}

// A Choice is one value of a select or of checks.
type Choice struct {
	Value, Name string
	Text        words.Text // instead of Name
	On          bool
}

// A Section is a group of fields. Without a title it is always open.
type Section struct {
	Title   words.Text
	Present words.Text // its present value, beside the title
	Fields  []Field
	Open    bool
}

// Label and Hint are the texts of a field.
func (f Field) Label() words.Text {
	if f.Title.Key != "" {
		return f.Title
	}
	return words.T(f.Key)
}

// Hint is described at Label.
func (f Field) Hint() words.Text {
	if key := f.Key + ".hint"; f.Help.Key == "" && words.Has(key) {
		return words.T(key)
	}
	return f.Help
}

// About is what the control says of its hint or faults, to those who cannot see them.
func (f Field) About() template.HTMLAttr {
	at := `aria-describedby="about-` + template.HTMLEscapeString(f.Name) + `"`
	switch {
	case len(f.Faults) > 0:
		return template.HTMLAttr(`aria-invalid="true" ` + at)
	case f.Hint().Key != "":
		return template.HTMLAttr(at)
	}
	return ""
}

// A Form is the input of a page: sections, and what is wrong with no field in particular.
type Form struct {
	Sections []Section
	Faults   []string
	Count    int // of all faults
}

// Blame puts faults beside their fields and opens their sections. names maps members of the object to fields of the
// form, where they differ.
func (f *Form) Blame(faults directory.Faults, names map[string]string) {
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
		f.Sections[i].Open = f.Sections[i].Open || slices.ContainsFunc(f.Sections[i].Fields, func(f Field) bool {
			return len(f.Faults) > 0
		})
	}
}

func (f *Form) find(name string) *Field {
	for i := range f.Sections {
		for j := range f.Sections[i].Fields {
			if f.Sections[i].Fields[j].Name == name {
				return &f.Sections[i].Fields[j]
			}
		}
	}
	return nil
}

// Lines returns the values of a field of lines, without blank ones.
func Lines(form url.Values, name string) (values []string) {
	for line := range strings.Lines(form.Get(name)) {
		if line = strings.TrimSpace(line); line != "" {
			values = append(values, line)
		}
	}
	return values
}

// Listed returns the values of a text that commas separate.
func Listed(text string) (values []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			values = append(values, part)
		}
	}
	return values
}

// Checked returns the checked choices of a field, in the order of its choices.
func Checked(form url.Values, name string, of []string) (values []string) {
	for _, value := range of {
		if slices.Contains(form[name], value) {
			values = append(values, value)
		}
	}
	return values
}

// Choices returns choices named by their values.
func Choices(values []string, on ...string) (list []Choice) {
	for _, v := range values {
		list = append(list, Choice{Value: v, Name: v, On: slices.Contains(on, v)})
	}
	return list
}

// maxQuery bounds what a query of ours may contain, in bytes: client IDs can be URLs.
const maxQuery = 2048

// Query returns a value of the query that a store can compare with; "" for others, which Postgres would reject.
func Query(q url.Values, name string) string {
	s := strings.TrimSpace(q.Get(name))
	if len(s) > maxQuery || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// ManagedBy is the answer for a form of what a file manages (stepward apply), before anybody fills it in. next is the
// page to go back to.
func ManagedBy(file, next string) error {
	return &web.Problem{
		Status: http.StatusForbidden, Words: "console.file", Args: []any{"file", file}, NextURL: next,
	}
}

// LinkTo returns a path with a query of the values that are not empty.
func LinkTo(path string, pairs ...string) string {
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
