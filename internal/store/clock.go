package store

import (
	"context"
	"time"
)

// Now returns the time of the database's clock. Sweeps and leases use it instead of the replica's own clock: one
// replica with a wrong clock would otherwise delete rows that are alive for all others. The embedded database has no
// clock but this process's.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := db.ask(ctx, "read the database's clock", func(ctx context.Context) (err error) {
		now, err = db.conn.Now(ctx)
		return err
	})
	return now, err
}
