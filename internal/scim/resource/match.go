package resource

import (
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
)

// Matches reports whether a resource is one that the filter selects.
func (f *Filter) Matches(doc Document) bool {
	switch f.Op {
	case "and":
		return f.Left.Matches(doc) && f.Right.Matches(doc)
	case "or":
		return f.Left.Matches(doc) || f.Right.Matches(doc)
	case "not":
		return !f.Left.Matches(doc)
	}
	values := f.Path.values(doc)
	if f.Op == "[]" {
		for _, v := range values {
			if element, ok := v.(Document); ok && f.Left.Matches(element) {
				return true
			}
		}
		return false
	}
	if f.Op == "pr" {
		return len(values) > 0
	}
	a := f.Path.Attr
	if f.Path.Sub != nil {
		a = f.Path.Sub
	}
	for _, v := range values {
		if element, ok := v.(Document); ok { // emails eq "…" is about their value
			v = element["value"]
		}
		if compare(f.Op, v, f.Value, a.Exact) {
			return true
		}
	}
	return len(values) == 0 && (f.Op == "ne") != (f.Value == nil)
}

// values returns the values that a path leads to, those of each element if there are several.
func (p Path) values(doc Document) (values []any) {
	if p.Extension != "" {
		doc, _ = doc[p.Extension].(Document)
	}
	switch v := doc[p.Attr.Name].(type) {
	case nil:
		return nil
	case []any:
		values = v
	default:
		values = []any{v}
	}
	if p.Sub == nil {
		return values
	}
	var subs []any
	for _, v := range values {
		if element, ok := v.(Document); ok && element[p.Sub.Name] != nil {
			subs = append(subs, element[p.Sub.Name])
		}
	}
	return subs
}

// compare compares a value of a resource with one of a filter.
func compare(op string, have, want any, exact bool) bool {
	if s, ok := want.(string); ok && have != nil {
		if b, isBool := have.(bool); isBool { // active eq "True"
			return (op == "eq") == (strings.EqualFold(s, "true") == b) && (op == "eq" || op == "ne")
		}
	}
	h, ok1 := have.(string)
	w, ok2 := want.(string)
	if !ok1 || !ok2 {
		return op == "eq" && have == want || op == "ne" && have != want
	}
	if at, err := time.Parse(time.RFC3339, h); err == nil {
		if other, err := time.Parse(time.RFC3339, w); err == nil {
			return ordered(op, at.Compare(other))
		}
	}
	if !exact {
		h, w = directory.GroupKey(h), directory.GroupKey(w)
	}
	switch op {
	case "co":
		return strings.Contains(h, w)
	case "sw":
		return strings.HasPrefix(h, w)
	case "ew":
		return strings.HasSuffix(h, w)
	}
	return ordered(op, strings.Compare(h, w))
}

func ordered(op string, c int) bool {
	switch op {
	case "eq":
		return c == 0
	case "ne":
		return c != 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	return false
}

// About reports whether the filter compares an attribute.
func (f *Filter) About(name string) bool {
	if f == nil {
		return false
	}
	return f.Path.Attr != nil && f.Path.Attr.Name == name || f.Left.About(name) || f.Right.About(name)
}

// Only reports whether all comparisons are eq with one attribute, joined by or: then the values are those selected.
func (f *Filter) Only(name string) bool {
	if f.Op == "or" {
		return f.Left.Only(name) && f.Right.Only(name)
	}
	return f.Op == "eq" && f.Path.Attr.Name == name
}
