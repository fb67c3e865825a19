package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// The two schema folders differ in the names of types only; a test compares them. There are no downward migrations: they would
// drop what newer rows hold. The way back is a backup.
//
//go:embed migrations/postgres/*.sql migrations/sqlite/*.sql
var migrations embed.FS

// schemaVersion is the newest migration of both folders; a test compares.
const schemaVersion = 3

const versionTable = "schema_version"

// Migrate brings the schema up to date. Replicas may race: one migrates, the others wait for it. It refuses with
// ErrNewerSchema, and changes nothing, if a newer program has been here.
func (db *DB) Migrate(ctx context.Context) error {
	if err := db.CheckSchema(ctx); !errors.Is(err, ErrOlderSchema) {
		return err
	}
	if err := db.conn.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return db.CheckSchema(ctx) // the one who won the race may have been newer
}

// CheckSchema reports whether the schema is the one this program knows: nil, ErrOlderSchema or ErrNewerSchema.
func (db *DB) CheckSchema(ctx context.Context) error {
	version, err := one(ctx, db, "read schema version", pgx.RowTo[int64], "SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable)
	switch {
	case err != nil:
		return err // ErrOlderSchema if there is no such table
	case version < schemaVersion:
		return fmt.Errorf("%w: its schema is version %d and must be %d", ErrOlderSchema, version, schemaVersion)
	case version > schemaVersion:
		return fmt.Errorf("%w: its schema is version %d and this program knows %d at most; run the newer program, or restore a backup from before it ran",
			ErrNewerSchema, version, schemaVersion)
	}
	return nil
}

func migrateUp(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return fmt.Errorf("migration files: %w", err)
	}
	options = append(options, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
	provider, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return err
}
