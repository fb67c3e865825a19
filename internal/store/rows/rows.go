// Package rows defines how the nouns of package idp become rows: what a value looks like in a column, and which columns
// an event, a family, a passkey and a user have. It asks no database.
package rows

import (
	"encoding/json"
	"fmt"
	"time"
)

// ms returns a time as it is stored: Unix milliseconds; the zero time is 0.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Instant scans a value of ms.
type Instant time.Time

// Scan implements sql.Scanner.
func (i *Instant) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time stored as %T", v)
	}
	*i = Instant{}
	if n != 0 {
		*i = Instant(time.UnixMilli(n).UTC())
	}
	return nil
}

// Text returns a structured value as it is stored: JSON. The values are our own types, which always marshal.
func Text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T does not marshal: %v", v, err))
	}
	return string(b)
}

// Brief is Text for a column of the compact form, where nothing is an empty text.
func Brief(v any) string {
	s := Text(v)
	if s == "null" || s == "{}" || s == "[]" {
		return ""
	}
	return s
}

// Document scans a value of Text or Brief into To, a pointer.
type Document struct{ To any }

// Scan implements sql.Scanner.
func (d *Document) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON stored as %T", v)
	}
	if s == "" || s == "null" { // the target is new, and most lists are empty
		return nil
	}
	if err := json.Unmarshal([]byte(s), d.To); err != nil {
		return fmt.Errorf("parse stored JSON: %w", err)
	}
	return nil
}

// Raw scans JSON unchanged; an empty text becomes nil.
type Raw json.RawMessage

// Scan implements sql.Scanner.
func (r *Raw) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON stored as %T", v)
	}
	*r = nil
	if s != "" {
		*r = Raw(s)
	}
	return nil
}
