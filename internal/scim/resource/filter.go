package resource

import (
	"encoding/json"
	"slices"
	"strings"
)

// Limits of a filter.
const (
	maxFilter  = 2000 // bytes
	maxNesting = 10   // parentheses, "not" and value paths
	maxTests   = 50   // comparisons
)

// A Filter is a node of the tree of RFC 7644 §3.4.2.2: a test, or several joined.
type Filter struct {
	Op          string  // and, or, not; eq, ne, co, sw, ew, gt, ge, lt, le, pr; []: a value path
	Left, Right *Filter // of and and or; left alone of not and []
	Path        Path    // of a test, and of []
	Value       any     // of a test: string, float64, bool or nil
}

var comparisons = []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

// ParseFilter reads a filter over a kind of resource.
func ParseFilter(k Kind, text string) (*Filter, error) {
	if len(text) > maxFilter {
		return nil, Bad("invalidFilter", "the filter is longer than %d bytes", maxFilter)
	}
	p := &filterParser{text: text, resolve: k.Resolve}
	f, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(p.text) {
		return nil, p.fault("unexpected text")
	}
	return f, nil
}

// filterParser reads by recursive descent: or, and, then what binds more closely.
type filterParser struct {
	text    string
	at      int
	tests   int
	resolve func(string) (Path, bool)
}

func (p *filterParser) fault(what string) error {
	return Bad("invalidFilter", "%s at character %d of the filter", what, p.at+1)
}

func (p *filterParser) skip() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

// take consumes a symbol if it is next.
func (p *filterParser) take(symbol string) bool {
	p.skip()
	if !strings.HasPrefix(p.text[p.at:], symbol) {
		return false
	}
	p.at += len(symbol)
	return true
}

// word returns the next word: an attribute, an operator, or a value without quotation marks.
func (p *filterParser) word() string {
	p.skip()
	from := p.at
	for p.at < len(p.text) && !strings.ContainsRune(` ()[]"`, rune(p.text[p.at])) {
		p.at++
	}
	return p.text[from:p.at]
}

// takeWord consumes a word if it is next, in any case.
func (p *filterParser) takeWord(want string) bool {
	from := p.at
	if strings.EqualFold(p.word(), want) {
		return true
	}
	p.at = from
	return false
}

func (p *filterParser) or(depth int) (*Filter, error) {
	return p.chain("or", depth, func() (*Filter, error) {
		return p.chain("and", depth, func() (*Filter, error) { return p.term(depth) })
	})
}

// chain reads terms that are joined by an operator.
func (p *filterParser) chain(op string, depth int, term func() (*Filter, error)) (*Filter, error) {
	if depth > maxNesting {
		return nil, p.fault("too much nesting")
	}
	left, err := term()
	for err == nil && p.takeWord(op) {
		var right *Filter
		if right, err = term(); err == nil {
			left = &Filter{Op: op, Left: left, Right: right}
		}
	}
	return left, err
}

func (p *filterParser) term(depth int) (*Filter, error) {
	from := p.at
	if p.takeWord("not") {
		p.skip()
		if p.at < len(p.text) && p.text[p.at] == '(' {
			inner, err := p.term(depth + 1)
			return &Filter{Op: "not", Left: inner}, err
		}
		p.at = from
	}
	if p.take("(") {
		inner, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = p.fault("a missing )")
		}
		return inner, err
	}
	return p.test(depth)
}

func (p *filterParser) test(depth int) (*Filter, error) {
	if p.tests++; p.tests > maxTests {
		return nil, Bad("invalidFilter", "the filter has more than %d comparisons", maxTests)
	}
	name := p.word()
	at, known := p.resolve(name)
	if !known || at.Attr == nil {
		return nil, Bad("invalidFilter", "%q is no attribute here", name)
	}
	if p.at < len(p.text) && p.text[p.at] == '[' && at.Sub == nil {
		p.at++
		return p.valuePath(at, depth)
	}
	op := strings.ToLower(p.word())
	if op == "pr" {
		return &Filter{Op: op, Path: at}, nil
	}
	if !slices.Contains(comparisons, op) {
		return nil, p.fault("an unknown operator")
	}
	value, err := p.value()
	return &Filter{Op: op, Path: at, Value: value}, err
}

// valuePath reads the rest of attribute[filter], whose filter is over the sub-attributes.
func (p *filterParser) valuePath(at Path, depth int) (*Filter, error) {
	outer := p.resolve
	p.resolve = func(name string) (Path, bool) {
		sub := named(at.Attr.Sub, name)
		return Path{Attr: sub}, sub != nil
	}
	inner, err := p.or(depth + 1)
	p.resolve = outer
	if err == nil && !p.take("]") {
		err = p.fault("a missing ]")
	}
	return &Filter{Op: "[]", Left: inner, Path: at}, err
}

// value reads a JSON string, number, true, false or null.
func (p *filterParser) value() (any, error) {
	p.skip()
	from := p.at
	if p.at < len(p.text) && p.text[p.at] == '"' {
		for p.at++; p.at < len(p.text) && p.text[p.at] != '"'; p.at++ {
			if p.text[p.at] == '\\' {
				p.at++
			}
		}
		p.at = min(p.at+1, len(p.text))
	} else {
		p.word()
	}
	var v any
	if err := json.Unmarshal([]byte(p.text[from:p.at]), &v); err != nil {
		p.at = from
		return nil, p.fault("no value")
	}
	return v, nil
}
