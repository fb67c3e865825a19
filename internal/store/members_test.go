package store_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/storetest"
)

// Each table in a query costs Postgres time, even if nothing in it is read. The tables of the directory took more than
// half of the time of every refresh.
func TestAUserInNoGroupCostsPostgresNoTablesOfGroups(t *testing.T) {
	url := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	pg, err := engine.OpenPostgres(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close()
	const put = `INSERT INTO users (id, handle, email, email_verified, name, role, profile, created_at, updated_at, disabled_at)
		VALUES ('ada', '\x01', 'ada@example.com', TRUE, 'Ada', '', '{}', 1, 1, 0)`
	err = pg.Raw(t.Context(), func(c *pgx.Conn) error {
		if _, err := c.Exec(t.Context(), put); err != nil {
			return err
		}
		tx, err := c.Begin(t.Context())
		if err != nil {
			return err
		}
		defer tx.Rollback(t.Context()) //nolint:errcheck // nothing was written
		var membership string
		if err := tx.QueryRow(t.Context(), `SELECT membership FROM members WHERE id = 'ada'`).Scan(&membership); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), `SELECT c.relname::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
			WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relname NOT LIKE 'pg_%' ORDER BY 1`)
		if err != nil {
			return err
		}
		opened, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if want := []string{"group_members", "user_claims", "users"}; !slices.Equal(opened, want) {
			t.Errorf("opened %v, want %v", opened, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
