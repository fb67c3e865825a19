package idp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Details are validated authorization_details (RFC 9396 §2), each in canonical form: sorted members, no whitespace,
// numbers as written. Equal details are equal strings.
type Details []Detail

// A Detail is one element of authorization_details; it marshals to its JSON.
type Detail struct {
	Type string
	JSON string
}

// A DetailType is a type of authorization details, registered by the operator.
type DetailType struct {
	Name string
	// Description is the text for people, with members of the detail in braces: "Pay {amount} to {creditor.name}".
	Description string
	// ActionClass, if set, must be opened by a step-up before details of this type are granted.
	ActionClass string
	// Valid validates a detail as encoding/json decodes it with numbers as json.Number; nil if it is valid.
	Valid func(detail any) error
}

// MarshalJSON implements json.Marshaler.
func (d Detail) MarshalJSON() ([]byte, error) { return []byte(d.JSON), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Detail) UnmarshalJSON(b []byte) error {
	value, err := d.decode(b)
	if err != nil {
		return err
	}
	var canonical bytes.Buffer
	enc := json.NewEncoder(&canonical)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("canonical form: %w", err)
	}
	d.Type, _ = value["type"].(string)
	d.JSON = strings.TrimSuffix(canonical.String(), "\n")
	return nil
}

func (d Detail) decode(b []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var value map[string]any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("detail: %w", err)
	}
	return value, nil
}

// Value returns the detail as encoding/json decodes it, with numbers as json.Number.
func (d Detail) Value() map[string]any {
	value, _ := d.decode([]byte(d.JSON)) // cannot fail: UnmarshalJSON decoded it
	return value
}

// Within reports whether every detail is among those granted. Narrowing drops details and never changes one: RFC 9396
// §6 leaves comparison to each type, and equal strings mean the same in every type.
func (ds Details) Within(granted Details) bool {
	return !slices.ContainsFunc(ds, func(d Detail) bool { return !slices.Contains(granted, d) })
}

// At returns the details that apply at any of the resources. A detail with locations applies only there (RFC 9396
// §2.2).
func (ds Details) At(resources []string) (out Details) {
	for _, d := range ds {
		locations, ok := d.Value()["locations"].([]any)
		within := func(l any) bool { s, _ := l.(string); return slices.Contains(resources, s) }
		if !ok || slices.ContainsFunc(locations, within) {
			out = append(out, d)
		}
	}
	return out
}

// Limits of the text shown for one detail, in characters.
const (
	maxMember = 120
	maxWords  = 600
)

// Words renders a detail with the description of its type. Member values appear as bounded text on one line, without
// characters that reorder or hide text. A missing member appears as "–", so that its absence cannot change the meaning
// of the sentence.
func (t DetailType) Words(d Detail) string {
	value := d.Value()
	var b strings.Builder
	rest := t.Description
	for {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			break
		}
		path, tail, _ := strings.Cut(after, "}")
		b.WriteString(member(value, path))
		rest = tail
	}
	return bounded(b.String(), maxWords)
}

// TemplateFault describes what is wrong with a description; "" if nothing.
func TemplateFault(description string) string {
	for rest := description; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return "has a closing brace without an opening one"
		}
		if !found {
			return ""
		}
		path, tail, closed := strings.Cut(after, "}")
		if !closed || path == "" || strings.ContainsAny(path, "{ ") {
			return "must name members in braces, such as {amount} or {creditor.name}"
		}
		rest = tail
	}
}

// member returns the text of the member at a dotted path.
func member(value any, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return bounded(textOf(value), maxMember)
}

func textOf(value any) string {
	switch v := value.(type) {
	case string:
		if plain := strings.Join(strings.FieldsFunc(v, hidden), " "); plain != "" {
			return plain
		}
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		var parts []string
		for _, element := range v {
			parts = append(parts, textOf(element))
		}
		if len(parts) > 0 {
			return strings.Join(parts, ", ")
		}
	}
	return "–"
}

// hidden reports whether a character is invisible or affects others: whitespace, controls, and format characters that
// reorder or join text.
func hidden(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.C) || r == unicode.ReplacementChar
}

func bounded(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}
