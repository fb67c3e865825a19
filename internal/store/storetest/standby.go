package storetest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Pair is a Postgres primary and its standby by streaming replication, for one test.
type Pair struct{ *told }

// pairScript makes the servers and then does what its standard input says, a word a line. At the end of its input it
// stops them and removes everything.
const pairScript = `
set -e
cd "$2"
end() {
  for d in primary standby; do "$1/pg_ctl" -D "$2/$d" -m immediate -w stop >/dev/null 2>&1 || true; done
  rm -rf "$2"
}
trap 'end "$1" "$2"' EXIT
"$1/initdb" -D primary -U postgres -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; exit 1; }
cat >>primary/postgresql.conf <<END
listen_addresses = ''
unix_socket_directories = '$2'
shared_buffers = 16MB
fsync = off
END
"$1/pg_ctl" -D primary -l log -o "-p 5432" -w start >/dev/null 2>&1 || { cat log; exit 1; }
"$1/pg_basebackup" -h "$2" -p 5432 -U postgres -D standby -R -c fast --no-sync >>log 2>&1 || { cat log; exit 1; }
"$1/pg_ctl" -D standby -l log -o "-p 5433" -w start >/dev/null 2>&1 || { cat log; exit 1; }
echo done
while read -r word; do
  case $word in
    promote) "$1/pg_ctl" -D standby -w promote >/dev/null 2>&1 || { cat log; exit 1; } ;;
    stop) "$1/pg_ctl" -D primary -m fast -w stop >/dev/null 2>&1 || { cat log; exit 1; } ;;
    crash) "$1/pg_ctl" -D primary -m immediate -w stop >/dev/null 2>&1 || { cat log; exit 1; } ;;
  esac
  echo done
done
`

// NewPair starts a primary and its standby, each with a database named postgres. Where there is no Postgres the test
// is skipped, or fails if STEPWARD_TEST_NO_SKIP=1.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	return &Pair{tell(t, pairScript, nil)}
}

// URL names both servers, so that connections go to the one that takes writes.
func (p *Pair) URL() string {
	return fmt.Sprintf("postgres:///postgres?user=postgres&host=%s,%s&port=5432,5433"+
		"&target_session_attrs=read-write", p.dir, p.dir)
}

// Sockets returns the sockets of the primary and of the standby.
func (p *Pair) Sockets() (primary, standby string) {
	return filepath.Join(p.dir, ".s.PGSQL.5432"), filepath.Join(p.dir, ".s.PGSQL.5433")
}

// StopPrimary stops the primary after the standby has received everything.
func (p *Pair) StopPrimary() { p.t.Helper(); p.do("stop") }

// CrashPrimary ends the primary at once. Without Synchronous, the standby may lack what was committed last.
func (p *Pair) CrashPrimary() { p.t.Helper(); p.do("crash") }

// Promote makes the standby a primary.
func (p *Pair) Promote() { p.t.Helper(); p.do("promote") }

// Replayed waits until the standby shows everything that the primary has.
func (p *Pair) Replayed() {
	p.t.Helper()
	ctx := p.t.Context()
	connect := func(port string) *pgx.Conn {
		p.t.Helper()
		conn, err := pgx.Connect(ctx, "postgres:///postgres?user=postgres&host="+p.dir+"&port="+port)
		if err != nil {
			p.t.Fatal(err)
		}
		return conn
	}
	primary, standby := connect("5432"), connect("5433")
	defer primary.Close(ctx)
	defer standby.Close(ctx)
	var at string
	err := primary.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&at)
	for replayed := false; err == nil && !replayed; time.Sleep(5 * time.Millisecond) {
		err = standby.QueryRow(ctx, "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)", at).Scan(&replayed)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Synchronous makes the primary wait with each commit until the standby has it.
func (p *Pair) Synchronous() {
	p.t.Helper()
	ctx := p.t.Context()
	conn, err := pgx.Connect(ctx, "postgres:///postgres?user=postgres&host="+p.dir+"&port=5432")
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			p.t.Fatal(err)
		}
	}
	for name := ""; name == ""; time.Sleep(5 * time.Millisecond) {
		if err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names')").Scan(&name); err != nil {
			p.t.Fatal(err)
		}
	}
}
