package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
)

// A Secret is a value that grants access to anyone who has it: a code, a token, a cookie, a link. Printing, logging or
// marshalling one shows a placeholder; call Reveal where it must leave the process.
type Secret string

const redacted = "[secret]"

// NewSecret returns at least 128 random bits as text that is safe in URLs, cookies and headers.
func NewSecret() Secret { return Secret(rand.Text()) }

// Reveal returns the plain value.
func (s Secret) Reveal() string { return string(s) }

// Hash returns what is stored instead of the secret: base64url of its SHA-256. A fast hash is enough for random secrets
// (NIST SP 800-63B-4 §3.1.2 requires slow hashes only below 112 bits).
func (s Secret) Hash() string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// NewLongSecret returns a secret of 256 random bits, for values that clients see. 130 bits are enough, but
// certification tests estimate entropy from the text.
func NewLongSecret() Secret { return NewSecret() + NewSecret() }

// Matches reports in constant time whether hash is the Hash of s.
func (s Secret) Matches(hash string) bool {
	return s != "" && subtle.ConstantTimeCompare([]byte(s.Hash()), []byte(hash)) == 1
}

// Format implements fmt.Formatter. Every verb prints a placeholder.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, so that JSON and YAML show the placeholder too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
