package words

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	syntax "text/template/parse"
	"unicode"

	"golang.org/x/net/html"
)

// unmoved are the packages whose texts are not in the catalogue yet.
var unmoved = []string{}

func moved(file string) bool {
	return !slices.Contains(unmoved, strings.Split(filepath.ToSlash(file), "/")[1])
}

// sources returns the paths of all files of the house with this ending, without tests and test data.
func sources(t *testing.T, ending string) (found []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ending) && !strings.HasSuffix(path, "_test.go") {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatal("no sources: ", err)
	}
	return found
}

// trees parses a template without its functions.
func trees(t *testing.T, file string) map[string]*syntax.Tree {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return treesOf(t, file, string(source))
}

func treesOf(t *testing.T, name, source string) map[string]*syntax.Tree {
	t.Helper()
	tree := syntax.New(name)
	tree.Mode = syntax.SkipFuncCheck
	all := map[string]*syntax.Tree{}
	if _, err := tree.Parse(source, "", "", all); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return all
}

// walk calls visit with every node of a list.
func walk(n syntax.Node, visit func(syntax.Node)) {
	visit(n)
	switch n := n.(type) {
	case *syntax.ListNode:
		if n != nil {
			for _, c := range n.Nodes {
				walk(c, visit)
			}
		}
	case *syntax.IfNode:
		branch(&n.BranchNode, visit)
	case *syntax.WithNode:
		branch(&n.BranchNode, visit)
	case *syntax.RangeNode:
		branch(&n.BranchNode, visit)
	case *syntax.ActionNode:
		walk(n.Pipe, visit)
	case *syntax.PipeNode:
		for _, c := range n.Cmds {
			visit(c)
			for _, arg := range c.Args {
				if pipe, ok := arg.(*syntax.PipeNode); ok {
					walk(pipe, visit)
				}
			}
		}
	}
}

func branch(n *syntax.BranchNode, visit func(syntax.Node)) {
	walk(n.Pipe, visit)
	walk(n.List, visit)
	if n.ElseList != nil {
		walk(n.ElseList, visit)
	}
}

// templateFaults returns the uses of {{t …}} and {{plain …}} in a template that the catalogue does not have, or has with other arguments.
func templateFaults(all map[string]*syntax.Tree) (found []string) {
	for _, tree := range all {
		walk(tree.Root, func(n syntax.Node) {
			c, ok := n.(*syntax.CommandNode)
			if !ok || len(c.Args) < 2 {
				return
			}
			if f, ok := c.Args[0].(*syntax.IdentifierNode); !ok || f.Ident != "t" && f.Ident != "plain" {
				return
			}
			key, ok := c.Args[1].(*syntax.StringNode)
			if !ok {
				return // a text that the program made
			}
			m := T(key.Text)
			for i, arg := range c.Args[2:] {
				name, ok := arg.(*syntax.StringNode)
				if i%2 == 0 && ok {
					m.Args = append(m.Args, name.Text, nil)
				}
			}
			if err := Check(m); err != nil || len(c.Args)%2 != 0 {
				found = append(found, fmt.Sprintf("%s: %v", c, err))
			}
		})
	}
	return found
}

func TestTemplatesOnlyUseTextsOfTheCatalogue(t *testing.T) {
	for _, file := range sources(t, ".html") {
		for _, fault := range templateFaults(trees(t, file)) {
			t.Errorf("%s: %s", file, fault)
		}
	}
	for source, want := range map[string]int{
		`{{t "agent.go"}}`: 0, `{{t "no.such"}}`: 1, `{{if .A}}{{with .B}}{{t "agent.on" "browser" .X}}{{end}}{{end}}`: 1,
		`{{plain "agent.on" "browser" .X "system" (ago .Y)}}`: 0, `{{t "agent.on" "browser" .X "sistem" .Y}}`: 1, `<p title="{{plain "agent.on"}}">`: 1,
	} {
		if found := templateFaults(treesOf(t, "x", source)); len(found) != want {
			t.Errorf("%s: %q", source, found)
		}
	}
}

// bareText returns the texts of a template that are written into it.
func bareText(source string) (found []string) {
	source = regexp.MustCompile(`(?s)\{\{.*?\}\}`).ReplaceAllString(source, "")
	source = strings.NewReplacer("<noscript>", "", "</noscript>", "").Replace(source) // its content would count as text
	z := html.NewTokenizer(strings.NewReader(source))
	hidden := false
	for {
		switch z.Next() {
		case html.ErrorToken:
			return found
		case html.TextToken:
			if text := strings.TrimSpace(string(z.Text())); !hidden && strings.ContainsFunc(text, unicode.IsLetter) {
				found = append(found, text)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			hidden = tag.Data == "script" || tag.Data == "style"
			for _, a := range tag.Attr {
				spoken := slices.Contains([]string{"title", "alt", "aria-label", "aria-description", "placeholder", "label", "data-label"}, a.Key) ||
					a.Key == "value" && tag.Data == "input" && !slices.ContainsFunc(tag.Attr, func(a html.Attribute) bool { return a.Key == "name" })
				if spoken && strings.ContainsFunc(a.Val, unicode.IsLetter) {
					found = append(found, a.Val)
				}
			}
		case html.EndTagToken:
			hidden = false
		}
	}
}

func TestNoTemplateHasBareText(t *testing.T) {
	for _, file := range sources(t, ".html") {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if moved(file) {
			for _, text := range bareText(string(source)) {
				t.Errorf("%s: bare text %q", file, text)
			}
		}
	}
	for source, want := range map[string]int{
		`<p>{{t "x"}}: <b>{{.Y}}</b> · 5</p>`: 0, `<p>{{if .A}}Hello{{end}}</p>`: 1, `<img alt="A cat">`: 1, `<script src="x.js">let a</script>`: 0,
		`<p aria-label="{{t "x"}}" class="quiet">`: 0, `<input name="to" value="go"><button>{{t "go"}} now</button>`: 1,
	} {
		if found := bareText(source); len(found) != want {
			t.Errorf("%s: %q", source, found)
		}
	}
}

// goFaults returns the texts in a Go file that are not in the catalogue: names of messages that do not exist or have
// other arguments, and English in the fields for texts of a page.
func goFaults(file *ast.File, moved bool) (found []string) {
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "T" && fmt.Sprint(f.X) == "words" && len(n.Args) > 0 {
				key, ok := literal(n.Args[0])
				if !ok {
					return true // made from a prefix; the tests of its package show it
				}
				if args, ok := argumentsOf(n.Args[1:]); ok {
					if err := Check(T(key, args...)); err != nil {
						complain("words.T(%q): %v", key, err)
					}
				}
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok && len(n.Rhs) == len(n.Lhs) && s.Sel.Name == "Words" {
					if key, ok := literal(n.Rhs[i]); ok && !Has(key+".text") && !Has(key+".title") {
						complain("Words = %q: no such text", key)
					}
				}
			}
		case *ast.CompositeLit:
			name := fmt.Sprint(n.Type)
			if s, ok := n.Type.(*ast.SelectorExpr); ok {
				name = s.Sel.Name
			}
			if name != "Problem" && name != "Page" {
				return true
			}
			var key string
			args := []any{}
			known := true
			for _, e := range n.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				switch field := fmt.Sprint(kv.Key); field {
				case "Title", "Text", "Next":
					if moved {
						complain("%s: %s is for packages that are not in the catalogue", name, field)
					}
				case "Words":
					if key, ok = literal(kv.Value); ok && !Has(key+".text") && !Has(key+".title") {
						complain("Words: %q: no such text", key)
					}
				case "Args":
					lit, ok := kv.Value.(*ast.CompositeLit)
					if known = ok; ok {
						args, known = argumentsOf(lit.Elts)
					}
				}
			}
			if key != "" && known {
				for _, part := range []string{".title", ".text", ".next", ".button"} {
					if m, ok := English().messages()[key+part]; ok {
						for _, name := range m.placeholders() {
							if !slices.Contains(args, any(name)) {
								complain("%s%s: no argument %s", key, part, name)
							}
						}
					}
				}
			}
		}
		return true
	})
	return found
}

func literal(e ast.Expr) (string, bool) {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, err := strconv.Unquote(l.Value)
		return s, err == nil
	}
	return "", false
}

// argumentsOf returns the arguments of a call, with their names. ok is false if a name is not written out.
func argumentsOf(list []ast.Expr) (args []any, ok bool) {
	for i, e := range list {
		var value any
		if i%2 == 0 {
			if value, ok = literal(e); !ok {
				return nil, false
			}
		}
		args = append(args, value)
	}
	return args, true
}

func TestCodeOnlyUsesTextsOfTheCatalogue(t *testing.T) {
	for _, name := range sources(t, ".go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range goFaults(file, moved(name)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	for source, want := range map[string]int{
		`words.T("agent.go")`: 0, `words.T("agent.no")`: 1, `words.T("agent.on", "browser", b)`: 1, `words.T(key)`: 0,
		`web.Problem{Words: "problem.gone"}`: 0, `web.Problem{Words: "problem.no"}`: 1, `web.Problem{Title: "Hello"}`: 1, `web.Page{Title: t}`: 1,
		`func() { p.Words = "problem.no" }`: 1, `func() { p.Words = "problem.gone" }`: 0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nvar y = "+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if found := goFaults(file, true); len(found) != want {
			t.Errorf("%s: %q", source, found)
		}
	}
}

// A text that nothing shows is still translated five times.
func TestEveryTextIsUsed(t *testing.T) {
	var all bytes.Buffer
	for _, ending := range []string{".go", ".html", ".txt"} {
		for _, name := range sources(t, ending) {
			body, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(body)
		}
	}
	for key := range English().messages() {
		used := false
		for prefix := key; !used && prefix != ""; prefix = prefix[:max(0, strings.LastIndexByte(prefix, '.'))] {
			used = bytes.Contains(all.Bytes(), []byte(`"`+prefix+`"`)) || prefix != key && bytes.Contains(all.Bytes(), []byte(`"`+prefix+`."`))
			if strings.Count(key, ".")-strings.Count(prefix, ".") > 1 {
				break
			}
		}
		if !used && !strings.HasPrefix(key, "script.") {
			t.Errorf("nothing shows %s", key)
		}
	}
}
