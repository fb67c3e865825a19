package resource

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/oauth"
)

// A Document is a resource, or a part of one, as JSON has it.
type Document = map[string]any

const (
	maxText   = 1000 // characters of a string
	maxValues = 20   // of an attribute with several, but the members of a group
	maxDepth  = 8    // of a body
)

// Object reads a body: one JSON object, without repeated members.
func Object(body []byte) (Document, error) {
	if deep(body) {
		return nil, Bad("invalidSyntax", "the body is nested too deeply")
	}
	if err := oauth.StrictObject(body); err != nil {
		return nil, Bad("invalidSyntax", "the body is %s", err)
	}
	var doc Document
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, Bad("invalidSyntax", "the body is not JSON")
	}
	return doc, nil
}

// deep reports whether brackets are nested deeper than maxDepth. Brackets in strings count as well: a body that has so
// many is none of a directory.
func deep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			if depth++; depth > maxDepth {
				return true
			}
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return false
}

// Clean returns what a resource says in the terms of its schemas: names in their spelling, values of their type,
// without what is read-only or unknown.
func (k Kind) Clean(raw Document) (Document, error) {
	out, err := cleanObject(append(slices.Clip(common), k.Attributes...), raw)
	if err != nil {
		return nil, err
	}
	delete(out, "schemas")
	if part, ok := Member(raw, k.Extension); ok && k.Extension != "" {
		extended, isObject := part.(Document)
		if !isObject {
			return nil, Bad("invalidValue", "%s must be an object", k.Extension)
		}
		extra, err := cleanObject(k.Extended, extended)
		if err != nil {
			return nil, err
		}
		if len(extra) > 0 {
			out[k.Extension] = extra
		}
	}
	return out, nil
}

// Member returns a member of an object whatever the case of its name is.
func Member(doc Document, name string) (any, bool) {
	if v, ok := doc[name]; ok {
		return v, true
	}
	for n, v := range doc {
		if strings.EqualFold(n, name) {
			return v, true
		}
	}
	return nil, false
}

func cleanObject(list []Attribute, raw Document) (Document, error) {
	out := Document{}
	for name, value := range raw {
		a := named(list, name)
		if a == nil || a.Mutability == "readOnly" {
			continue
		}
		v, err := a.Clean(value)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		if _, twice := out[a.Name]; twice {
			return nil, Bad("invalidSyntax", "%s is there twice, in different spellings", a.Name)
		}
		out[a.Name] = v
	}
	return out, nil
}

// Clean returns a value of the attribute; nil for none: null, an empty string, an empty list.
func (a Attribute) Clean(value any) (any, error) {
	if !a.Multi {
		return a.one(value)
	}
	list, ok := value.([]any)
	if !ok && value != nil { // one value instead of a list of one
		list = []any{value}
	}
	if len(list) > maxValues && a.Name != "members" {
		return nil, Bad("invalidValue", "%s has more than %d values", a.Name, maxValues)
	}
	out, primary := []any{}, false
	for _, v := range list {
		v, err := a.one(v)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		if doc, ok := v.(Document); ok && doc["primary"] == true {
			if primary {
				return nil, Bad("invalidValue", "%s has two primary values", a.Name)
			}
			primary = true
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// one returns a single value in the type of the attribute. Some directories send "True" for true, a number for a
// string, and the value of a complex attribute without the object around it.
func (a Attribute) one(value any) (any, error) {
	wrong := func(want string) (any, error) { return nil, Bad("invalidValue", "%s must be %s", a.Name, want) }
	if value == nil {
		return nil, nil
	}
	switch a.Type {
	case "boolean":
		switch v := value.(type) {
		case bool:
			return v, nil
		case string:
			if b, err := strconv.ParseBool(strings.ToLower(v)); err == nil && len(v) > 1 {
				return b, nil
			}
		}
		return wrong("true or false")
	case "complex":
		doc, ok := value.(Document)
		if s, isText := value.(string); isText && named(a.Sub, "value") != nil {
			doc, ok = Document{"value": s}, true
		}
		if !ok {
			return wrong("an object")
		}
		out, err := cleanObject(a.Sub, doc)
		if err != nil || len(out) == 0 {
			return nil, err
		}
		return out, nil
	}
	s, ok := value.(string)
	if n, isNumber := value.(float64); isNumber && a.Type == "string" {
		s, ok = strconv.FormatFloat(n, 'f', -1, 64), true
	}
	if !ok {
		return wrong("a string")
	}
	if s = plain(s); s == "" {
		return nil, nil
	}
	if utf8.RuneCountInString(s) > maxText {
		return nil, Bad("invalidValue", "%s is longer than %d characters", a.Name, maxText)
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil && a.Type == "dateTime" {
		return wrong("a time, such as 2011-05-13T04:42:34Z")
	}
	return s, nil
}

// plain removes characters that hide text or change its direction. Line breaks stay, for postal addresses.
func plain(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd")))
}
