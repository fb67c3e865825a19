package e2e

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Bounds of a room (docs/design.md): beyond them two ideas share it.
const (
	maxLines   = 2500 // of a package, without files that end with _test.go
	maxMethods = 40   // of a type
)

// TestNoRoomIsOverfull prints the numbers of the house with -v. Packages that serve tests, like storetest, count too.
func TestNoRoomIsOverfull(t *testing.T) {
	exempt := map[string]bool{"store.DB": true} // store.DB: one method a statement, one table a file
	root := filepath.Join("..", "..")
	for _, p := range allPackages(t) {
		dir := filepath.Join(root, strings.TrimPrefix(p.ImportPath, module))
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		lines, count, methods := 0, 0, map[string]int{}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			count, lines = count+1, lines+bytes.Count(text, []byte("\n"))
			parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
					methods[receiver(f)]++
				}
			}
		}
		name, largest := strings.TrimPrefix(p.ImportPath, module), ""
		for typ, n := range methods {
			if largest == "" || n > methods[largest] || n == methods[largest] && typ < largest {
				largest = typ
			}
			if n > maxMethods && !exempt[filepath.Base(name)+"."+typ] {
				t.Errorf("%s.%s has %d methods", name, typ, n)
			}
		}
		t.Logf("%-24s %5d lines %3d files   %s %d", name, lines, count, largest, methods[largest])
		if lines > maxLines {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
}

// TestNoFunctionTakesFourStringsInARow: a call that swaps two of them compiles. Such functions take a struct.
func TestNoFunctionTakesFourStringsInARow(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(root, strings.TrimPrefix(p.ImportPath, module), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				f, ok := n.(*ast.FuncType)
				if !ok {
					return true
				}
				row := 0
				for _, field := range f.Params.List {
					if id, ok := field.Type.(*ast.Ident); !ok || id.Name != "string" {
						row = 0
						continue
					}
					if row += max(1, len(field.Names)); row > 3 {
						t.Errorf("%s takes %d strings in a row", set.Position(f.Pos()), row)
					}
				}
				return true
			})
		}
	}
}

// receiver returns the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	var name string
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}

// TestNoContextCarriesIdentity lists the files that may put values into a context.
func TestNoContextCarriesIdentity(t *testing.T) {
	allowed := []string{
		"internal/web/chain.go",
		"internal/adminapi/inside.go", // where a failure is put, for the operator who called it
		"internal/manage/remote.go",   // how x/oauth2 is given its client
		"pkg/stepup/require.go",       // an application's handler has no other way to the verified claims
	}
	root := filepath.Join("..", "..")
	for _, dir := range []string{"internal", "pkg", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			rel, _ := filepath.Rel(root, path)
			if bytes.Contains(text, []byte("context.WithValue(")) && !slices.Contains(allowed, filepath.ToSlash(rel)) {
				t.Errorf("%s puts a value into a context", rel)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// unbreakable are lines that cannot be shorter: the tags of a struct, and addresses.
var unbreakable = regexp.MustCompile("`[a-z]+:\"|https?://\\S{40,}")

// TestLinesEndByColumn120 leaves out tests: they may have tables.
func TestLinesEndByColumn120(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, dir := range []string{"internal", "pkg", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			rel, _ := filepath.Rel(root, path)
			n := 0
			for line := range strings.Lines(string(text)) {
				n++
				if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > 120 && !unbreakable.MatchString(line) {
					t.Errorf("%s:%d is longer than 120 columns", filepath.ToSlash(rel), n)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// insideBecause is how an internal test says why it is not outside of its package.
var insideBecause = regexp.MustCompile(`(?m)^// (This test is|These tests are) inside the package: \S`)

// TestInternalTestsSayWhy: a test belongs into the package name_test. One file a package says why others do not.
// export_test.go and packages of tests alone have no choice.
func TestInternalTestsSayWhy(t *testing.T) {
	root, inside, explained, code := filepath.Join("..", ".."), map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, dir := range []string{"internal", "pkg", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			rel, _ := filepath.Rel(root, filepath.Dir(path))
			name := filepath.ToSlash(rel)
			if !strings.HasSuffix(path, "_test.go") {
				code[name] = true
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.PackageClauseOnly)
			if err != nil {
				return err
			}
			if !strings.HasSuffix(file.Name.Name, "_test") && d.Name() != "export_test.go" {
				inside[name] = true
				explained[name] = explained[name] || insideBecause.Match(text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(inside) < 10 {
		t.Fatalf("found only %d packages with internal tests", len(inside))
	}
	for name := range inside {
		if code[name] && !explained[name] {
			t.Errorf("%s has tests inside the package, and no comment like %q", name, insideBecause)
		}
	}
}
