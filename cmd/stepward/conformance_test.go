package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const requirements = 49

var (
	// conformanceRow is a row of the table: number, requirement, source, tests.
	conformanceRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)
	opTest         = regexp.MustCompile("`(TestOP(\\d\\d)\\w+)`")
	opTestFunc     = regexp.MustCompile(`(?m)^func (TestOP(\d\d)\w+)\(t \*testing\.T\)`)
)

// TestConformanceNamesItsTests prints the table with -v (make conformance).
func TestConformanceNamesItsTests(t *testing.T) {
	exists := map[string]bool{} // and whether the table has it
	for _, m := range opTestFunc.FindAllStringSubmatch(testsIn(t, "."), -1) {
		exists[m[1]] = false
	}
	rows := conformanceRow.FindAllStringSubmatch(read(t, filepath.Join(root, "docs/conformance.md")), -1)
	if len(rows) != requirements {
		t.Errorf("%d requirements, want %d", len(rows), requirements)
	}
	var table strings.Builder
	for i, row := range rows {
		number, what, from, tests := row[1], row[2], row[3], row[4]
		if number != strconv.Itoa(i+1) {
			t.Errorf("row %d has the number %s", i+1, number)
		}
		named := opTest.FindAllStringSubmatch(tests, -1)
		for _, m := range named {
			if _, ok := exists[m[1]]; !ok || m[2] != fmt.Sprintf("%02d", i+1) {
				t.Errorf("%s: there is no test %s, or it is of another requirement", number, m[1])
			}
			exists[m[1]] = true
		}
		if left := strings.Trim(opTest.ReplaceAllString(tests, ""), ", "); (len(named) == 0) != (left == "not yet") || len(named) > 0 && left != "" {
			t.Errorf("%s: a row names its tests, or says: not yet (%s)", number, tests)
		}
		fmt.Fprintf(&table, "\n%2s  %s (%s)", number, what, from)
		for _, m := range named {
			fmt.Fprintf(&table, "\n      %s", m[1])
		}
		if len(named) == 0 {
			table.WriteString("\n      not yet")
		}
	}
	var missing []string
	for name, listed := range exists {
		if !listed {
			missing = append(missing, name)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		t.Errorf("not in the table of docs/conformance.md: %s", strings.Join(missing, ", "))
	}
	t.Log(table.String())
}
