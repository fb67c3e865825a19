package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// A sweep trusts the database's clock, and a clock can be wrong. So a sweep looks first at how much time has passed
// since the last one. Rows that have expired within sweepPause of it go without a question. If the clock says that
// more time has passed, either nobody has swept for long, or the clock has jumped. Then no more than a part of the
// living rows may go. Above that the sweep is held for a day, so that somebody can correct the clock before anything
// is lost. After that the time is believed.
const (
	sweepPause = time.Hour
	sweepHold  = 24 * time.Hour
	fewRows    = 1000
	sweepShare = 5 // one in five of the rows that were alive
	// sweepCounted bounds the counting. As many rows as this are too many in any case.
	sweepCounted = 200_000
)

// A SweepHeld says that a sweep has deleted nothing, because it would have deleted too much of what was alive at the
// last one.
type SweepHeld struct {
	Table string
	Rows  int64     // would go
	Last  time.Time // the last sweep
	Until time.Time // from then on the sweep goes on as the clock says
	First bool      // this is the first call, of all replicas, that was held for this reason
}

func (h *SweepHeld) Error() string {
	return fmt.Sprintf("sweep held until %s: it would delete %d rows of %s that were alive at the last one (%s); "+
		"compare the database's clock with the real time",
		h.Until.Format(time.RFC3339), h.Rows, h.Table, h.Last.Format(time.RFC3339))
}

// plausible returns a *SweepHeld if the sweep of these rows must not run now. name is the sweep's.
func (db *DB) plausible(ctx context.Context, name string, now time.Time, sweeps []swept) error {
	last, err := list(ctx, db, "look at last sweep", pgx.RowTo[int64],
		`SELECT expires_at FROM leases WHERE name = $1`, lastSweep(name))
	if err != nil || len(last) == 0 { // nothing to compare with: the first one
		return err
	}
	from := time.UnixMilli(last[0]).UTC().Add(sweepPause)
	if !now.After(from) {
		return nil
	}
	for _, s := range sweeps {
		since, until := ms(s.before(db, from)), ms(s.before(db, now))
		rows, err := db.countUpTo(ctx, sweepCounted, s, s.column+" > $1 AND "+s.column+" <= $2", since, until)
		if err != nil {
			return err
		}
		if rows <= s.few {
			continue
		}
		alive, err := db.countUpTo(ctx, rows*sweepShare+1, s, s.column+" > $1", since)
		if err != nil {
			return err
		}
		if rows < sweepCounted && alive > rows*sweepShare {
			continue
		}
		return db.holdSweep(ctx, name, now, &SweepHeld{Table: s.table, Rows: rows, Last: from.Add(-sweepPause)})
	}
	return nil
}

func (db *DB) countUpTo(ctx context.Context, limit int64, s swept, condition string, args ...any) (int64, error) {
	sql := fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE %s%s LIMIT %d) AS counted`,
		s.table, condition, s.extra, limit)
	return one(ctx, db, "count "+s.table, pgx.RowTo[int64], sql, args...)
}

// holdSweep notes until when a sweep is held, unless that is noted; nil if that time has come. A time further away
// than a day was noted under a clock that was ahead of this one.
func (db *DB) holdSweep(ctx context.Context, name string, now time.Time, held *SweepHeld) error {
	var b batch
	var until int64
	var found bool
	fresh := ms(now.Add(sweepHold))
	b.Read(engine.Into(&until, &found, pgx.RowTo[int64]),
		`INSERT INTO leases (name, holder, expires_at) VALUES ($1, '', $2)
		ON CONFLICT (name) DO UPDATE SET expires_at =
			CASE WHEN leases.expires_at > excluded.expires_at THEN excluded.expires_at ELSE leases.expires_at END
		RETURNING expires_at`, heldSweep(name), fresh)
	if err := db.run(ctx, "hold sweep", &b); err != nil || until <= ms(now) {
		return err
	}
	held.Until, held.First = time.UnixMilli(until).UTC(), until == fresh
	return held
}

// noteSweep notes that a sweep has run, also if the last one was noted in the future.
func (db *DB) noteSweep(ctx context.Context, name string, now time.Time) error {
	var b batch
	b.Do(`INSERT INTO leases (name, holder, expires_at) VALUES ($1, '', $2)
		ON CONFLICT (name) DO UPDATE SET holder = '', expires_at = excluded.expires_at`, lastSweep(name), ms(now))
	b.Do(`DELETE FROM leases WHERE name = $1`, heldSweep(name))
	return db.run(ctx, "note sweep", &b)
}

// The notes stand among the leases, with no holder.
func lastSweep(name string) string { return "last " + name }
func heldSweep(name string) string { return "held " + name }
