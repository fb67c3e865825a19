package store

import (
	"context"
	"time"
)

// Now returns the database's clock. What deletes rows or takes a lease goes by it and not by the replica's own: one
// replica with a wrong clock would otherwise sweep what is alive for all of them. The embedded database has no clock
// but this process's.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := db.ask(ctx, "read the database's clock", func(ctx context.Context) (err error) {
		now, err = db.conn.Now(ctx)
		return err
	})
	return now, err
}
