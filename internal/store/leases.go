package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// Lease takes or renews the named lease for ttl, and reports whether the holder has it; now is the database's clock
// ([DB.Now]). Others get the lease once it has expired. A lease that ends later than twice ttl from now was taken under
// a clock that was ahead, and counts as expired. (Twice, because two callers at once may have read the clock in the
// other order.) Jobs use leases to run on one replica at a time.
func (db *DB) Lease(ctx context.Context, name, holder string, ttl time.Duration, now time.Time) (bool, error) {
	var b batch
	var got bool
	b.Read(engine.Into(new(string), &got, pgx.RowTo[string]),
		`INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
			WHERE leases.holder = excluded.holder OR leases.expires_at <= $4 OR leases.expires_at > $5
		RETURNING holder`, name, holder, ms(now.Add(ttl)), ms(now), ms(now.Add(2*ttl)))
	err := db.run(ctx, "take lease", &b)
	return got && err == nil, err
}
