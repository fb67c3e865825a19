package transfer

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	stored "github.com/stepward/stepward/internal/store/rows"
)

// postgres is a side in a Postgres transaction.
type postgres struct{ tx pgx.Tx }

func (p postgres) tables(ctx context.Context) ([]table, error) {
	rows, err := p.tx.Query(ctx, `SELECT c.relname::text, a.attname::text, a.atttypid = 'boolean'::regtype
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE n.nspname = current_schema() AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY c.relname::text COLLATE "C", a.attname::text COLLATE "C"`)
	if err != nil {
		return nil, err
	}
	var found []table
	var name string
	var col column
	if _, err := pgx.ForEachRow(rows, []any{&name, &col.name, &col.boolean}, func() error {
		found = addColumn(found, name, col)
		return nil
	}); err != nil {
		return nil, err
	}
	rows, err = p.tx.Query(ctx, `SELECT c.relname::text, f.relname::text FROM pg_constraint k
		JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f' AND n.nspname = current_schema()`)
	if err != nil {
		return nil, err
	}
	var needs string
	_, err = pgx.ForEachRow(rows, []any{&name, &needs}, func() error {
		addNeed(found, name, needs)
		return nil
	})
	return found, err
}

func (p postgres) count(ctx context.Context, t table) (n int64, err error) {
	err = p.tx.QueryRow(ctx, `SELECT COUNT(*) FROM `+t.name).Scan(&n)
	return n, err
}

func (p postgres) read(ctx context.Context, t table, f func([]any) error) error {
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = stored.ColumnOf(t.name, c.name) // SQLite takes no NULL
	}
	rows, err := p.tx.Query(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+t.name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		for i := range values {
			values[i] = plain(values[i])
		}
		if err := f(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (p postgres) fill(ctx context.Context, t table, next func() ([]any, error)) error {
	names := strings.Split(t.list(), ", ")
	_, err := p.tx.CopyFrom(ctx, pgx.Identifier{t.name}, names, pgx.CopyFromFunc(func() ([]any, error) {
		row, err := next()
		if row == nil || err != nil {
			return nil, err
		}
		row = slices.Clone(row)
		for i, c := range t.columns {
			if c.boolean {
				row[i] = row[i] == int64(1)
			}
		}
		return row, nil
	}))
	return err
}

func (p postgres) empty(ctx context.Context, t table) error {
	_, err := p.tx.Exec(ctx, `DELETE FROM `+t.name)
	return err
}

// sqlite is a side in a SQLite transaction.
type sqlite struct{ tx *sql.Tx }

func (s sqlite) tables(ctx context.Context) (found []table, err error) {
	var name string
	var col column
	err = s.each(ctx, `SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY m.name, c.name`,
		func() error { found = addColumn(found, name, col); return nil }, &name, &col.name)
	if err != nil {
		return nil, err
	}
	var needs string
	err = s.each(ctx, `SELECT m.name, f."table" FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table'`, func() error { addNeed(found, name, needs); return nil }, &name, &needs)
	return found, err
}

func (s sqlite) each(ctx context.Context, text string, f func() error, dest ...any) error {
	rows, err := s.tx.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s sqlite) count(ctx context.Context, t table) (n int64, err error) {
	err = s.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+t.name).Scan(&n)
	return n, err
}

func (s sqlite) read(ctx context.Context, t table, f func([]any) error) error {
	values := make([]any, len(t.columns))
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	return s.each(ctx, `SELECT `+t.list()+` FROM `+t.name, func() error {
		row := make([]any, len(values))
		for i, v := range values {
			row[i] = plain(v)
		}
		return f(row)
	}, dest...)
}

func (s sqlite) fill(ctx context.Context, t table, next func() ([]any, error)) error {
	places := make([]string, len(t.columns))
	for i := range places {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	insert, err := s.tx.PrepareContext(ctx, fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`,
		t.name, t.list(), strings.Join(places, ", ")))
	if err != nil {
		return err
	}
	defer insert.Close()
	for {
		row, err := next()
		if row == nil || err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
}

func (s sqlite) empty(ctx context.Context, t table) error {
	_, err := s.tx.ExecContext(ctx, `DELETE FROM `+t.name)
	return err
}

// addColumn adds a column of a table whose columns follow each other.
func addColumn(found []table, name string, col column) []table {
	if slices.Contains(left, name) {
		return found
	}
	if len(found) == 0 || found[len(found)-1].name != name {
		found = append(found, table{name: name})
	}
	last := &found[len(found)-1]
	last.columns = append(last.columns, col)
	return found
}

func addNeed(found []table, name, needs string) {
	for i := range found {
		if found[i].name == name {
			found[i].needs = append(found[i].needs, needs)
		}
	}
}
