package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThePageOfEventsIsGenerated(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/idp/event.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString(`# Events

<!-- Generated from internal/idp/event.go by "go test ./internal/e2e -run Events -update". Do not edit. -->

What happened to accounts, clients and keys is in the table ` + "`events`" + `, written in the transaction of the change, and kept for
` + "`event-retention`" + `. Each has a time, and where known: user, actor, client, session, passkey, address, browser, request ID and a
small ` + "`detail`" + `, which never holds a secret.

| kind | what happened |
|-|-|
`)
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Event") {
			return true
		}
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		text := strings.TrimSpace(spec.Comment.Text())
		if err != nil || text == "" {
			t.Errorf("%s says nothing", spec.Names[0])
		}
		page.WriteString("| `" + kind + "` | " + text + " |\n")
		kinds++
		return true
	})
	if kinds < 30 {
		t.Errorf("%d kinds found", kinds)
	}
	path := filepath.Join(root, "docs/events.md")
	if *updateTable {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(page.String(), read(t, path)); diff != "" {
		t.Errorf("run go test ./internal/e2e -run Events -update:\n%s", diff)
	}
}
