package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// A sweep trusts the database's clock, and a clock can be wrong. So a sweep first checks how much time has passed since
// the last one. Rows that expired within sweepPause of it are deleted without a question. If the clock says that more
// time has passed, either no sweep ran for long, or the clock has jumped. Then only a part of the rows that were alive
// may be deleted. If it would be more, the sweep is held for a day, so that the operator can correct the clock before
// anything is lost. After that the clock is believed.
const (
	sweepPause = time.Hour
	sweepHold  = 24 * time.Hour
	fewRows    = 1000
	sweepShare = 5 // one in five of the rows that were alive
	// sweepCounted bounds the count: this many rows are too many in any case.
	sweepCounted = 200_000
)

// A SweepHeld means that a sweep has deleted nothing, because it would have deleted too many rows that were alive at
// the last one.
type SweepHeld struct {
	Table string
	Rows  int64     // that the sweep would delete
	Last  time.Time // the last sweep
	Until time.Time // after this, the clock is believed
	First bool      // whether this is the first held call for this reason, on any replica
}

func (h *SweepHeld) Error() string {
	return fmt.Sprintf("sweep held until %s: it would delete %d rows of %s that were alive at the last one (%s); "+
		"compare the database's clock with the real time",
		h.Until.Format(time.RFC3339), h.Rows, h.Table, h.Last.Format(time.RFC3339))
}

// plausible returns a *SweepHeld if the sweep with this name must not delete these rows now.
func (db *DB) plausible(ctx context.Context, name string, now time.Time, sweeps []swept) error {
	last, err := list(ctx, db, "look at last sweep", pgx.RowTo[int64],
		`SELECT expires_at FROM leases WHERE name = $1`, lastSweep(name))
	if err != nil || len(last) == 0 { // the first sweep has nothing to compare with
		return err
	}
	from := time.UnixMilli(last[0]).UTC().Add(sweepPause)
	if !now.After(from) {
		return nil
	}
	for _, s := range sweeps {
		since, until := s.bound(s.before(db, from)), s.bound(s.before(db, now))
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

// holdSweep records until when a sweep is held, unless that is recorded; nil if that time has come. A recorded time
// more than a day ahead was written under a clock that was ahead of this one.
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

// noteSweep records the time of a sweep, even if the last one was recorded in the future.
func (db *DB) noteSweep(ctx context.Context, name string, now time.Time) error {
	var b batch
	b.Do(`INSERT INTO leases (name, holder, expires_at) VALUES ($1, '', $2)
		ON CONFLICT (name) DO UPDATE SET holder = '', expires_at = excluded.expires_at`, lastSweep(name), ms(now))
	b.Do(`DELETE FROM leases WHERE name = $1`, heldSweep(name))
	return db.run(ctx, "note sweep", &b)
}

// The records are rows of leases without a holder.
func lastSweep(name string) string { return "last " + name }
func heldSweep(name string) string { return "held " + name }
