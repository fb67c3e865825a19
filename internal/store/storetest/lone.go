package storetest

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// told is a shell that runs servers and does what its standard input says, a word a line.
type told struct {
	t     testing.TB
	dir   string
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// tell starts a shell in a new folder with these files. It gets the folder of the programs of Postgres and its own.
// Where there is no Postgres the test is skipped, or fails if STEPWARD_TEST_NO_SKIP=1.
func tell(t testing.TB, script string, files map[string]string) *told {
	t.Helper()
	return tellIn(t, files, func(bin, dir string) (*exec.Cmd, error) {
		cmd := exec.Command("sh", "-c", script, "sh", bin, dir)
		return cmd, humble(cmd, dir)
	})
}

func tellIn(t testing.TB, files map[string]string, command func(bin, dir string) (*exec.Cmd, error)) *told {
	t.Helper()
	bin, err := find()
	if errors.Is(err, errNoPostgres) && os.Getenv("STEPWARD_TEST_NO_SKIP") != "1" {
		t.Skip("SKIPPED, not tested: ", err)
	}
	dir, mkErr := os.MkdirTemp(memory(), "stepward-pg-")
	if err := errors.Join(err, mkErr); err != nil {
		t.Fatal(err)
	}
	cmd, err := command(bin, dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p := &told{t: t, dir: dir, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(sync.OnceFunc(func() { _ = stdin.Close(); _ = cmd.Wait() }))
	p.wait()
	return p
}

func (p *told) wait() {
	p.t.Helper()
	var said strings.Builder
	for p.lines.Scan() {
		if p.lines.Text() == "done" {
			return
		}
		said.WriteString(p.lines.Text() + "\n")
	}
	p.t.Fatalf("Postgres: %s", said.String())
}

func (p *told) do(word string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, word+"\n"); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
}

// A Lone is a Postgres server for one test, with a database named postgres.
type Lone struct{ *told }

const loneScript = `
set -e
cd "$2"
trap '"$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1 || true; rm -rf "$2"' EXIT
if [ -e disk ]; then mkdir disk/data; ln -s disk/data data; fi
"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync --wal-segsize=1 >log 2>&1 || { cat log; exit 1; }
for file in server.crt server.key; do
  if [ -e $file ]; then cp $file data/; chmod 600 data/$file; fi
done
cat >>data/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$2'
shared_buffers = 16MB
fsync = off
END
cat config >>data/postgresql.conf
start() { "$1/pg_ctl" -D data -l log -w start >/dev/null 2>&1 || { cat log; exit 1; }; }
start "$1"
echo done
while read -r word; do
  case $word in
    fill) dd if=/dev/zero of=disk/filler bs=64k 2>/dev/null || true ;;
    free) rm disk/filler; "$1/pg_ctl" -D data status >/dev/null 2>&1 || start "$1" ;;
  esac
  echo done
done
`

// NewLone starts a server with these lines in its configuration. files may have server.crt and server.key.
func NewLone(t testing.TB, config string, files map[string]string) *Lone {
	t.Helper()
	all := map[string]string{"config": config + "\n"}
	for name, text := range files {
		all[name] = text
	}
	return &Lone{tell(t, loneScript, all)}
}

// smallDisk mounts a disk that only the server sees, and that goes with it. The server's user has no rights to mount.
const smallDisk = `
set -e
mkdir "$2/disk"
mount -t tmpfs -o size=96m,mode=777 tmpfs "$2/disk"
chown -R "$3" "$2"
exec setpriv --reuid="$3" --regid="$3" --clear-groups sh -c "$4" sh "$1" "$2"
`

// NewLoneOnASmallDisk starts a server whose disk has 96 MB and can be filled. It needs root, and programs of Linux.
func NewLoneOnASmallDisk(t testing.TB) *Lone {
	t.Helper()
	try := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", os.TempDir())
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, not tested: a small disk cannot be mounted (it needs root): %v %s", err, out)
	}
	files := map[string]string{"config": "min_wal_size = 2MB\nmax_wal_size = 8MB\n"}
	return &Lone{tellIn(t, files, func(bin, dir string) (*exec.Cmd, error) {
		return exec.Command("unshare", "-m", "sh", "-c", smallDisk, "sh", bin, dir, "postgres", loneScript), nil
	})}
}

// FillDisk leaves no room on the small disk.
func (l *Lone) FillDisk() { l.t.Helper(); l.do("fill") }

// FreeDisk makes room again, and starts the server again if it has given up.
func (l *Lone) FreeDisk() { l.t.Helper(); l.do("free") }

// URL leads to the server's socket.
func (l *Lone) URL() string { return url(l.dir, "postgres") }
