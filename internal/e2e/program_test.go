package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// program is the built command line, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stepward-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stepward")
	return path, exec.Command("go", "build", "-o", path, "github.com/stepward/stepward/cmd/stepward").Run()
})

// operate runs a command as an operator would type it, in a data folder, and returns what it printed.
func operate(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("build the program: %v", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "STEPWARD_DATA_DIR="+dir)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		err = &failed{err, complaint.String()}
	}
	return string(out), err
}

// failed is a command's failure with what it complained about.
type failed struct {
	error
	complaint string
}

func (f *failed) Error() string { return f.error.Error() + ": " + f.complaint }
