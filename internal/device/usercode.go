package device

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// A user code is what a person reads off a device and types here (RFC 8628 §6.1): eight letters of an alphabet without
// vowels, so that it spells nothing, and without digits, so that no two characters look or sound alike. Of 20⁸ codes, or
// 34 bits, a few thousand live at a time; guesses are counted (devicelimit.go).
const (
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLen      = 8
	maxUserCode      = 64 // bytes of what was typed
)

// newUserCode draws a code, each letter with the same probability.
func newUserCode() string {
	code := make([]byte, 0, userCodeLen)
	for random := [1]byte{}; len(code) < userCodeLen; {
		_, _ = rand.Read(random[:])                                                   // never fails
		if n := int(random[0]); n < 256/len(userCodeAlphabet)*len(userCodeAlphabet) { // the rest would favour some letters
			code = append(code, userCodeAlphabet[n%len(userCodeAlphabet)])
		}
	}
	return string(code)
}

// readUserCode returns the code that a person typed, whatever the case, and whatever blanks, dashes or dots they put
// between the letters; false if it cannot be one.
func readUserCode(typed string) (string, bool) {
	if len(typed) > maxUserCode {
		return "", false
	}
	code := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r), r == '.', r == '_', r == '−':
			return -1
		default:
			return unicode.ToUpper(r)
		}
	}, typed)
	return code, len(code) == userCodeLen && strings.Trim(code, userCodeAlphabet) == ""
}

// groupedUserCode is a code as people see it.
func groupedUserCode(code string) string { return code[:userCodeLen/2] + "-" + code[userCodeLen/2:] }
