package store

import (
	"context"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// Record makes db report every statement before it runs it.
func Record(db *DB, report func(sql string, args []any)) { db.conn = recording{db.conn, report} }

type recording struct {
	engine.Conn
	report func(sql string, args []any)
}

func (r recording) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.report(sql, args)
	return r.Conn.Query(ctx, sql, args...)
}

func (r recording) Run(ctx context.Context, b *engine.Batch) error {
	for _, s := range b.Statements {
		r.report(s.SQL, s.Args)
	}
	return r.Conn.Run(ctx, b)
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
	b.Do("UPDATE "+engine.VersionTable+" SET version_id = $1 WHERE version_id = $2", version, schemaVersion)
	return db.run(ctx, "set version", &b)
}

// MigrateTo migrates a new database as the program did whose newest migration this was.
func MigrateTo(ctx context.Context, db *DB, version int) error {
	files := fstest.MapFS{}
	entries, err := migrations.ReadDir("migrations/" + db.Backend())
	if err != nil {
		return err
	}
	for _, e := range entries[:version] {
		text, err := migrations.ReadFile("migrations/" + db.Backend() + "/" + e.Name())
		if err != nil {
			return err
		}
		files[e.Name()] = &fstest.MapFile{Data: text}
	}
	return db.conn.Migrate(ctx, files)
}

// Do runs a statement as another program would.
func Do(ctx context.Context, db *DB, sql string, args ...any) error {
	var b batch
	b.Do(sql, args...)
	return db.run(ctx, "test", &b)
}

// Texts returns the first column of rows.
func Texts(ctx context.Context, db *DB, sql string, args ...any) ([]string, error) {
	return list(ctx, db, "test", pgx.RowTo[string], sql, args...)
}

// Expand makes db write the old form of rows, which older programs read.
func Expand(db *DB) {
	db.compact.Store(false)
	db.brief.Store(false)
	db.oldEvents.Store(true)
}

const SchemaVersion = schemaVersion

var Migrations = migrations
