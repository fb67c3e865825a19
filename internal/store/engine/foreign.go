package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/stepward/stepward/internal/outage"
)

// ErrNotDatabase means that a file is not a SQLite database, or a damaged one.
var ErrNotDatabase = errors.New("not a SQLite database, or a damaged one")

// A Foreign is another program's database, opened to be read.
type Foreign struct {
	postgres *pgx.ConnConfig
	sqlite   *sql.DB
}

// OpenForeign opens a database at a postgres:// URL, or a SQLite file. Nothing in it can be changed, and a SQLite file
// is checked as a whole first: ErrNotDatabase.
func OpenForeign(ctx context.Context, place string) (*Foreign, error) {
	if strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://") {
		config, err := pgx.ParseConfig(place)
		if err != nil { // it may repeat the password
			return nil, errors.New("the URL of the database cannot be read")
		}
		config.RuntimeParams["default_transaction_read_only"] = "on"
		f := &Foreign{postgres: config}
		conn, err := f.connect(ctx)
		if err != nil {
			return nil, err
		}
		return f, conn.Close(ctx)
	}
	if _, err := os.Stat(place); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", source(place, "mode=ro", "_pragma=busy_timeout(5000)", "_pragma=query_only(1)",
		"_pragma=trusted_schema(0)", "_pragma=cell_size_check(1)"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	f := &Foreign{sqlite: db}
	var answer string
	if err = f.translate(db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer)); err == nil && answer != "ok" {
		err = fmt.Errorf("%w: %s", ErrNotDatabase, answer)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Columns returns the names of a table's columns, by table. Views are not tables.
func (f *Foreign) Columns(ctx context.Context) (map[string][]string, error) {
	query := `SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'`
	if f.postgres != nil {
		query = `SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
			WHERE c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND a.attnum > 0 AND NOT a.attisdropped`
	}
	found := map[string][]string{}
	var table, column string
	err := f.Each(ctx, []any{&table, &column}, func() error {
		found[table] = append(found[table], column)
		return nil
	}, query)
	return found, err
}

// Postgres reports whether the database is Postgres.
func (f *Foreign) Postgres() bool { return f.postgres != nil }

func (f *Foreign) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, f.postgres)
	if err != nil {
		return nil, fmt.Errorf("no Postgres answers at %s: %s", f.postgres.Host, outage.Reason(err))
	}
	return conn, nil
}

// Each scans each row of an answer into dest, and calls row. It has a connection of its own, so several can run at
// once.
func (f *Foreign) Each(ctx context.Context, dest []any, row func() error, query string, args ...any) error {
	if f.postgres != nil {
		conn, err := f.connect(ctx)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was changed
		rows, err := conn.Query(ctx, query, args...)
		if err == nil {
			_, err = pgx.ForEachRow(rows, dest, row)
		}
		return err
	}
	rows, err := f.sqlite.QueryContext(ctx, query, args...)
	if err != nil {
		return f.translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := row(); err != nil {
			return err
		}
	}
	return f.translate(rows.Err())
}

func (f *Foreign) translate(err error) error {
	if own, ok := errors.AsType[*sqlite.Error](err); ok {
		if code := own.Code() & 0xff; code == lib.SQLITE_NOTADB || code == lib.SQLITE_CORRUPT {
			return fmt.Errorf("%w: %s", ErrNotDatabase, own.Error())
		}
	}
	return err
}

// Close closes the database.
func (f *Foreign) Close() error {
	if f.sqlite == nil {
		return nil
	}
	return f.sqlite.Close()
}
