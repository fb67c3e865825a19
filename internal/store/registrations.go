package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// SweepClients removes dynamic clients that were not used since a time, with all grants and families, as RemoveClient
// does: a few hundred at most, the rest with the next call. It returns how many it removed. now is the database's clock
// ([DB.Now]); like Sweep, it returns a [*SweepHeld] if that clock seems to have jumped.
func (db *DB) SweepClients(ctx context.Context, since, now time.Time) (deleted int64, err error) {
	if err := db.plausible(ctx, "sweep of clients", now, []swept{{
		table: "clients", column: "used_at", extra: " AND used_at > 0", before: older(now.Sub(since)), few: fewRows,
	}}); err != nil {
		return 0, err
	}
	unused, err := list(ctx, db, "list unused clients", pgx.RowTo[string],
		`SELECT id FROM clients WHERE used_at > 0 AND used_at <= $1 ORDER BY used_at LIMIT 500`, ms(since))
	if err != nil {
		return 0, err
	}
	for _, id := range unused {
		ev := idp.NewEvent(idp.EventClientRemoved, "", now)
		ev.ClientID, ev.Detail = id, map[string]string{"reason": "unused"}
		var b batch
		b.Hold(errUsed, "clients", "id = $1 AND used_at <= $2", id, ms(since))
		// Families that are not found by a grant are left to expire: without the client, nobody can use them.
		b.Do(`DELETE FROM families WHERE client_id = $1
			AND user_id IN (SELECT g.user_id FROM grants g WHERE g.client_id = $1)`, id)
		b.removeClient(id)
		b.events([]idp.Event{ev})
		switch err := db.run(ctx, "remove unused client", &b); {
		case errors.Is(err, errUsed): // used just now
		case err != nil:
			return deleted, err
		default:
			deleted++
		}
		db.clients.Forget(id)
	}
	return deleted, db.noteSweep(ctx, "sweep of clients", now)
}

var errUsed = errors.New("in use again")
