package resource

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// maxOperations is how many operations one PATCH has at most.
const maxOperations = 100

// An Operation is one of a PATCH (RFC 7644 §3.5.2).
type Operation struct {
	Op, Path string
	Value    any
}

// Operations reads the body of a PATCH. Some directories write "Add" for add.
func Operations(body []byte) ([]Operation, error) {
	doc, err := Object(body)
	if err != nil {
		return nil, err
	}
	value, _ := Member(doc, "Operations")
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return nil, Bad("invalidSyntax", "Operations is missing")
	}
	if len(list) > maxOperations {
		return nil, Bad("invalidValue", "there are more than %d operations", maxOperations)
	}
	var ops []Operation
	for _, v := range list {
		element, _ := v.(Document)
		name, _ := Member(element, "op")
		at, _ := Member(element, "path")
		o := Operation{}
		o.Op, _ = name.(string)
		o.Op = strings.ToLower(o.Op)
		o.Path, ok = at.(string)
		if o.Value, _ = Member(element, "value"); at != nil && !ok {
			return nil, Bad("invalidPath", "a path must be a string")
		}
		if !slices.Contains([]string{"add", "remove", "replace"}, o.Op) {
			return nil, Bad("invalidSyntax", "op must be add, remove or replace")
		}
		if o.Path == "" && o.Op == "remove" {
			return nil, Bad("noTarget", "remove needs a path")
		}
		ops = append(ops, o)
	}
	return ops, nil
}

// A Target is what the path of an operation leads to: attribute[filter].sub, each part but the first may be missing.
type Target struct {
	Path
	Filter *Filter
}

// Target resolves the path of an operation.
func (k Kind) Target(text string) (t Target, err error) {
	name, rest, filtered := strings.Cut(text, "[")
	var ok bool
	if t.Path, ok = k.Resolve(strings.TrimSpace(name)); !ok {
		return t, Bad("invalidPath", "%q leads to no attribute", text)
	}
	if filtered {
		end := strings.LastIndex(rest, "]")
		if end < 0 || t.Attr == nil || !t.Attr.Multi || t.Sub != nil {
			return t, Bad("invalidPath", "%q is no path", text)
		}
		if t.Filter, err = ParseFilter(Kind{Attributes: t.Attr.Sub}, rest[:end]); err != nil {
			return t, err
		}
		if after := rest[end+1:]; after != "" {
			sub := named(t.Attr.Sub, strings.TrimPrefix(after, "."))
			if sub == nil || after[0] != '.' {
				return t, Bad("invalidPath", "%q leads to no attribute", text)
			}
			t.Sub = sub
		}
	}
	if t.Attr != nil && (t.Attr.Mutability == "readOnly" || t.Sub != nil && t.Sub.Mutability == "readOnly") {
		return t, Bad("mutability", "%s cannot be changed", text)
	}
	return t, nil
}

// Patch makes the operations on a resource, one after the other. The caller cleans the result.
func (k Kind) Patch(doc Document, ops []Operation) error {
	for _, o := range ops {
		if err := k.operate(doc, o); err != nil {
			return err
		}
	}
	return nil
}

func (k Kind) operate(doc Document, o Operation) error {
	if o.Path == "" {
		return k.each(doc, o, "")
	}
	t, err := k.Target(o.Path)
	if err != nil {
		return err
	}
	if t.Attr == nil { // the extension as a whole
		if o.Op == "remove" {
			delete(doc, t.Extension)
			return nil
		}
		return k.each(doc, o, t.Extension+":")
	}
	in := doc
	if t.Extension != "" {
		if in, _ = doc[t.Extension].(Document); in == nil {
			in = Document{}
			doc[t.Extension] = in
		}
	}
	switch {
	case t.Filter != nil:
		return t.elements(in, o)
	case t.Sub != nil && !t.Attr.Multi:
		inner, _ := in[t.Attr.Name].(Document)
		if inner = maps.Clone(inner); inner == nil {
			inner = Document{}
		}
		if err := Set(inner, *t.Sub, o); err != nil {
			return err
		}
		in[t.Attr.Name] = inner
		return nil
	case t.Sub != nil: // emails.value: of each element
		t.Filter = &Filter{Op: "pr", Path: Path{Attr: &Attribute{Name: t.Sub.Name}}}
		return t.elements(in, o)
	}
	return Set(in, *t.Attr, o)
}

// each makes an operation without a path: one for each member of its value. Their names may be paths.
func (k Kind) each(doc Document, o Operation, prefix string) error {
	members, ok := o.Value.(Document)
	if !ok {
		return Bad("invalidValue", "an operation without a path needs an object as its value")
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if t, known := k.Resolve(prefix + name); !strings.Contains(name, "[") &&
			(!known || t.Attr != nil && (t.Attr.Mutability == "readOnly" || t.Attr.Name == "schemas")) {
			continue // as in a resource, what is unknown or read-only is ignored
		}
		if err := k.operate(doc, Operation{o.Op, prefix + name, members[name]}); err != nil {
			return err
		}
	}
	return nil
}

// Set makes an operation on a whole attribute.
func Set(in Document, a Attribute, o Operation) error {
	value, err := a.Clean(o.Value)
	switch {
	case err != nil:
		return err
	case o.Op == "remove" && a.Required:
		return Bad("mutability", "%s is required", a.Name)
	case o.Op == "remove" || value == nil && o.Op == "replace":
		delete(in, a.Name)
		return nil
	case value == nil:
		return nil
	}
	switch v := value.(type) {
	case Document:
		old, _ := in[a.Name].(Document)
		merged := maps.Clone(old)
		if merged == nil {
			merged = Document{}
		}
		maps.Copy(merged, v)
		in[a.Name] = merged
	case []any:
		list, _ := in[a.Name].([]any)
		if o.Op == "replace" {
			list = nil
		}
		in[a.Name] = join(list, v)
	default:
		in[a.Name] = v
	}
	return nil
}

// join adds values to a list, each once. A new primary value takes that from the others.
func join(list, more []any) []any {
	list = slices.Clone(list)
	for _, v := range more {
		if slices.ContainsFunc(list, func(old any) bool { return reflect.DeepEqual(old, v) }) {
			continue
		}
		if element, ok := v.(Document); ok && element["primary"] == true {
			list = demote(list)
		}
		list = append(list, v)
	}
	return list
}

func demote(list []any) []any {
	for i, old := range list {
		if element, ok := old.(Document); ok && element["primary"] == true {
			element = maps.Clone(element)
			delete(element, "primary")
			list[i] = element
		}
	}
	return list
}

// elements makes an operation on the elements of a list that the filter selects. To add to an element that there is not
// creates it, if the filter says what it is: emails[type eq "work"].value.
func (t Target) elements(in Document, o Operation) error {
	list, _ := in[t.Attr.Name].([]any)
	list = slices.Clone(list)
	hit := false
	var kept []any
	for _, v := range list {
		element, ok := v.(Document)
		if !ok || !t.Filter.Matches(element) {
			kept = append(kept, v)
			continue
		}
		hit = true
		changed, err := t.element(maps.Clone(element), o)
		if err != nil {
			return err
		}
		if len(changed) > 0 {
			if changed["primary"] == true {
				kept = demote(kept)
			}
			kept = append(kept, changed)
		}
	}
	if !hit && o.Op != "remove" {
		fresh := Document{}
		if o.Op == "replace" || !t.Filter.describes(fresh) {
			return Bad("noTarget", "%s[…] selects nothing", t.Attr.Name)
		}
		changed, err := t.element(fresh, o)
		if err != nil {
			return err
		}
		kept = append(kept, changed)
	}
	if len(kept) == 0 {
		delete(in, t.Attr.Name)
		return nil
	}
	in[t.Attr.Name] = kept
	return nil
}

// element makes an operation on one element; an empty result removes it.
func (t Target) element(element Document, o Operation) (Document, error) {
	if t.Sub != nil {
		return element, Set(element, *t.Sub, o)
	}
	if o.Op == "remove" {
		return nil, nil
	}
	value, err := t.Attr.one(o.Value)
	if err != nil {
		return nil, err
	}
	if o.Op == "replace" {
		clear(element)
	}
	part, _ := value.(Document)
	maps.Copy(element, part)
	return element, nil
}

// describes fills in the values that an element must have to be selected; false: the filter does not say.
func (f *Filter) describes(element Document) bool {
	switch f.Op {
	case "and":
		return f.Left.describes(element) && f.Right.describes(element)
	case "eq":
		element[f.Path.Attr.Name] = f.Value
		return f.Value != nil
	}
	return false
}

// Copied returns a copy of a document that shares nothing with it.
func Copied(doc Document) Document {
	text, _ := json.Marshal(doc) // it came from JSON
	var out Document
	_ = json.Unmarshal(text, &out)
	return out
}
