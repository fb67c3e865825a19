package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/stepward/stepward/internal/duration"
)

// shape reports where a node of the file does not have the shape of a type, each place under its own name. What the
// YAML library says of it names types of Go, and stops at the first.
type shape struct {
	fault func(setting string, line int, message string)
}

// of compares a node with a type: the maps, structs, lists and values of policy.File.
func (s shape) of(name string, node ast.Node, typ reflect.Type) {
	switch n := node.(type) {
	case *ast.AnchorNode:
		s.of(name, n.Value, typ)
		return
	case *ast.TagNode:
		s.of(name, n.Value, typ)
		return
	case *ast.AliasNode, nil, *ast.NullNode: // what an alias stands for was compared where it is written
		return
	}
	wrong := func(want string) {
		s.fault(name, node.GetToken().Position.Line, "is "+kindOf(node)+" and must be "+want)
	}
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		text, ok := scalarText(node)
		if _, list := node.(*ast.SequenceNode); !ok || list {
			wrong("a duration, such as 5m")
		} else if _, err := duration.Parse(text); err != nil {
			s.fault(name, node.GetToken().Position.Line, err.Error())
		}
	case typ.Kind() == reflect.Map && typ.Elem().Kind() != reflect.Interface:
		s.each(node, wrong, func(key string, value *ast.MappingValueNode) { s.of(name+"."+key, value.Value, typ.Elem()) })
	case typ.Kind() == reflect.Map:
		s.each(node, wrong, func(string, *ast.MappingValueNode) {})
	case typ.Kind() == reflect.Struct:
		s.structure(name, node, typ, wrong)
	case typ.Kind() == reflect.Slice:
		list, ok := node.(*ast.SequenceNode)
		if !ok {
			wrong("a list, such as [one, two]")
			return
		}
		for i, item := range list.Values {
			s.of(fmt.Sprintf("%s[%d]", name, i+1), item, typ.Elem())
		}
	case typ.Kind() == reflect.Bool:
		if _, ok := node.(*ast.BoolNode); !ok {
			wrong("true or false")
		}
	case typ.Kind() == reflect.String:
		if _, ok := node.(ast.ScalarNode); !ok {
			wrong("a text")
		}
	}
}

func (s shape) structure(name string, node ast.Node, typ reflect.Type, wrong func(want string)) {
	fields := map[string]reflect.Type{}
	var names []string
	for field := range typ.Fields() {
		key := field.Tag.Get("yaml")
		fields[key], names = field.Type, append(names, key)
	}
	s.each(node, wrong, func(key string, value *ast.MappingValueNode) {
		if key == "<<" { // merged: compared where it is written
			return
		}
		if field, known := fields[key]; known {
			s.of(name+"."+key, value.Value, field)
			return
		}
		hint := suggest(key, names)
		if hint == "" {
			hint = "; possible are " + strings.Join(names, ", ")
		}
		s.fault(name+"."+key, value.Key.GetToken().Position.Line, "is not known here"+hint)
	})
}

// each calls f with the entries of a mapping, or wrong if the node is none.
func (s shape) each(node ast.Node, wrong func(want string), f func(key string, value *ast.MappingValueNode)) {
	mapping, ok := node.(*ast.MappingNode)
	if one, single := node.(*ast.MappingValueNode); single {
		mapping, ok = &ast.MappingNode{Values: []*ast.MappingValueNode{one}}, true
	}
	if !ok {
		wrong("entries of the form key: value")
		return
	}
	for _, value := range mapping.Values {
		f(value.Key.GetToken().Value, value)
	}
}

// kindOf says what a node is, and quotes it if it is short.
func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.LiteralNode:
		return "a text of several lines"
	}
	text, _ := scalarText(node)
	if runes := []rune(text); len(runes) > 40 {
		text = string(runes[:40]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
