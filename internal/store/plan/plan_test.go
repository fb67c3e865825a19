package plan_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/plan"
	"github.com/stepward/stepward/internal/store/storetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upTo returns the migrations of a backend up to a version.
func upTo(t *testing.T, backend, version string) fs.FS {
	t.Helper()
	files, err := store.MigrationFiles(backend)
	must(t, err)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	some := fstest.MapFS{}
	for _, name := range names {
		if name[:5] <= version {
			content, err := fs.ReadFile(files, name)
			must(t, err)
			some[name] = &fstest.MapFile{Data: content}
		}
	}
	return some
}

func TestAPlanNamesWhatIsToDoAndChangesNothing(t *testing.T) {
	dir, url := t.TempDir(), storetest.PostgresURL(t)
	lite, err := engine.OpenSQLite(t.Context(), dir, false)
	must(t, err)
	must(t, lite.Migrate(t.Context(), upTo(t, "sqlite", "00006")))
	must(t, lite.Close())
	pg, err := engine.OpenPostgres(t.Context(), url, 0)
	must(t, err)
	must(t, pg.Migrate(t.Context(), upTo(t, "postgres", "00006")))
	must(t, pg.Close())
	for _, c := range []store.Config{{Dir: dir}, {URL: url}} {
		db, err := store.Open(t.Context(), c)
		must(t, err)
		for range 2 { // the first one changes nothing
			version, steps, err := plan.Migration(t.Context(), db)
			must(t, err)
			if version != 6 || len(steps) < 2 || steps[0].Version != 7 || steps[1].Name != "recovery ways" {
				t.Fatalf("%s: version %d, %+v", db.Backend(), version, steps)
			}
			if got := strings.Join(steps[1].Tables(), " "); got != "links users" {
				t.Errorf("%s: step 8 locks %s", db.Backend(), got)
			}
		}
		must(t, db.Migrate(t.Context()))
		if _, steps, err := plan.Migration(t.Context(), db); err != nil || len(steps) != 0 {
			t.Errorf("%s: after it %+v %v", db.Backend(), steps, err)
		}
		must(t, db.Close())
	}
	empty, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	must(t, err)
	defer empty.Close()
	version, steps, err := plan.Migration(t.Context(), empty)
	if must(t, err); version != 0 || steps[0].Version != 1 || len(steps[0].Tables()) != 0 {
		t.Errorf("an empty database: version %d, %+v", version, steps[0])
	}
}

// Every statement of every migration, and kinds of statements that are not in them yet, against Postgres itself.
func TestAPlanSaysWhatPostgresLocks(t *testing.T) {
	pg, err := engine.OpenPostgres(t.Context(), storetest.PostgresURL(t), 0)
	must(t, err)
	defer pg.Close()
	files := upTo(t, "postgres", "99999")
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	compared := 0
	compare := func(ctx context.Context, c *pgx.Conn, statements []string) {
		tx, err := c.Begin(ctx)
		must(t, err)
		defer tx.Rollback(ctx) //nolint:errcheck // after Commit it does nothing
		fresh := map[string]bool{}
		for _, sql := range statements {
			table, lock, _ := plan.Classify(sql)
			before := locksOf(ctx, t, tx, table)
			_, err := tx.Exec(ctx, sql)
			must(t, err)
			if words := strings.Fields(sql); strings.EqualFold(words[1], "table") && strings.EqualFold(words[0], "create") {
				fresh[words[2]] = true
			}
			if table == "" || fresh[table] || lock == plan.None || strings.HasPrefix(sql, "DROP TABLE") {
				continue
			}
			got := max(before, locksOf(ctx, t, tx, table))
			if got < lock || before < lock && got != lock {
				t.Errorf("%s: Postgres takes %d, the plan says %d", sql, got, lock)
			}
			compared++
		}
		must(t, tx.Commit(ctx))
	}
	must(t, pg.Raw(t.Context(), func(c *pgx.Conn) error {
		for _, name := range names {
			content, err := fs.ReadFile(files, name)
			must(t, err)
			compare(t.Context(), c, plan.Split(string(content)))
		}
		for _, sql := range []string{
			"ALTER TABLE clients ALTER COLUMN created_at TYPE NUMERIC", "ALTER TABLE users DROP COLUMN recovery_stop",
			"CREATE UNIQUE INDEX passkeys_x ON passkeys (id, name)", "DELETE FROM links WHERE hash = ''",
			"UPDATE clients SET used_at = 0", "ALTER TABLE leases ADD CONSTRAINT later CHECK (expires_at >= 0)",
		} {
			compare(t.Context(), c, []string{sql})
		}
		return nil
	}))
	if compared < 15 {
		t.Errorf("%d statements compared", compared)
	}
}

// locksOf returns the strongest lock of this transaction on a table.
func locksOf(ctx context.Context, t *testing.T, tx pgx.Tx, table string) (strongest plan.Lock) {
	t.Helper()
	if table == "" {
		return plan.None
	}
	rows, err := tx.Query(ctx, `SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = to_regclass($1)`, table)
	must(t, err)
	modes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	for _, mode := range modes {
		strongest = max(strongest, map[string]plan.Lock{
			"RowExclusiveLock": plan.Rows, "ShareLock": plan.Writes, "ShareRowExclusiveLock": plan.Writes, "AccessExclusiveLock": plan.All,
		}[mode])
	}
	return strongest
}

func TestALockLastsToTheEndOfItsStep(t *testing.T) {
	s := plan.Step{Statements: []plan.Statement{
		{Table: "users", Lock: plan.Rows, Takes: time.Hour},
		{Table: "users", Lock: plan.All, Takes: time.Second},
		{Table: "links", Lock: plan.Writes, Takes: time.Minute},
	}}
	if s.Holds("users") != time.Minute+time.Second || s.Holds("links") != time.Minute || s.Holds("mail") != 0 {
		t.Errorf("users %v, links %v, mail %v", s.Holds("users"), s.Holds("links"), s.Holds("mail"))
	}
}
