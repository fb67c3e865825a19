//go:build unix

package datafile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stepward/stepward/internal/datafile"
)

const somebody = 65534

// folderOf makes a data folder of somebody else.
func folderOf(t *testing.T, uid int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of others")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	return dir
}

func owner(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestARootsFileBelongsToTheOwnerOfTheFolder(t *testing.T) {
	path := filepath.Join(folderOf(t, somebody), "stepward.db")
	f, err := datafile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode() != 0o600 || owner(t, path) != somebody {
		t.Errorf("%v %v, owner %d", err, info.Mode(), owner(t, path))
	}
	if _, err := datafile.Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made anew: %v", err)
	}
}

// The owner of the folder may put a link into it, to have root give away what it leads to.
func TestNothingIsGivenAwayThatWasThereBefore(t *testing.T) {
	dir := folderOf(t, somebody)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "stepward.db")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	f, err := datafile.Open(link)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := owner(t, secret); got != 0 {
		t.Errorf("root's file belongs to %d now", got)
	}
}
