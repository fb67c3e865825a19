package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

var goProgram = regexp.MustCompile("(?ms)^```go\n(package main\n.*?)^```$")

// Readers copy the programs of the first page: they compile.
func TestTheProgramsOfTheFirstPageCompile(t *testing.T) {
	programs := goProgram.FindAllStringSubmatch(read(t, filepath.Join(root, "docs/integrate/start.md")), -1)
	if len(programs) != 2 {
		t.Fatalf("%d programs found", len(programs))
	}
	for i, p := range programs {
		path := filepath.Join(t.TempDir(), "main"+strconv.Itoa(i)+".go")
		if err := os.WriteFile(path, []byte(p[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "vet", path)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("program %d: %v\n%s", i+1, err, out)
		}
	}
}
