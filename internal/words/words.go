// Package words holds every text that people read, in all languages. There is one file per language: flat JSON, from a
// key to a message in a small part of ICU MessageFormat:
//
//	"signin.to": "Sign in to continue to {app}."
//	"minutes": "{n, plural, one {1 minute} other {# minutes}}"
//
// Code names a message and its arguments ([T]) and leaves the language to the page or e-mail that shows it. Templates
// write {{t "signin.to" "app" .App}} (package web). Tests compare the keys, the arguments and the plural forms of all
// languages with the English ones, and find texts that are not in the catalogue.
package words

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/language"
)

//go:embed *.json
var files embed.FS

// A Text is a message and its arguments, in no language yet. The zero value is empty.
type Text struct {
	Key  string
	Args []any // name, value, name, value, …
}

// T names a message of the catalogue. args are pairs of a placeholder's name and its value: a string is data (a name, a
// host), an int a number that plurals may depend on, a time.Duration is written out, a time.Time is a date, a
// Moment is a time of day too, and a Text is part of the message.
func T(key string, args ...any) Text { return Text{key, args} }

// A Moment is an argument that is written to the minute, not only to the day.
type Moment time.Time

// A Language is one of the languages that the pages speak. It is safe for concurrent use.
type Language struct {
	Tag  string // BCP 47
	Name string // in the language itself
	Dir  string // ltr or rtl

	tag      language.Tag
	messages func() map[string]message
	digits   func() *strings.Replacer
}

// languages are all languages, in the order of the switch. English is first, because it is the fallback.
var languages = []*Language{
	newLanguage("en", "English", "ltr"),
	newLanguage("de", "Deutsch", "ltr"),
	newLanguage("es", "Español", "ltr"),
	newLanguage("fr", "Français", "ltr"),
	newLanguage("ja", "日本語", "ltr"),
	newLanguage("ar", "العربية", "rtl"),
}

func newLanguage(tag, name, dir string) *Language {
	l := &Language{Tag: tag, Name: name, Dir: dir, tag: language.MustParse(tag)}
	// Read on the first use, because most commands show no page.
	l.messages = sync.OnceValue(func() map[string]message {
		body, err := files.ReadFile(tag + ".json")
		if err != nil {
			panic(err) // embedded, and read by the tests
		}
		messages, err := readCatalogue(body)
		if err != nil {
			panic(fmt.Sprintf("%s.json: %v", tag, err))
		}
		return messages
	})
	l.digits = sync.OnceValue(l.newDigits)
	return l
}

// Languages returns all languages, English first.
func Languages() []*Language { return languages }

// English returns the language of people who want none that we have.
func English() *Language { return languages[0] }

// Tags returns the tags of all languages.
func Tags() (tags []string) {
	for _, l := range languages {
		tags = append(tags, l.Tag)
	}
	return tags
}

// ByTag returns the language with exactly this tag, or nil.
func ByTag(tag string) *Language {
	for _, l := range languages {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

// Has reports whether the catalogue has this key.
func Has(key string) bool {
	_, ok := English().messages()[key]
	return ok
}

// With returns all messages whose key begins with prefix, by the rest of the key, without arguments. Scripts get theirs
// in this way.
func (l *Language) With(prefix string) map[string]string {
	found := map[string]string{}
	for key := range l.messages() {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			found[rest] = l.Text(T(key))
		}
	}
	return found
}

// Text returns t as plain text. A key that does not exist is returned as it is.
func (l *Language) Text(t Text) string {
	var b strings.Builder
	l.write(&b, t, plain)
	return b.String()
}

// HTML returns t as HTML. Arguments that are data are escaped, and isolated so that their direction does not disturb
// the sentence around them.
func (l *Language) HTML(t Text) template.HTML {
	var b strings.Builder
	l.write(&b, t, markup)
	return template.HTML(b.String())
}

// Check returns an error if the English message of t does not exist, or if its placeholders are not exactly the
// arguments of t.
func Check(t Text) error {
	m, ok := English().messages()[t.Key]
	if !ok {
		return fmt.Errorf("no message %q", t.Key)
	}
	return m.check(t.Args)
}

// readCatalogue reads a file of messages. It refuses a key that occurs twice.
func readCatalogue(body []byte) (map[string]message, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil { // {
		return nil, err
	}
	messages := map[string]message{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var text string
		if err := d.Decode(&text); err != nil {
			return nil, fmt.Errorf("%v: %w", key, err)
		}
		name, _ := key.(string)
		if _, twice := messages[name]; twice {
			return nil, fmt.Errorf("%s: twice", name)
		}
		if messages[name], err = parse(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil { // }
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more after the messages")
	}
	return messages, nil
}
