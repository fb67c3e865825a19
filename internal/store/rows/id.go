package rows

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
)

// PackID returns the stored form of an ID in the journal: the 16 bytes of a UUID, which sort like its text, or the text
// of any other ID. Another text of 16 bytes gets a NUL at its end, so no two IDs are packed alike.
func PackID(id string) []byte {
	if b, ok := parseUUID(id); ok {
		return b[:]
	}
	if len(id) == 16 {
		return append([]byte(id), 0)
	}
	return []byte(id)
}

func unpackID(b []byte) string {
	switch {
	case len(b) == 16:
		return formatUUID([16]byte(b))
	case len(b) == 17 && b[16] == 0:
		b = b[:16]
	}
	return string(b)
}

// parseUUID reads a UUID, but only as formatUUID spells it.
func parseUUID(s string) (b [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return b, false
	}
	for i, from := range [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := nibble(s[from]), nibble(s[from+1])
		if high > 15 || low > 15 {
			return b, false
		}
		b[i] = high<<4 | low
	}
	return b, true
}

// nibble returns the value of a lower-case hexadecimal digit; above 15 for any other byte.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

func formatUUID(b [16]byte) string {
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// Packed scans the result of PackID.
type Packed struct{ To *string }

// Scan implements sql.Scanner.
func (p Packed) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("ID stored as %T", v)
	}
	*p.To = unpackID(b)
	return nil
}

// ShortID is PackID as text: a UUID takes 22 characters instead of 36. Another text of that length gets a space at its
// end.
func ShortID(id string) string {
	if b, ok := parseUUID(id); ok {
		return base64.RawURLEncoding.EncodeToString(b[:])
	}
	if len(id) == 22 {
		return id + " "
	}
	return id
}

// short scans the result of ShortID.
type short struct{ To *string }

// Scan implements sql.Scanner.
func (p short) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("ID stored as %T", v)
	}
	switch {
	case len(s) == 22:
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(b) != 16 {
			return fmt.Errorf("ID stored as %q", s)
		}
		s = formatUUID([16]byte(b))
	case len(s) == 23 && s[22] == ' ':
		s = s[:22]
	}
	*p.To = s
	return nil
}

// LastIDBefore returns the highest packed ID that [idp.NewIDAt] can make at a time.
func LastIDBefore(t time.Time) []byte {
	var b [16]byte
	n := uint64(max(t.UnixMilli(), 0))
	for i := range 6 {
		b[i] = byte(n >> (40 - 8*i))
	}
	for i := 6; i < 16; i++ {
		b[i] = 0xff
	}
	return b[:]
}
