// Package compact encodes what is often stored in few bytes and without reflection.
//
// One function per type lists its fields, for writing and for reading, so the two cannot differ:
//
//	func fields(c *compact.Codec, s *idp.Session) {
//		c.Text(&s.ID)
//		c.Time(&s.CreatedAt)
//	}
//
// A new field goes to the end of the outermost list. Programs that do not know it ignore it, and in entries without it
// it is empty. Any other change needs another first byte.
package compact

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"time"
)

// first is the first byte of an entry. JSON never begins with it.
const first = 1

// maxList limits the elements of a list, so that a damaged entry cannot demand memory.
const maxList = 1 << 12

// ErrDamaged means that bytes are not an entry.
var ErrDamaged = errors.New("damaged entry")

// Is reports whether b is encoded by this package, rather than as JSON.
func Is(b []byte) bool { return len(b) > 0 && b[0] == first }

// Encode returns the entry with the fields of v. It fails only if a field that is stored as JSON cannot be.
func Encode[T any](v *T, fields func(*Codec, *T)) ([]byte, error) {
	c := Codec{b: make([]byte, 1, 512)}
	c.b[0] = first
	fields(&c, v)
	return c.b, c.err
}

// Decode reads an entry into v, which must be zero. It returns ErrDamaged for bytes that Encode did not return.
func Decode[T any](b []byte, v *T, fields func(*Codec, *T)) error {
	if !Is(b) {
		return ErrDamaged
	}
	c := Codec{b: b[1:], reading: true}
	fields(&c, v)
	return c.err
}

// A Codec writes the fields of a value, or reads them. After the end of an entry, it reads empty fields.
type Codec struct {
	b       []byte // written so far, or left to read
	reading bool
	err     error
}

// The kinds of a text, in the lowest bits of the number before it. The forms of our IDs, hashes and secrets have one
// length, and take fewer bytes than they have characters.
const (
	plain  = iota // its length follows in the number
	uuid          // lower case: 16 bytes
	base43        // 32 bytes in unpadded base64url
	base26        // 26 characters of base32: 17 bytes
	kinds
)

// Text is a string.
func (c *Codec) Text(s *string) {
	if !c.reading {
		c.write(*s)
		return
	}
	n := c.number()
	switch n {
	case uuid:
		if raw := c.take(16); raw != nil {
			*s = formatUUID(raw)
		}
	case base43:
		*s = base64.RawURLEncoding.EncodeToString(c.take(32))
	case base26:
		if raw := c.take(17); raw != nil {
			*s = base32Letters.EncodeToString(raw)[:26]
		}
	default:
		if n%kinds != plain {
			c.err = ErrDamaged
		}
		*s = string(c.take(n / kinds))
	}
}

func (c *Codec) write(s string) {
	var in [43]byte
	var raw [32]byte
	switch copy(in[:], s); len(s) {
	case 36:
		if parseUUID(raw[:], s) {
			c.b = append(append(c.b, uuid), raw[:16]...)
			return
		}
	case 43:
		if n, err := base64URL.Decode(raw[:], in[:]); err == nil && n == 32 {
			c.b = append(append(c.b, base43), raw[:]...)
			return
		}
	case 26:
		copy(in[26:], "AA") // 130 bits, and 6 of 10 more
		if n, err := base32Letters.Decode(raw[:], in[:28]); err == nil && n == 17 {
			c.b = append(append(c.b, base26), raw[:17]...)
			return
		}
	}
	c.b = append(binary.AppendUvarint(c.b, uint64(len(s))*kinds+plain), s...)
}

// Both accept one spelling of each value. They skip line breaks, but then there are fewer bytes.
var (
	base64URL     = base64.RawURLEncoding.Strict()
	base32Letters = base32.StdEncoding.WithPadding(base32.NoPadding)
)

// dashes are where a UUID has them.
var dashes = [...]int{8, 13, 18, 23}

func parseUUID(raw []byte, s string) bool {
	var digits [32]byte
	n := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case i == dashes[0] || i == dashes[1] || i == dashes[2] || i == dashes[3]:
			if c != '-' {
				return false
			}
			continue
		case c >= 'A' && c <= 'F': // hex would read it, but not write it again
			return false
		}
		digits[n] = c
		n++
	}
	_, err := hex.Decode(raw, digits[:])
	return err == nil
}

func formatUUID(raw []byte) string {
	var s [36]byte
	hex.Encode(s[:], raw[:4])
	hex.Encode(s[9:], raw[4:6])
	hex.Encode(s[14:], raw[6:8])
	hex.Encode(s[19:], raw[8:10])
	hex.Encode(s[24:], raw[10:])
	for _, i := range dashes {
		s[i] = '-'
	}
	return string(s[:])
}

// Bytes is a slice of bytes. An empty one is read as nil.
func (c *Codec) Bytes(b *[]byte) {
	if !c.reading {
		c.b = append(binary.AppendUvarint(c.b, uint64(len(*b))), *b...)
	} else if raw := c.take(c.number()); len(raw) > 0 {
		*b = append([]byte(nil), raw...)
	}
}

// Int is an integer.
func (c *Codec) Int(n *int64) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, *n)
		return
	}
	u := c.number()
	*n = int64(u>>1) ^ -int64(u&1) // as encoding/binary reads it
}

// Duration is a duration.
func (c *Codec) Duration(d *time.Duration) { c.Int((*int64)(d)) }

// Time is a time of this era, to the nanosecond, or the zero time. It is read in UTC.
func (c *Codec) Time(t *time.Time) {
	var n int64
	if !c.reading && !t.IsZero() {
		n = t.UnixNano()
	}
	if c.Int(&n); c.reading && n != 0 {
		*t = time.Unix(0, n).UTC()
	}
}

// Bools are at most seven flags.
func (c *Codec) Bools(flags ...*bool) {
	var n uint64
	for i, f := range flags {
		if !c.reading && *f {
			n |= 1 << i
		}
	}
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, n)
		return
	}
	n = c.number()
	for i, f := range flags {
		*f = n>>i&1 == 1
	}
}

// Texts is a list of strings. An empty one is read as nil.
func (c *Codec) Texts(list *[]string) { List(c, list, (*Codec).Text) }

// List is a list of values with these fields. An empty one is read as nil.
func List[T any](c *Codec, list *[]T, fields func(*Codec, *T)) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(len(*list)))
		for i := range *list {
			fields(c, &(*list)[i])
		}
		return
	}
	n := c.number()
	if n > maxList || n > uint64(len(c.b)) {
		c.err = ErrDamaged
		return
	}
	if n == 0 {
		return
	}
	*list = make([]T, n)
	for i := range *list {
		fields(c, &(*list)[i])
	}
}

// Optional is a value with these fields, or nil.
func Optional[T any](c *Codec, v **T, fields func(*Codec, *T)) {
	there := *v != nil
	c.Bools(&there)
	if !there {
		return
	}
	if c.reading {
		*v = new(T)
	}
	fields(c, *v)
}

// JSON is a value that is stored as JSON, or in one byte if it is zero.
func JSON[T any](c *Codec, v *T) {
	var text []byte
	if !c.reading && !reflect.ValueOf(v).Elem().IsZero() {
		var err error
		if text, err = json.Marshal(v); err != nil {
			c.err = err
		}
	}
	if c.Bytes(&text); c.reading && text != nil && json.Unmarshal(text, v) != nil {
		c.err = ErrDamaged
	}
}

func (c *Codec) number() uint64 {
	if len(c.b) == 0 {
		return 0
	}
	n, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.err = ErrDamaged
		c.b = nil
		return 0
	}
	c.b = c.b[size:]
	return n
}

// take returns the next n bytes; nil if there are not as many.
func (c *Codec) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.err = ErrDamaged
		c.b = nil
		return nil
	}
	raw := c.b[:n]
	c.b = c.b[n:]
	return raw
}
