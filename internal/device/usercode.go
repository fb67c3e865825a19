package device

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// A user code is read off a device and typed here (RFC 8628 §6.1). It has eight letters without vowels, so that it
// spells no words, and no digits, so that no two characters look or sound alike. Of 20⁸ codes (34 bits) a few
// thousand exist at a time. Guesses are limited (devicelimit.go).
const (
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLen      = 8
	maxUserCode      = 64 // of input
)

// newUserCode draws a code. All letters are equally likely.
func newUserCode() string {
	code := make([]byte, 0, userCodeLen)
	for random := [1]byte{}; len(code) < userCodeLen; {
		_, _ = rand.Read(random[:]) // never fails
		// else some letters would be more likely
		if n := int(random[0]); n < 256/len(userCodeAlphabet)*len(userCodeAlphabet) {
			code = append(code, userCodeAlphabet[n%len(userCodeAlphabet)])
		}
	}
	return string(code)
}

// readUserCode normalizes a typed code: it ignores case and any spaces, dashes or dots between the letters. ok is false
// if it cannot be a code.
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

// groupedUserCode formats a code for people.
func groupedUserCode(code string) string { return code[:userCodeLen/2] + "-" + code[userCodeLen/2:] }
