// These tests are inside the package: they read the parsed messages and break the checks on purpose.

package words

import (
	"html/template"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/feature/plural"
)

// faults compares a catalogue with the English one.
func faults(l *Language, english, own map[string]message) (found []string) {
	complain := func(key, what string) { found = append(found, l.Tag+" "+key+": "+what) }
	for key, m := range english {
		o, ok := own[key]
		if !ok {
			complain(key, "missing")
			continue
		}
		if want, got := m.placeholders(), o.placeholders(); !slices.Equal(want, got) {
			complain(key, "has the arguments "+strings.Join(got, " ")+", not "+strings.Join(want, " "))
		}
		if want, got := m.text(), o.text(); strings.Count(want, "<strong>") != strings.Count(got, "<strong>") {
			complain(key, "has other elements")
		}
		for _, form := range o.plurals() {
			if want := l.categories(); !slices.Equal(slices.Sorted(maps.Keys(form)), want) {
				complain(key, "has plurals for "+strings.Join(slices.Sorted(maps.Keys(form)), " ")+", not "+strings.Join(want, " "))
			}
		}
		if len(m.plurals()) > 0 && len(o.plurals()) == 0 {
			complain(key, "has no plural")
		}
		if text := o.text(); oddText.MatchString(text) || strings.TrimSpace(text) != text || text == "" && m.text() != "" {
			complain(key, "is not typeset: "+text)
		}
	}
	for key := range own {
		if _, ok := english[key]; !ok {
			complain(key, "is not in English")
		}
	}
	slices.Sort(found)
	return found
}

// oddText matches straight apostrophes and quotes, doubled spaces, three dots for an ellipsis, and HTML but <strong>.
var oddText = regexp.MustCompile(`['"]|  |\.\.\.|<[^s/]|<s[^t]|</[^s]|&`)

// text returns all text of a message, with x for its arguments.
func (m message) text() (all string) {
	for _, p := range m {
		all += p.text
		for _, form := range p.forms {
			all += form.text()
		}
		if p.forms == nil && p.arg != "" {
			all += "x"
		}
	}
	return all
}

func (m message) plurals() (found []map[string]message) {
	for _, p := range m {
		if p.forms != nil {
			found = append(found, p.forms)
		}
	}
	return found
}

// categories returns the plural categories of whole numbers in a language, as CLDR has them.
func (l *Language) categories() []string {
	found := map[string]bool{}
	for n := range 1000 {
		found[names[plural.Cardinal.MatchPlural(l.tag, n, 0, 0, 0, 0)]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func TestEveryLanguageHasEveryText(t *testing.T) {
	for _, l := range Languages() {
		for _, fault := range faults(l, English().messages(), l.messages()) {
			t.Error(fault)
		}
	}
}

// Checks that the check above can fail, once for each rule.
func TestAFaultyCatalogueIsNoticed(t *testing.T) {
	english := `{"a": "Hello {name}", "n": "{n, plural, one {1 day} other {# days}}", "s": "to <strong>{x}</strong>"}`
	arabic := `"a": "مرحبا {name}", "s": "إلى <strong>{x}</strong>", "n": "{n, plural, zero {0} one {1} two {2} few {#} many {#} other {#}}"`
	for want, own := range map[string]string{
		"":                           `{` + arabic + `}`,
		"ar a: missing":              strings.Replace(`{`+arabic+`}`, `"a": "مرحبا {name}", `, "", 1),
		"ar z: is not in English":    `{"z": "?", ` + arabic + `}`,
		"ar a: has the arguments , ": strings.Replace(`{`+arabic+`}`, " {name}", "", 1),
		"ar n: has plurals for many": strings.Replace(`{`+arabic+`}`, "few {#}", "", 1),
		"ar s: has other elements":   strings.NewReplacer("<strong>", "", "</strong>", "").Replace(`{` + arabic + `}`),
		"ar a: is not typeset":       strings.Replace(`{`+arabic+`}`, "مرحبا", "مرحبا'", 1),
	} {
		messages, err := readCatalogue([]byte(english))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := readCatalogue([]byte(own))
		if err != nil {
			t.Fatal(err)
		}
		found := faults(ByTag("ar"), messages, theirs)
		if want == "" && len(found) > 0 || want != "" && (len(found) != 1 || !strings.HasPrefix(found[0], want)) {
			t.Errorf("want %q, got %q", want, found)
		}
	}
	if _, err := readCatalogue([]byte(`{"a": "x", "a": "y"}`)); err == nil {
		t.Error("a key twice")
	}
}

func TestBrokenMessagesAreRefused(t *testing.T) {
	for _, s := range []string{
		"{", "}", "{}", "{a", "{A}", "{a b}", "{n, plural}", "{n, plural, one {1}}", "{n, plural, other {#}", "{n, plural, some {1} other {#}}",
		"{n, plural, one {1} one {1} other {#}}", "{n, select, other {#}}", "a } b", "{n, plural, other {#}}}", "{n, plural, other {{}}",
	} {
		if m, err := parse(s); err == nil {
			t.Errorf("%q was read as %v", s, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("{n, plural, one {1 {what}} other {# {what}}} and {x}")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := parse(s); err == nil && strings.ContainsAny(m.text(), "{}") {
			t.Errorf("%q: a brace in the text", s)
		}
	})
}

func TestNumbersDatesAndPlurals(t *testing.T) {
	at := time.Date(2026, 11, 7, 15, 4, 0, 0, time.UTC)
	en := English()
	for got, want := range map[string]string{
		en.Number(12): "12", en.Number(1234567): "1,234,567", en.Date(at): "7 November 2026", en.Moment(at): "7 November 2026, 15:04 UTC",
		en.Duration(90 * time.Second): "1 minute", en.Duration(59 * time.Second): "59 seconds", en.Duration(2 * time.Hour): "2 hours", en.Duration(50 * time.Hour): "2 days",
		en.Text(And("a", "b", "c")): "a and b and c", en.Text(And()): "",
		ByTag("de").Number(12345): "12.345", ByTag("ar").Number(12): "١٢",
		en.Text(T("nowhere")): "nowhere",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	few, err := parse("{n, plural, zero {none} one {one} two {two} few {few #} many {many #} other {other #}}")
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{0: "none", 1: "one", 2: "two", 3: "few ٣", 11: "many ١١", 100: "other ١٠٠"} {
		var b strings.Builder
		ByTag("ar").writeMessage(&b, few, []any{"n", n}, plain)
		if b.String() != want {
			t.Errorf("%d: %q, want %q", n, b.String(), want)
		}
	}
}

// A name in another direction must not reorder the sentence around it, and is never HTML.
func TestArgumentsAreDataAndIsolated(t *testing.T) {
	m, err := parse("for <strong>{app}</strong> & {n}")
	if err != nil {
		t.Fatal(err)
	}
	write := func(tag, app string, form int) string {
		var b strings.Builder
		ByTag(tag).writeMessage(&b, m, []any{"app", app, "n", 5}, form)
		return b.String()
	}
	for got, want := range map[string]string{
		write("en", "<b>", markup):  "for <strong><bdi>&lt;b&gt;</bdi></strong> &amp; 5",
		write("en", "Acme", plain):  "for Acme & 5",
		write("en", "بنك", plain):   "for \u2068بنك\u2069 & 5",
		write("ar", "Acme", plain):  "for \u2068Acme\u2069 & ٥",
		write("ar", "Acme", markup): "for <strong><bdi>Acme</bdi></strong> &amp; ٥",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := English().HTML(T("agent.on", "browser", template.HTML("<b>x</b>"), "system", T("agent.go"))); got != "<b>x</b> on a Go program" {
		t.Errorf("%q", got)
	}
}

func TestTheLanguageIsTheFirstOneWantedThatWeHave(t *testing.T) {
	for wanted, want := range map[string]string{
		"de-CH,de;q=0.9,en;q=0.8": "de", "it,en;q=0.5": "en", "it": "", "": "", "*": "", "se fr-CA xx-invalid-tag": "fr", "ar-EG": "ar", "es-419": "es",
		"en;q=0.1,ja;q=0.9": "ja", "de;q=0,fr": "fr", "gsw": "de", "zh-CN,zh;q=0.9": "", "\x00;q=a,,;;": "", strings.Repeat("x-y,", 9000) + "de": "",
		"de": "de", "tlh, de-AT": "de",
	} {
		l := All().Choose(wanted)
		if got := map[bool]string{true: ""}[l == nil]; l != nil && l.Tag != want || l == nil && got != want {
			t.Errorf("%.40q: %v, want %q", wanted, l, want)
		}
	}
	for i := range 3 * maxWishes {
		All().Choose("de;q=0." + strings.Repeat("1", i%150) + strings.Repeat(" ", i/150))
	}
	all.mu.RLock()
	defer all.mu.RUnlock()
	if len(all.wishes) > maxWishes {
		t.Errorf("%d wishes are remembered", len(all.wishes))
	}
}

func TestASetHasOnlyItsLanguages(t *testing.T) {
	s, err := Only([]string{"ja", "de", "ja"})
	if err != nil || strings.Join(s.Tags(), " ") != "ja de" || s.First().Tag != "ja" || s.Has(English()) || s.Has(nil) || !s.Has(ByTag("de")) {
		t.Errorf("%v %v", s.Tags(), err)
	}
	for wanted, want := range map[string]*Language{"en": nil, "": nil, "en, de;q=0.1": ByTag("de"), "fr ja": ByTag("ja")} {
		if l := s.Choose(wanted); l != want {
			t.Errorf("%q: %v", wanted, l)
		}
	}
	for _, bad := range [][]string{nil, {"en", "xx"}, {"de-AT"}} {
		if s, err := Only(bad); err == nil {
			t.Errorf("%q: %v", bad, s.Tags())
		}
	}
}

// Data is the key of texts that are not ours: a key below it would look like the title of one.
func TestNoKeyIsBelowData(t *testing.T) {
	for key := range English().messages() {
		if strings.HasPrefix(key, Data("").Key+".") {
			t.Errorf("%s: choose another name", key)
		}
	}
}

// A button says what it does in a few words: sentences stand beside it.
func TestAButtonIsALabel(t *testing.T) {
	for _, l := range Languages() {
		for key, m := range l.messages() {
			if label := m.text(); strings.HasSuffix(key, ".button") && (len([]rune(label)) > 40 || strings.ContainsAny(label, ".!。")) {
				t.Errorf("%s %s is no label: %s", l.Tag, key, label)
			}
		}
	}
}

// An error page that advises or leads on says in its title what happened.
func TestAProblemWithAWayOnHasATitle(t *testing.T) {
	english := English().messages()
	for key := range english {
		problem, leads := strings.CutSuffix(key, ".button")
		if !leads {
			problem, leads = strings.CutSuffix(key, ".next")
		}
		if _, tells := english[problem+".text"]; !leads || !tells {
			continue
		}
		if title := english[problem+".title"].text(); title == "" || title == english["problem.title"].text() {
			t.Errorf("%s: title %q", problem, title)
		}
	}
}
