package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// StrictObject rejects text that is not exactly one JSON object, or that contains a duplicate member, because two
// readers could pick different ones.
func StrictObject(text []byte) error { return strict(text, '{', "object") }

// StrictArray is StrictObject for an array.
func StrictArray(text []byte) error { return strict(text, '[', "array") }

func strict(text []byte, open json.Delim, kind string) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != open {
		return errors.New("not a JSON " + kind)
	}
	if err := uniqueMembers(d, open); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected text after the JSON " + kind)
	}
	return nil
}

// uniqueMembers reads the rest of an object or array and rejects duplicate member names. The limit on the whole text
// also limits the depth.
func uniqueMembers(d *json.Decoder, open json.Delim) error {
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errors.New("not JSON")
		}
		if open == '{' {
			name := t.(string) // the decoder accepts nothing else here
			if seen[name] {
				return errors.New("a member is repeated")
			}
			seen[name] = true
			if t, err = d.Token(); err != nil {
				return errors.New("not JSON")
			}
		}
		if inner, ok := t.(json.Delim); ok {
			if err := uniqueMembers(d, inner); err != nil {
				return err
			}
		}
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return errors.New("not JSON")
	}
	return nil
}

// Members parses a JSON object strictly and returns its KnownMembers.
func Members(document []byte) (map[string]any, error) {
	if err := StrictObject(document); err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, errors.New("not JSON")
	}
	return KnownMembers(members), nil
}

// KnownMembers removes members whose names no specification uses: all known names consist of lower-case letters, digits
// and underscores. This ignores names in other cases, which the decoder would match to known ones, and names with a
// language tag (client_name#ja, RFC 7591 §2.2).
func KnownMembers(members map[string]any) map[string]any {
	for name := range members {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			delete(members, name)
		}
	}
	return members
}

// An Audience is the aud claim: one string, or an array of several (RFC 7519 §4.1.3).
type Audience []string

// MarshalJSON implements json.Marshaler.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = Audience{""}
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}
