package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NormalizeEmail returns the spelling under which an address is stored and looked up: NFC, lower case, trimmed. It
// reports false for text that cannot be an address; only a delivered e-mail proves that the address works.
func NormalizeEmail(s string) (string, bool) {
	s = strings.ToLower(norm.NFC.String(strings.TrimSpace(s)))
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > 64 || len(s) > 254 || len(domain) < 1 {
		return "", false
	}
	if strings.ContainsAny(domain, "@[]<>()\",;:\\/") || strings.HasPrefix(domain, ".") ||
		strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") {
		return "", false
	}
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>()\",;:\\", r) {
			return "", false
		}
	}
	return s, true
}

// NormalizeName returns a name to show to people: NFC, single spaces, at most 80 characters, without control characters
// or characters that change the direction of text. It reports false if the name is empty, invisible or too long.
func NormalizeName(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, norm.NFC.String(s))
	s = strings.Join(strings.Fields(s), " ")
	return s, utf8.RuneCountInString(s) <= 80 && strings.ContainsFunc(s, Visible)
}

// Visible reports whether a rune is visible by itself. Some letters and symbols are not: fillers, and the blank Braille
// pattern.
func Visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!strings.ContainsRune("\u115f\u1160\u3164\uffa0\u2800", r)
}
