package storetest

import (
	"fmt"
	"net"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/store"
)

// A PgBouncer is a temporary pooler before the server of this process, with this pool_mode.
type PgBouncer struct{ dir string }

// StartPgBouncer starts a pooler with size connections to the server for each database. Without pgbouncer on the PATH
// the test is skipped, or fails if STEPWARD_TEST_NO_SKIP=1.
func StartPgBouncer(t testing.TB, mode string, size int) *PgBouncer {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/pgbouncer"); err == nil {
			program = "/usr/sbin/pgbouncer"
		}
	}
	if program == "" {
		if os.Getenv("STEPWARD_TEST_NO_SKIP") == "1" {
			t.Fatal("no pgbouncer on the PATH, and STEPWARD_TEST_NO_SKIP=1")
		}
		t.Skip("SKIPPED: no pgbouncer on the PATH; this test proves nothing")
	}
	behind, err := server()
	if err != nil {
		t.Skip("SKIPPED, not tested: ", err)
	}
	dir, err := os.MkdirTemp("", "stepward-pool-")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[databases]\n* = host=%s user=postgres\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = %s\n"+
		"auth_type = any\npool_mode = %s\ndefault_pool_size = %d\nmax_client_conn = 400\nquery_wait_timeout = 20\n"+
		"server_idle_timeout = 1\n", behind, dir, mode, size)
	path := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	// As in script, the end of the standard input stops it.
	cmd := exec.Command("sh", "-c", `"$0" -q "$1" & read _; kill $!; wait; rm -rf "$2"`, program, path, dir)
	if err := humble(cmd, dir); err != nil {
		t.Fatal(err)
	}
	life, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = life.Close()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432"))
		if err == nil {
			_ = c.Close()
			return &PgBouncer{dir}
		}
		if time.Now().After(deadline) {
			t.Fatal("pgbouncer does not listen: ", err)
		}
	}
}

// Open opens a fresh, migrated database through the pooler.
func (p *PgBouncer) Open(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: p.URL(t, database(t, template))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// URL returns the way through the pooler to the database at this URL.
func (p *PgBouncer) URL(t testing.TB, of string) string {
	t.Helper()
	u, err := neturl.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("host", p.dir)
	query.Set("port", "6432")
	u.RawQuery = query.Encode()
	return u.String()
}
