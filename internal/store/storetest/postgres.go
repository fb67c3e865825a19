package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store"
)

// template is the migrated database that others are copied from; if empty, the server's own is.
const (
	template = "stepward_template"
	empty    = "template0"
)

// PostgresURL returns a fresh database, not migrated. The first call in a test process starts a Postgres server on a
// unix socket, which ends with the process in any case. Without Postgres the test is skipped, or fails if
// STEPWARD_TEST_NO_SKIP=1. The database is dropped after the test.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return database(t, empty)
}

// server is the server of this process: the folder of its socket, or why there is none.
var server = sync.OnceValues(start)

var errNoPostgres = errors.New("no Postgres found on the PATH, in /usr/lib/postgresql or /usr/local/bin")

var databases atomic.Int64

func database(t testing.TB, from string) string {
	t.Helper()
	dir, err := server()
	switch {
	case errors.Is(err, errNoPostgres) && os.Getenv("STEPWARD_TEST_NO_SKIP") != "1":
		t.Skip("SKIPPED, not tested: ", err)
	case err != nil:
		t.Fatal("start Postgres: ", err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := execute(dir, "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		t.Fatal("create database: ", err)
	}
	t.Cleanup(func() {
		if err := execute(dir, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error("drop database: ", err)
		}
	})
	return url(dir, name)
}

func url(dir, name string) string {
	return "postgres:///" + name + "?user=postgres&host=" + dir
}

func execute(dir, sql string) error {
	ctx := context.Background() // also after the test's context has ended
	conn, err := pgx.Connect(ctx, url(dir, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// script creates a server, prints ready, and waits for the end of its standard input: the pipe from this process, which
// the kernel closes when the process ends. Then it stops the server and removes everything.
const script = `
set -e
cd "$2"
trap '"$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null 2>&1; rm -rf "$2"' EXIT
"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
cat >>data/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$2'
max_connections = 200
fsync = off
synchronous_commit = off
full_page_writes = off
END
"$1/pg_ctl" -D data -l log -w start >/dev/null 2>&1 || { cat log; exit 1; }
echo ready
cat >/dev/null
`

func start() (dir string, err error) {
	bin, err := find()
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(memory(), "stepward-pg-"); err != nil {
		return "", err
	}
	cmd := exec.Command("sh", "-c", script, "sh", bin, dir)
	if err := humble(cmd, dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	keep = stdin
	var said strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			return dir, migrateTemplate(dir)
		}
		said.WriteString(lines.Text() + "\n")
	}
	return "", fmt.Errorf("%w\n%s", cmd.Wait(), said.String())
}

// keep holds the pipe: if it were collected, its finalizer would close it.
//
//lint:ignore U1000 holding is its use
var keep any

func migrateTemplate(dir string) error {
	ctx := context.Background()
	if err := execute(dir, "CREATE DATABASE "+template); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{URL: url(dir, template)})
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close()) // no connection may be open while it is copied
}

// find returns the folder of the server's programs.
func find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	candidates = append([]string{"/usr/local/bin/initdb"}, candidates...)
	for i := len(candidates) - 1; i >= 0; i-- { // the newest version that is installed
		if _, err := os.Stat(candidates[i]); err == nil {
			return filepath.Dir(candidates[i]), nil
		}
	}
	return "", errNoPostgres
}
