package store

import "context"

// Check reports whether the store can be read and written, because one that can be reached may be a standby, read-only
// or full. It returns nil, or an *idp.StoreFault that says what is wrong.
func (db *DB) Check(ctx context.Context) error {
	if fault := db.conn.Check(ctx, "events"); fault != nil {
		return fault
	}
	return nil
}
