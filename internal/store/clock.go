package store

import (
	"context"
	"time"
)

// Now returns the database's clock. What deletes rows or takes a lease goes by it and not by the replica's own: one replica with
// a wrong clock would otherwise sweep what is alive for all of them. The embedded database has no clock but this process's.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	db.roundTrips.Add(1)
	ctx, cancel := db.conn.limit(ctx)
	defer cancel()
	now, err := db.conn.now(ctx)
	return now, stepErr("read the database's clock", err)
}
