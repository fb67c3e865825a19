// Package leases lets jobs run on one replica at a time. Package store has the table.
package leases

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// Take takes or renews the named lease for ttl, and reports whether the holder has it; now is the database's clock
// ([store.DB.Now]). Others get the lease once it has expired. A lease that ends later than twice ttl from now was taken
// under a clock that was ahead, and counts as expired. (Twice, because two callers at once may have read the clock in
// the other order.)
func Take(ctx context.Context, db *store.DB, name, holder string, ttl time.Duration, now time.Time) (bool, error) {
	var b store.Batch
	var got bool
	scan := func(row store.Row) (s string, err error) { return s, row.Scan(&s) }
	b.Read(engine.Into(new(string), &got, scan),
		`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= $4 OR leases.expires_at > $5
		RETURNING holder`, name, holder, store.Millis(now.Add(ttl)), store.Millis(now), store.Millis(now.Add(2*ttl)))
	err := db.RunBatch(ctx, "take lease", &b)
	return got && err == nil, err
}
