package rows

import (
	"fmt"
	"strings"
)

// browserLetters and systemLetters are the stored form of the usual descriptions of browsers: never change a letter.
var (
	browserLetters = map[string]string{
		"Chrome": "C", "Safari": "S", "Firefox": "F", "Edge": "E", "Opera": "O", "Vivaldi": "V", "Samsung Internet": "I",
		"Yandex Browser": "Y", "DuckDuckGo": "D", "a web view": "w", "a browser": "b",
	}
	systemLetters = map[string]string{
		"iPhone": "i", "iPad": "p", "Android": "a", "ChromeOS": "c", "Windows": "w", "macOS": "m", "Linux": "l",
		"FreeBSD": "f", "OpenBSD": "o",
	}
	browserNames, systemNames = reverse(browserLetters), reverse(systemLetters)
)

func reverse(m map[string]string) map[string]string {
	r := make(map[string]string, len(m))
	for name, letter := range m {
		r[letter] = name
	}
	return r
}

// packAgent returns the stored form of a browser, "Firefox on macOS": two letters, or all of a text that has none.
// Another text of two letters gets a space at its end.
func packAgent(name string) string {
	browser, system, _ := strings.Cut(name, " on ")
	b, s := browserLetters[browser], systemLetters[system]
	switch {
	case b != "" && s != "" && name == browser+" on "+system:
		return b + s
	case spaced(name):
		return name + " "
	}
	return name
}

// spaced reports two letters with any number of spaces behind them.
func spaced(s string) bool { return len(s) >= 2 && strings.Trim(s[2:], " ") == "" }

// agent scans a result of packAgent, or a text of the form before.
type agent string

// Scan implements sql.Scanner.
func (a *agent) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("browser stored as %T", v)
	}
	if len(s) == 2 {
		if b, system := browserNames[s[:1]], systemNames[s[1:]]; b != "" && system != "" {
			s = b + " on " + system
		}
	} else if spaced(s) {
		s = s[:len(s)-1]
	}
	*a = agent(s)
	return nil
}
