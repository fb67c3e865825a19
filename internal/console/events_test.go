package console

// These tests are inside the package: the topics are chosen by name, and no page lists their kinds.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

func TestEachKindOfEventIsInExactlyOneTopic(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "idp", "event.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[idp.EventKind]int{}
	for name, kinds := range topics {
		if !slices.Contains(topicOrder, name) {
			t.Errorf("no choice leads to %s", name)
		}
		for _, kind := range kinds {
			found[kind]++
		}
	}
	all := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Event") {
			return true
		}
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if n := found[idp.EventKind(kind)]; err != nil || n != 1 {
			t.Errorf("%s is in %d topics", kind, n)
		}
		all++
		return true
	})
	if all < 60 {
		t.Errorf("%d kinds found", all)
	}
}
