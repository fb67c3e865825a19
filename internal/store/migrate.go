package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// The two schema folders differ only in the names of types; a test compares them. There are no down migrations: they
// would drop the data of newer rows. To go back, restore a backup.
//
//go:embed migrations/postgres/*.sql migrations/sqlite/*.sql
var migrations embed.FS

// schemaVersion is the number of the newest migration in both folders; a test compares.
const schemaVersion = 21

// In installation, oldestProgram names the oldest program that can run on the database, by the newest migration that it
// knows. Each migration from 20 on says it, and so does a contract step; the number only grows.
const (
	oldestProgram = "oldest_program"
	raiseOldest   = `INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name)
		DO UPDATE SET value = excluded.value WHERE CAST(installation.value AS BIGINT) < CAST(excluded.value AS BIGINT)`
)

// Migrate brings the schema up to date. Replicas may race: one migrates, the others wait for it. If a newer program has
// migrated the database, it changes nothing: it returns nil if this program can run beside that one, and
// ErrNewerSchema otherwise.
func (db *DB) Migrate(ctx context.Context) error {
	newer, err := db.checkSchema(ctx)
	if errors.Is(err, ErrOlderSchema) {
		var files fs.FS
		if files, err = MigrationFiles(db.Backend()); err != nil {
			return err
		}
		if err := db.conn.Migrate(ctx, files); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		newer, err = db.checkSchema(ctx) // the winner of the race may have been a newer program
	}
	if err != nil || newer {
		return err
	}
	return db.contract(ctx)
}

// MigrationFiles returns the migrations for a backend.
func MigrationFiles(backend string) (fs.FS, error) { return fs.Sub(migrations, "migrations/"+backend) }

// CheckSchema compares the schema with the version that this program knows: nil, ErrOlderSchema or ErrNewerSchema. A
// newer schema is fine if it says that programs of this version can still run (expand and contract: see contract.go).
func (db *DB) CheckSchema(ctx context.Context) error {
	_, err := db.checkSchema(ctx)
	return err
}

func (db *DB) checkSchema(ctx context.Context) (newer bool, err error) {
	version, err := one(ctx, db, "read schema version", pgx.RowTo[int64],
		"SELECT COALESCE(MAX(version_id), 0) FROM "+engine.VersionTable)
	switch {
	case err != nil:
		return false, err // ErrOlderSchema if the table does not exist
	case version < schemaVersion:
		return false, fmt.Errorf("%w: its schema is version %d and must be %d", ErrOlderSchema, version, schemaVersion)
	case version > schemaVersion:
		if err := db.mayRunOn(ctx, version); err != nil {
			return true, err
		}
	}
	_, err = db.readForms(ctx)
	return version > schemaVersion, err
}

// saysOldest is how a migration says the oldest program; a contract step may have said a higher number.
var saysOldest = regexp.MustCompile(`VALUES \('oldest_program', '(\d+)'\)`)

// OldestProgram returns the newest migration that a program must know to run on the schema of a migration; 0 if the
// migration does not say it.
func OldestProgram(migration string) (version int64) {
	if said := saysOldest.FindStringSubmatch(migration); said != nil {
		version, _ = strconv.ParseInt(said[1], 10, 64) // 0 if it is no number
	}
	return version
}

// mayRunOn returns ErrNewerSchema unless this program can run on a newer schema.
func (db *DB) mayRunOn(ctx context.Context, version int64) error {
	oldest, err := list(ctx, db, "read oldest program", pgx.RowTo[int64],
		`SELECT CAST(value AS BIGINT) FROM installation WHERE name = $1`, oldestProgram)
	switch {
	case err != nil:
		return err
	case len(oldest) > 0 && oldest[0] <= schemaVersion:
		return nil
	case len(oldest) > 0:
		return fmt.Errorf("%w: its schema is version %d, which needs a program that knows version %d; this one knows %d. "+
			"Run the newer program, or restore a backup from before it ran", ErrNewerSchema, version, oldest[0], schemaVersion)
	}
	return fmt.Errorf("%w: its schema is version %d and this program knows %d at most; "+
		"run the newer program, or restore a backup from before it ran", ErrNewerSchema, version, schemaVersion)
}
