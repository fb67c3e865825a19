package apply

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/stepward/stepward/internal/directory"
)

// A place is a line and a column of a file, from 1.
type place struct{ line, column int }

// A document is a YAML file as a JSON value, with the place of each path, such as clients[2].redirect_uris[0].
type document struct {
	name   string
	value  any
	places map[string]place
}

const (
	maxFile  = 8 << 20 // bytes
	maxNodes = 500_000 // also those that aliases stand for
	maxDepth = 30
)

// readYAML reads one YAML document. The error is directory.Faults.
func readYAML(name string, text []byte) (*document, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, notYAML(name, err)
	}
	if len(file.Docs) > 1 {
		return nil, fmt.Errorf("%s has more than one document", name)
	}
	d := &document{name: name, value: map[string]any{}, places: map[string]place{}}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return d, nil
	}
	r := reader{document: d, anchors: map[string]ast.Node{}}
	d.value = r.node("", file.Docs[0].Body, 0)
	return d, r.faults.Err()
}

// notYAML says where a file is not YAML, without the text of the file: it may have a secret in it.
func notYAML(name string, err error) error {
	fault, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return fmt.Errorf("%s is not YAML", name)
	}
	at := name
	if token := fault.GetToken(); token != nil && token.Position != nil {
		at = fmt.Sprintf("%s:%d:%d", name, token.Position.Line, token.Position.Column)
	}
	return fmt.Errorf("%s: %s", at, fault.GetMessage())
}

// at returns where a path is, or the nearest thing around it that is there.
func (d *document) at(path string) string {
	for path != "" {
		if p, ok := d.places[path]; ok {
			return fmt.Sprintf("%s:%d:%d", d.name, p.line, p.column)
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return d.name
}

// A reader turns nodes into JSON values.
type reader struct {
	*document
	anchors map[string]ast.Node
	faults  directory.Faults
	nodes   int
}

func (r *reader) fault(path, text string) any {
	r.faults = append(r.faults, directory.Fault{Field: path, Text: text})
	return nil
}

// node returns the value of a node, and notes where it is.
func (r *reader) node(path string, n ast.Node, depth int) any {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		if r.nodes <= maxNodes+1 {
			r.fault(path, "is too much, or too deep")
		}
		return nil
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.node(path, n.Value, depth+1)
	case *ast.AliasNode:
		target, known := r.anchors[n.Value.GetToken().Value]
		if !known {
			return r.fault(path, "is an alias for nothing")
		}
		return r.node(path, target, depth+1)
	case *ast.TagNode:
		return r.node(path, n.Value, depth+1)
	case *ast.MappingNode:
		return r.mapping(path, n.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(path, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for i, item := range n.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			r.note(at, item)
			list = append(list, r.node(at, item, depth+1))
		}
		return list
	}
	return r.scalar(path, n)
}

func (r *reader) note(path string, n ast.Node) {
	if _, noted := r.places[path]; noted {
		return
	}
	if one, ok := n.(*ast.MappingNode); ok && len(one.Values) > 0 {
		n = one.Values[0].Key
	} else if one, ok := n.(*ast.MappingValueNode); ok {
		n = one.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		r.places[path] = place{t.Position.Line, t.Position.Column}
	}
}

func (r *reader) mapping(path string, values []*ast.MappingValueNode, depth int) any {
	object := map[string]any{}
	for _, v := range values {
		name := v.Key.GetToken().Value
		at := name
		if path != "" {
			at = path + "." + name
		}
		r.note(at, v.Key)
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			r.fault(at, "is not understood here: write the members out")
			continue
		}
		if _, twice := object[name]; twice {
			r.fault(at, "is there twice")
		}
		object[name] = r.node(at, v.Value, depth+1)
	}
	return object
}

func (r *reader) scalar(path string, n ast.Node) any {
	switch n := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return n.Value
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.IntegerNode:
		if v, err := strconv.ParseFloat(fmt.Sprint(n.Value), 64); err == nil {
			return v
		}
	case *ast.FloatNode:
		if !math.IsInf(n.Value, 0) && !math.IsNaN(n.Value) {
			return n.Value
		}
	}
	return r.fault(path, "is no value that JSON has")
}
