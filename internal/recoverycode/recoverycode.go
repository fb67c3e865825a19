// Package recoverycode makes the recovery codes that people save, recognises them, and writes the sheet that shows
// them.
package recoverycode

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
)

const (
	// Count is how many recovery codes a user has.
	Count     = 4
	codeBytes = 15 // 120 bits: 24 characters, and a check character that catches typing errors
	codeChars = 25
	groupSize = 5
)

// crockford leaves out U and the letters that look like digits.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var encoding = base32.NewEncoding(crockford).WithPadding(base32.NoPadding)

// A Key hashes recovery codes. Codes that were made under another key do not work.
type Key struct {
	id     string
	secret []byte
}

// NewKey returns the key with this secret of 32 random bytes, which all replicas share.
func NewKey(secret []byte) Key {
	sum := sha256.Sum256(append([]byte("stepward recovery key id\x00"), secret...))
	return Key{id: base64.RawURLEncoding.EncodeToString(sum[:6]), secret: secret}
}

// Make returns new recovery codes for a user: the codes to show, once, and the records to store.
func (k Key) Make(userID string, now time.Time) (shown []idp.Secret, stored []idp.RecoveryCode) {
	for range Count {
		random := make([]byte, codeBytes)
		_, _ = rand.Read(random) // never fails
		text := encoding.EncodeToString(random)
		code := idp.Secret(text + checkCharacter(text))
		shown = append(shown, grouped(code))
		stored = append(stored, idp.RecoveryCode{Hash: k.hash(userID, code), KeyID: k.id, CreatedAt: now})
	}
	return shown, stored
}

// Usable returns the codes that were made under this key.
func (k Key) Usable(stored []idp.RecoveryCode) (usable []idp.RecoveryCode) {
	for _, c := range stored {
		if c.KeyID == k.id {
			usable = append(usable, c)
		}
	}
	return usable
}

// Find returns the hash of the stored code that equals code; false if none does. It takes the same time for every
// answer, also for a user without codes.
func (k Key) Find(userID string, code idp.Secret, stored []idp.RecoveryCode) (hash string, found bool) {
	typed := k.hash(userID, code)
	usable, same := k.Usable(stored), 0
	for i := range Count {
		candidate := typed[1:] + "!" // matches no hash
		if i < len(usable) {
			candidate = usable[i].Hash
		}
		same |= subtle.ConstantTimeCompare([]byte(typed), []byte(candidate))
	}
	return typed, same == 1
}

// hash includes the user, so that a stolen row is useless for another account.
func (k Key) hash(userID string, code idp.Secret) string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("stepward recovery code\x00" + userID + "\x00" + code.Reveal()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// StopToken returns the token of the link that stops a user's recovery by e-mail alone, which is ready at a time. It is
// derived, so that a reminder contains the same link, and nothing stores the token until then.
func (k Key) StopToken(userID string, ready time.Time) idp.Secret {
	mac := hmac.New(sha256.New, k.secret)
	fmt.Fprintf(mac, "stepward stop recovery\x00%s\x00%d", userID, ready.UnixMilli())
	return idp.Secret(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// Typed reads a recovery code as people write it: in any case, with any spaces and dashes, O for 0, and I or L for 1.
// It returns false if the text cannot be a code; that says nothing about any account.
func Typed(text string) (idp.Secret, bool) {
	if len(text) > 200 {
		return "", false
	}
	text = strings.Map(func(r rune) rune {
		switch r = unicode.ToUpper(r); {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '\u2212':
			return -1
		case r == 'O':
			return '0'
		case r == 'I', r == 'L':
			return '1'
		}
		return r
	}, text)
	if len(text) != codeChars || strings.Trim(text, crockford) != "" {
		return "", false
	}
	return idp.Secret(text), text[codeChars-1:] == checkCharacter(text[:codeChars-1])
}

func checkCharacter(text string) string {
	sum := sha256.Sum256([]byte(text))
	return crockford[sum[0]&31 : sum[0]&31+1]
}

func grouped(code idp.Secret) idp.Secret {
	var groups []string
	for text := code.Reveal(); text != ""; text = text[groupSize:] {
		groups = append(groups, text[:groupSize])
	}
	return idp.Secret(strings.Join(groups, "-"))
}
