package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Record makes db report every statement before it runs it.
func Record(db *DB, report func(sql string, args []any)) { db.conn = recording{db.conn, report} }

type recording struct {
	conn
	report func(sql string, args []any)
}

func (r recording) query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.report(sql, args)
	return r.conn.query(ctx, sql, args...)
}

func (r recording) run(ctx context.Context, b *batch) error {
	for _, s := range b.statements {
		r.report(s.sql, s.args)
	}
	return r.conn.run(ctx, b)
}

// Plan returns how the engine would run a statement, a line a step.
func Plan(ctx context.Context, db *DB, sql string, args []any) ([]string, error) {
	if db.Backend() == "postgres" {
		return list(ctx, db, "explain", pgx.RowTo[string], "EXPLAIN "+sql, args...)
	}
	return list(ctx, db, "explain", func(row pgx.CollectableRow) (line string, err error) {
		var id, parent, unused int64
		err = row.Scan(&id, &parent, &unused, &line)
		return line, err
	}, "EXPLAIN QUERY PLAN "+sql, args...)
}

// SetVersion pretends that another program has migrated the database.
func SetVersion(ctx context.Context, db *DB, version int64) error {
	var b batch
	b.do("UPDATE "+versionTable+" SET version_id = $1 WHERE version_id = $2", version, schemaVersion)
	return db.run(ctx, "set version", &b)
}

const SchemaVersion = schemaVersion

var Migrations = migrations
