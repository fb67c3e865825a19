package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var updateTable = flag.Bool("update", false, "write the tests into the table of docs/conformance.md")

const requirements = 49

var (
	// conformanceRow is a row of the table: number, requirement, source, tests.
	conformanceRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)
	opTestFunc     = regexp.MustCompile(`(?m)^func (TestOP(\d\d)\w+)\(t \*testing\.T\)`)
)

// TestConformanceNamesItsTests prints the table with -v (make conformance), and with -update writes it.
func TestConformanceNamesItsTests(t *testing.T) {
	tests := map[string][]string{} // by number
	for _, m := range opTestFunc.FindAllStringSubmatch(testsIn(t, "."), -1) {
		number := strings.TrimPrefix(m[2], "0")
		tests[number] = append(tests[number], "`"+m[1]+"`")
	}
	path := filepath.Join(root, "docs/conformance.md")
	page, next := read(t, path), 1
	written := conformanceRow.ReplaceAllStringFunc(page, func(line string) string {
		row := conformanceRow.FindStringSubmatch(line)
		number, what, from, named := row[1], row[2], row[3], "not yet"
		if number != strconv.Itoa(next) {
			t.Errorf("row %d has the number %s", next, number)
		}
		if next++; len(tests[number]) > 0 {
			slices.Sort(tests[number])
			named = strings.Join(tests[number], ", ")
		}
		delete(tests, number)
		t.Logf("%2s  %s (%s)\n      %s", number, what, from, strings.NewReplacer("`", "", ", ", "\n      ").Replace(named))
		return fmt.Sprintf("| %s | %s | %s | %s |", number, what, from, named)
	})
	if next-1 != requirements || len(tests) > 0 {
		t.Errorf("%d requirements, want %d; tests of none of them: %v", next-1, requirements, tests)
	}
	if *updateTable {
		if err := os.WriteFile(path, []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if written != page {
		t.Error("the table of docs/conformance.md names other tests than there are; write it: go test ./internal/e2e -run TestConformance -update")
	}
}
