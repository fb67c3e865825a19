// This test is inside the package: it calls originField.
package passkey

import (
	"testing"

	"github.com/stepward/stepward/internal/ephemeral/compact"
)

func TestAnOriginIsStoredInFewBytes(t *testing.T) {
	for _, row := range []struct {
		origin, host string
		bytes        int
	}{
		{"https://login.example.com", "login.example.com", 2},
		{"http://localhost:8080", "localhost", 7},
		{"https://login.example.com", "example.com", 26},
		{"https://example.com.evil.example", "example.com", 34},
		{"", "example.com", 1},
		{"https://example.com", "", 20},
	} {
		fields := func(c *compact.Codec, s *string) { originField(c, s, row.host) }
		b, err := compact.Encode(&row.origin, fields)
		if err != nil {
			t.Fatal(err)
		}
		none, err := compact.Encode(&row.origin, func(*compact.Codec, *string) {})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := compact.Decode(b, &got, fields); err != nil || got != row.origin {
			t.Errorf("%q is read as %q, %v", row.origin, got, err)
		}
		if n := len(b) - len(none); n != row.bytes {
			t.Errorf("%q takes %d bytes, want %d", row.origin, n, row.bytes)
		}
	}
}
