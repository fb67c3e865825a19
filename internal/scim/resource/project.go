package resource

import (
	"maps"
	"net/url"
	"strings"
)

// A Projection is which attributes a response has (RFC 7644 §3.9).
type Projection struct {
	only, without []Path // at most one of them
	asked         bool   // only was there, even if it leads to nothing
}

// Projection reads attributes and excludedAttributes. Unknown names are ignored.
func (k Kind) Projection(q url.Values) (p Projection, err error) {
	if q.Get("attributes") != "" && q.Get("excludedAttributes") != "" {
		return p, Bad("invalidValue", "attributes and excludedAttributes exclude each other")
	}
	p.asked = q.Get("attributes") != ""
	p.only, p.without = k.paths(q["attributes"]), k.paths(q["excludedAttributes"])
	return p, nil
}

func (k Kind) paths(lists []string) (paths []Path) {
	for name := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		if name = strings.TrimSpace(name); name == "" || len(paths) >= 100 {
			continue
		}
		if at, ok := k.Resolve(name); ok {
			paths = append(paths, at)
		}
	}
	return paths
}

// Wants reports whether the response has anything of an attribute.
func (p Projection) Wants(name string) bool {
	for _, at := range p.without {
		if at.Attr != nil && at.Extension == "" && at.Attr.Name == name && at.Sub == nil {
			return false
		}
	}
	for _, at := range p.only {
		if at.Attr != nil && at.Extension == "" && at.Attr.Name == name {
			return true
		}
	}
	return !p.asked
}

// Of returns the part of a resource that the response has: always its schemas and ID.
func (p Projection) Of(doc Document) Document {
	if !p.asked {
		out := maps.Clone(doc)
		for _, at := range p.without {
			at.leave(out)
		}
		return out
	}
	out := Document{"schemas": doc["schemas"], "id": doc["id"]}
	for _, at := range p.only {
		at.pick(doc, out)
	}
	return out
}

// leave takes what the path leads to out of a resource.
func (p Path) leave(doc Document) {
	switch {
	case p.Attr == nil:
		delete(doc, p.Extension)
	case p.Extension != "":
		if part, ok := doc[p.Extension].(Document); ok {
			part = maps.Clone(part)
			Path{Attr: p.Attr, Sub: p.Sub}.leave(part)
			doc[p.Extension] = part
		}
	case p.Attr.Returned == "always":
	case p.Sub == nil:
		delete(doc, p.Attr.Name)
	default:
		doc[p.Attr.Name] = eachElement(doc[p.Attr.Name], func(element Document) Document {
			element = maps.Clone(element)
			delete(element, p.Sub.Name)
			return element
		})
	}
}

// pick puts what the path leads to into out.
func (p Path) pick(doc, out Document) {
	if p.Extension != "" {
		part, ok := doc[p.Extension].(Document)
		if !ok {
			return
		}
		if p.Attr == nil {
			out[p.Extension] = part
			return
		}
		to, _ := out[p.Extension].(Document)
		if to == nil {
			to = Document{}
		}
		Path{Attr: p.Attr, Sub: p.Sub}.pick(part, to)
		out[p.Extension] = to
		return
	}
	value, ok := doc[p.Attr.Name]
	if !ok {
		return
	}
	if p.Sub == nil {
		out[p.Attr.Name] = value
		return
	}
	picked := eachElement(value, func(element Document) Document {
		if v, ok := element[p.Sub.Name]; ok {
			return Document{p.Sub.Name: v}
		}
		return Document{}
	})
	out[p.Attr.Name] = merge(out[p.Attr.Name], picked)
}

// eachElement changes a complex value, or each of several.
func eachElement(value any, change func(Document) Document) any {
	switch v := value.(type) {
	case Document:
		return change(v)
	case []any:
		out := make([]any, 0, len(v))
		for _, element := range v {
			doc, _ := element.(Document)
			out = append(out, change(doc))
		}
		return out
	}
	return value
}

// merge joins two picks of the same value: name.givenName and name.familyName.
func merge(a, b any) any {
	switch second := b.(type) {
	case Document:
		if first, ok := a.(Document); ok {
			maps.Copy(second, first)
		}
	case []any:
		first, _ := a.([]any)
		for i := range min(len(first), len(second)) {
			second[i] = merge(first[i], second[i])
		}
	}
	return b
}
