package ephemeraltest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// smallDisk mounts a disk that only the server sees, and that goes with it.
const smallDisk = `
set -e
mkdir "$0/disk"
mount -t tmpfs -o size=8m tmpfs "$0/disk"
"$@" </dev/null &
while read -r word; do
  case $word in
    fill)
      dd if=/dev/zero of="$0/disk/filler" bs=64k 2>/dev/null || true
      dd if=/dev/zero of="$0/disk/rest" bs=1 2>/dev/null || true ;;
    free) rm -f "$0/disk/filler" "$0/disk/rest" ;;
  esac
  touch "$0/$word"
done
kill -9 $!; wait || true; umount "$0/disk"; rm -rf "$0"
`

// A SmallDisk is a server that keeps its entries on a disk of 8 MB, which can be filled.
type SmallDisk struct {
	*RedisServer
	t   testing.TB
	dir string
}

// StartRedisOnASmallDisk starts one, which writes each command to its append-only file. It needs root, and programs of
// Linux.
func StartRedisOnASmallDisk(t testing.TB, args ...string) *SmallDisk {
	t.Helper()
	try := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", os.TempDir())
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, not tested: a small disk cannot be mounted (it needs root): %v %s", err, out)
	}
	program, dir := prepare(t)
	server := launch(t, dir, exec.Command("unshare", slices.Concat([]string{
		"-m", "sh", "-c", smallDisk, dir, program, "--port", "0", "--save", "", "--appendonly", "yes",
		"--maxmemory-policy", "noeviction",
	}, args, []string{"--unixsocket", filepath.Join(dir, socket), "--dir", filepath.Join(dir, "disk")})...))
	return &SmallDisk{server, t, dir}
}

// FillDisk leaves no room on the disk.
func (s *SmallDisk) FillDisk() { s.t.Helper(); s.do("fill") }

// FreeDisk makes room again.
func (s *SmallDisk) FreeDisk() { s.t.Helper(); s.do("free") }

// do waits until the shell has done what a word says.
func (s *SmallDisk) do(word string) {
	s.t.Helper()
	done := filepath.Join(s.dir, word)
	if _, err := io.WriteString(s.stdin, word+"\n"); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if os.Remove(done) == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the small disk does not %s", word)
		}
	}
}
