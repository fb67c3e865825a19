package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/datafile"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// FileName is the name of the embedded store in its folder.
const FileName = "stepward.db"

// madeAt is the row of installation that says when a backup was made.
const madeAt = "backed-up-at"

// A Report says what a file of the embedded store contains.
type Report struct {
	Schema int64
	MadeAt time.Time // zero: not made by Backup
	Size   int64     // bytes
	Rows   map[string]int64
}

var (
	// ErrExists means that the file is there already.
	ErrExists = errors.New("the file exists")
	// ErrNoBackup means that a file is no store of ours.
	ErrNoBackup = errors.New("not a backup of Stepward")
	// ErrDamaged means that a file does not pass the checks of SQLite.
	ErrDamaged = errors.New("damaged")
)

// Backup writes the store in dir, as it is at one moment, into one file, which only its owner can read, and reads that
// file back. The server may run meanwhile and is not held up. Without replace it returns ErrExists if the file exists.
func Backup(ctx context.Context, dir, file string, replace bool, now time.Time) (r Report, err error) {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		return r, err // OpenSQLite would make one
	}
	if _, err := os.Lstat(file); err == nil && !replace {
		return r, ErrExists
	}
	part, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // readable by its owner only
	if err != nil {
		return r, err
	}
	defer os.Remove(part.Name()) //nolint:errcheck // renamed if all went well
	if err := part.Close(); err != nil {
		return r, err
	}
	live, err := engine.OpenSQLite(ctx, dir, true)
	if err != nil {
		return r, err
	}
	defer live.Close()
	if _, err := live.Raw().ExecContext(ctx, `VACUUM INTO $1`, part.Name()); err != nil {
		return r, fmt.Errorf("write the copy: %w", live.Translate(ctx, err))
	}
	if err := stamp(ctx, part.Name(), now); err != nil {
		return r, fmt.Errorf("note the time in the copy: %w", err)
	}
	if r, err = Inspect(ctx, part.Name()); err != nil {
		return r, fmt.Errorf("the copy: %w", err)
	}
	if err := syncFile(part.Name()); err != nil {
		return r, err
	}
	if !replace {
		place, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return r, ErrExists
		}
		if err != nil {
			return r, err
		}
		_ = place.Close()
	}
	if err := os.Rename(part.Name(), file); err != nil {
		return r, err
	}
	syncFolder(filepath.Dir(file))
	return r, nil
}

// open opens a file that nothing else uses.
func open(path, mode string, more ...string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive letter
	}
	options := append([]string{"mode=" + mode, "_pragma=busy_timeout(5000)"}, more...)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(options, "&")}).String())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// stamp notes the time in a copy, unless its schema is older than that note.
func stamp(ctx context.Context, file string, now time.Time) error {
	db, err := open(file, "rw", "_pragma=journal_mode(DELETE)", "_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer db.Close()
	var there bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'installation')`).Scan(&there)
	if err == nil && there {
		_, err = db.ExecContext(ctx, `INSERT INTO installation (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, madeAt, strconv.FormatInt(now.UnixMilli(), 10))
	}
	return errors.Join(err, db.Close())
}

// Inspect reads a file of the embedded store from beginning to end, checks it and counts its rows. It returns
// ErrNoBackup or ErrDamaged, and changes nothing.
func Inspect(ctx context.Context, file string) (r Report, err error) {
	if err := looksLikeSQLite(file); err != nil {
		return r, err
	}
	db, err := open(file, "ro")
	if err != nil {
		return r, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return r, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	var verdict string
	if err := tx.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).
		Scan(&verdict); err != nil || verdict != "ok" {
		return r, fmt.Errorf("%w: %s %v", ErrDamaged, verdict, err)
	}
	var orphans int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM pragma_foreign_key_check`).Scan(&orphans); err != nil {
		return r, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if orphans > 0 {
		return r, fmt.Errorf("%w: %d rows refer to rows that are not there", ErrDamaged, orphans)
	}
	tables, err := sqlite{tx}.tables(ctx)
	if err != nil {
		return r, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+engine.VersionTable).
		Scan(&r.Schema); err != nil || r.Schema == 0 {
		return r, fmt.Errorf("%w: it has no schema", ErrNoBackup)
	}
	r.Rows = map[string]int64{}
	for _, t := range tables {
		if r.Rows[t.name], err = (sqlite{tx}).count(ctx, t); err != nil {
			return r, fmt.Errorf("%w: count %s: %v", ErrDamaged, t.name, err)
		}
	}
	if _, ok := r.Rows["installation"]; ok {
		var at int64
		err := tx.QueryRowContext(ctx, `SELECT CAST(value AS INTEGER) FROM installation WHERE name = $1`, madeAt).Scan(&at)
		if err == nil {
			r.MadeAt = time.UnixMilli(at)
		} else if !errors.Is(err, sql.ErrNoRows) {
			return r, err
		}
	}
	info, err := os.Stat(file)
	if err == nil {
		r.Size = info.Size()
	}
	return r, err
}

// looksLikeSQLite tells other files, and encrypted backups, from a damaged one.
func looksLikeSQLite(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(f, begin); err != nil || string(begin) != magic {
		return ErrNoBackup
	}
	return nil
}

// syncFile waits until a file is on the disk.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// give makes a new file one of the folder's owner, and waits until it is on the disk.
func give(path, folder string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(datafile.Give(f, folder), f.Sync(), f.Close())
}

// syncFolder waits until the names in a folder are on the disk, where the system can do that.
func syncFolder(path string) {
	if f, err := os.Open(path); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}

// CopyFile copies a file into a new one, which only its owner can read.
func CopyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// RemoveStore removes a SQLite file that nobody uses, with the files that belong to it.
func RemoveStore(path string) error {
	for _, end := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Swap puts the store fresh into place. If there is one, it stays beside it under the name that Swap returns. At every
// moment there is a whole store in place.
func Swap(fresh, place string, now time.Time) (aside string, err error) {
	if err := give(fresh, filepath.Dir(place)); err != nil {
		return "", err
	}
	if _, err := os.Stat(place); err == nil {
		fold(place)
		aside = place + ".before-restore-" + now.UTC().Format("20060102T150405Z")
		if os.Link(place, aside) != nil { // not every file system can
			if err := CopyFile(place, aside); err != nil {
				return "", err
			}
		}
		// What could not be folded into the old file belongs to it, and would damage the new one.
		for _, end := range []string{"-wal", "-shm"} {
			if err := os.Rename(place+end, aside+end); err != nil && !errors.Is(err, os.ErrNotExist) {
				return "", err
			}
		}
	}
	if err := os.Rename(fresh, place); err != nil {
		return "", err
	}
	syncFolder(filepath.Dir(place))
	return aside, nil
}

// fold writes what is in the WAL of a file into the file itself, if it is not damaged.
func fold(path string) {
	if db, err := open(path, "rw"); err == nil {
		_, _ = db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
		_ = db.Close()
	}
}

// EachUser calls f for each user.
func EachUser(ctx context.Context, db *store.DB, f func(id string) error) error {
	const page = 1000
	for last := ""; ; {
		ids, err := store.List(ctx, db, "list users", func(row store.Row) (id string, err error) {
			err = row.Scan(&id)
			return id, err
		}, `SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2`, last, page)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := f(id); err != nil {
				return err
			}
		}
		if len(ids) < page {
			return nil
		}
		last = ids[page-1]
	}
}
