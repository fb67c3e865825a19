package words

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	// faultKeys begins the keys of all faults.
	faultKeys = "fault."
	// maxFault bounds what is looked up, in bytes: values of the input are in it.
	maxFault = 4 << 10
	// maxFaultDepth is how deep faults are within faults: line, value, reason.
	maxFaultDepth = 4
)

// A faultPattern recognises one fault of the catalogue by its English sentence.
type faultPattern struct {
	key    string
	args   []string // names, in the order of the groups
	re     *regexp.Regexp
	spoken int // length of what is the same in every fault of this kind; the longest is tried first
}

// Fault returns the text for a fault as operations report it, in English (directory.Fault); false if the catalogue has
// none. The English sentence is the key, as in gettext: the API, SCIM and commands send it as it is, and pages show it
// in the reader's language. A text matches whatever its first letter's case, its period, and its quotation marks. The
// placeholder {fault} stands for a fault in its turn, and {n} for a number.
func Fault(said string) (Text, bool) {
	if len(said) > maxFault {
		return Text{}, false
	}
	return recognise(said, maxFaultDepth)
}

func recognise(said string, depth int) (Text, bool) {
	if depth == 0 {
		return Text{}, false
	}
	said = spoken(said)
	for _, p := range faultPatterns() {
		if found := p.re.FindStringSubmatch(said); found != nil {
			if t, ok := p.text(found[1:], depth); ok {
				return t, true
			}
		}
	}
	return Text{}, false
}

// text returns the text with the values that were found.
func (p faultPattern) text(values []string, depth int) (Text, bool) {
	t := Text{Key: p.key}
	for i, name := range p.args {
		var value any = values[i]
		switch name {
		case "fault":
			inner, ok := recognise(values[i], depth-1)
			if !ok {
				return t, false
			}
			value = inner
		case "n":
			n, err := strconv.Atoi(values[i])
			if err != nil {
				return t, false
			}
			value = n
		}
		t.Args = append(t.Args, name, value)
	}
	return t, true
}

// spoken returns a sentence without what the catalogue writes in another way.
func spoken(said string) string {
	said = strings.NewReplacer("“", `"`, "”", `"`, "’", "'").Replace(strings.TrimSuffix(said, "."))
	first, size := utf8.DecodeRuneInString(said)
	return string(unicode.ToLower(first)) + said[size:]
}

var faultPatterns = sync.OnceValue(func() (patterns []faultPattern) {
	for key, m := range English().messages() {
		if strings.HasPrefix(key, faultKeys) {
			patterns = append(patterns, newFaultPattern(key, m))
		}
	}
	slices.SortFunc(patterns, func(a, b faultPattern) int {
		return cmp.Or(cmp.Compare(b.spoken, a.spoken), cmp.Compare(a.key, b.key))
	})
	return patterns
})

// faultValues are what placeholders stand for; others stand for any text.
var faultValues = map[string]string{"fault": `(.+)`, "n": `(\d+)`, "field": `([a-z][a-z0-9_.\[\]-]*)`, "list": `(.+)`}

func newFaultPattern(key string, m message) faultPattern {
	p := faultPattern{key: key}
	var re strings.Builder
	for i, part := range m {
		if part.arg != "" {
			p.args = append(p.args, part.arg)
			re.WriteString(cmp.Or(faultValues[part.arg], `(.*?)`))
			continue
		}
		text := part.text
		if i == 0 {
			first, size := utf8.DecodeRuneInString(text)
			text = string(unicode.ToLower(first)) + text[size:]
		}
		if i == len(m)-1 {
			text = strings.TrimSuffix(text, ".")
		}
		text = strings.NewReplacer("“", `"`, "”", `"`, "’", "'").Replace(text)
		colon := i+1 < len(m) && m[i+1].arg == "fault" && strings.HasSuffix(text, ": ")
		if colon {
			text = strings.TrimSuffix(text, ": ")
		}
		p.spoken += len(text)
		re.WriteString(regexp.QuoteMeta(text))
		if colon {
			re.WriteString(`:? `)
		}
	}
	p.re = regexp.MustCompile(`(?s)^` + re.String() + `$`)
	return p
}
