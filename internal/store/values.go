package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// ms returns a time as it is stored: Unix milliseconds; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant scans a value of ms.
type instant time.Time

// Scan implements sql.Scanner.
func (i *instant) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time stored as %T", v)
	}
	*i = instant{}
	if n != 0 {
		*i = instant(time.UnixMilli(n).UTC())
	}
	return nil
}

// text returns a structured value as it is stored: JSON. The values are our own types, which always marshal.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T does not marshal: %v", v, err))
	}
	return string(b)
}

// document scans a value of text into To, a pointer.
type document struct{ To any }

// Scan implements sql.Scanner.
func (d *document) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON stored as %T", v)
	}
	if s == "null" { // the target is new, and most lists are empty
		return nil
	}
	if err := json.Unmarshal([]byte(s), d.To); err != nil {
		return fmt.Errorf("parse stored JSON: %w", err)
	}
	return nil
}

// raw scans JSON unchanged; an empty text becomes nil.
type raw json.RawMessage

// Scan implements sql.Scanner.
func (r *raw) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON stored as %T", v)
	}
	*r = nil
	if s != "" {
		*r = raw(s)
	}
	return nil
}
