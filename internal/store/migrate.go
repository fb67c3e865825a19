package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// The two schema folders differ only in the names of types; a test compares them. There are no down migrations: they
// would drop the data of newer rows. To go back, restore a backup.
//
//go:embed migrations/postgres/*.sql migrations/sqlite/*.sql
var migrations embed.FS

// schemaVersion is the number of the newest migration in both folders; a test compares.
const schemaVersion = 19

// Migrate brings the schema up to date. Replicas may race: one migrates, the others wait for it. If a newer program has
// migrated the database, it returns ErrNewerSchema and changes nothing.
func (db *DB) Migrate(ctx context.Context) error {
	if err := db.CheckSchema(ctx); err == nil {
		return db.contract(ctx)
	} else if !errors.Is(err, ErrOlderSchema) {
		return err
	}
	files, err := MigrationFiles(db.Backend())
	if err != nil {
		return err
	}
	if err := db.conn.Migrate(ctx, files); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := db.CheckSchema(ctx); err != nil { // the winner of the race may have been a newer program
		return err
	}
	return db.contract(ctx)
}

// MigrationFiles returns the migrations for a backend.
func MigrationFiles(backend string) (fs.FS, error) { return fs.Sub(migrations, "migrations/"+backend) }

// CheckSchema compares the schema with the version that this program knows: nil, ErrOlderSchema or ErrNewerSchema.
func (db *DB) CheckSchema(ctx context.Context) error {
	version, err := one(ctx, db, "read schema version", pgx.RowTo[int64],
		"SELECT COALESCE(MAX(version_id), 0) FROM "+engine.VersionTable)
	switch {
	case err != nil:
		return err // ErrOlderSchema if the table does not exist
	case version < schemaVersion:
		return fmt.Errorf("%w: its schema is version %d and must be %d", ErrOlderSchema, version, schemaVersion)
	case version > schemaVersion:
		return fmt.Errorf("%w: its schema is version %d and this program knows %d at most; "+
			"run the newer program, or restore a backup from before it ran",
			ErrNewerSchema, version, schemaVersion)
	}
	_, err = db.readForm(ctx)
	return err
}
