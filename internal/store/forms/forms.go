// Package forms says in which form ephemeral entries may be written. During an update, replicas of the version before
// run beside this one, and read only what they know.
package forms

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/stepward/stepward/internal/store"
)

// Beside is how long replicas of the version before may run beside the new one.
const Beside = 24 * time.Hour

// CompactFrom returns from when ephemeral entries may be written in the compact form: Beside after the first start of
// a program that reads it, or at once in an installation without users.
func CompactFrom(ctx context.Context, db *store.DB) (time.Time, error) {
	from, err := read(ctx, db)
	if err != nil || len(from) > 0 {
		return parse(from, err)
	}
	now, err := db.Now(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var b store.Batch
	b.Do(`INSERT INTO installation (name, value)
		SELECT 'entries', CASE WHEN EXISTS (SELECT 1 FROM users) THEN $1 ELSE '1' END ON CONFLICT (name) DO NOTHING`,
		strconv.FormatInt(store.Millis(now.Add(Beside)), 10))
	if err := db.RunBatch(ctx, "record form of entries", &b); err != nil {
		return time.Time{}, err
	}
	return parse(read(ctx, db)) // another replica may have been first
}

func read(ctx context.Context, db *store.DB) ([]string, error) {
	return store.List(ctx, db, "read form of entries", func(row store.Row) (value string, err error) {
		return value, row.Scan(&value)
	}, `SELECT value FROM installation WHERE name = 'entries'`)
}

func parse(found []string, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, err
	}
	if len(found) == 0 {
		return time.Time{}, fmt.Errorf("no form of entries is recorded")
	}
	n, err := strconv.ParseInt(found[0], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("form of entries: %w", err)
	}
	return time.UnixMilli(n), nil
}
