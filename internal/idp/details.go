package idp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Details are authorization_details (RFC 9396 §2) that were validated, each in canonical form: members sorted, no blanks,
// numbers as they were written. Equal details are equal texts.
type Details []Detail

// A Detail is one element of authorization_details; it marshals to its JSON.
type Detail struct {
	Type string
	JSON string
}

// A DetailType is a type of authorization details, registered by the operator.
type DetailType struct {
	Name string
	// Description says it to people: text with members of the detail in braces, such as "Pay {amount} to {creditor.name}".
	Description string
	// ActionClass, if set, makes it a type that only a step-up for this class can obtain.
	ActionClass string
	// Valid says what is wrong with a detail, as encoding/json decodes it with numbers as json.Number; nil if nothing.
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

// Value is the detail as encoding/json decodes it, with numbers as json.Number.
func (d Detail) Value() map[string]any {
	value, _ := d.decode([]byte(d.JSON)) // canonical: it was decoded before
	return value
}

// Within reports whether each detail is one of those granted: narrowing leaves details out, it never changes one (RFC
// 9396 §6 leaves the comparison to each type; two texts that are the same mean the same in all of them).
func (ds Details) Within(granted Details) bool {
	return !slices.ContainsFunc(ds, func(d Detail) bool { return !slices.Contains(granted, d) })
}

// At filters the details to those for some of the resources: one that has locations is for those alone (RFC 9396 §2.2).
func (ds Details) At(resources []string) (out Details) {
	for _, d := range ds {
		locations, ok := d.Value()["locations"].([]any)
		if !ok || slices.ContainsFunc(locations, func(l any) bool { s, _ := l.(string); return slices.Contains(resources, s) }) {
			out = append(out, d)
		}
	}
	return out
}

// Bounds of what a person reads of one detail, in characters.
const (
	maxMember = 120
	maxWords  = 600
)

// Words is a detail in the words of its type. What it shows of a member is text: bounded, on one line, without what would
// turn or hide the characters around it. A member that is not there shows as "–", so that no sentence means something else
// without it.
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

// TemplateFault says what is wrong with a description; "" if nothing.
func TemplateFault(description string) string {
	for rest := description; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return "has a closing brace that nothing opened"
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

// member is the text of the member at a path of names, joined by dots.
func member(value any, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return bounded(said(value), maxMember)
}

func said(value any) string {
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
			parts = append(parts, said(element))
		}
		if len(parts) > 0 {
			return strings.Join(parts, ", ")
		}
	}
	return "–"
}

// hidden reports whether a character is none that a person sees where it stands: blanks, controls, and the formats that
// turn or join text.
func hidden(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.C) || r == unicode.ReplacementChar
}

func bounded(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}
