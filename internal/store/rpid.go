package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
)

// An RPID is the host that the passkeys of this database are made for.
type RPID struct {
	Host     string // "": nothing has been recorded yet
	Passkeys int64  // how many passkeys there are, if Host is not the requested host
}

// readRPID counts the passkeys only if the host changes, because that reads the whole table.
const readRPID = `SELECT coalesce(i.value, ''), CASE WHEN i.value = $1 THEN 0 ELSE (SELECT COUNT(*) FROM passkeys) END
	FROM (SELECT 1 AS one) o LEFT JOIN installation i ON i.name = 'rp_id'`

// RPID returns the recorded host, and how many passkeys a change to host would leave behind.
func (db *DB) RPID(ctx context.Context, host string) (RPID, error) {
	var found RPID
	var b batch
	b.Read(engine.Into(&found, new(bool), scanRPID), readRPID, host)
	err := db.run(ctx, "read RP ID", &b)
	return found, err
}

// ClaimRPID records the host that passkeys are made for from now on, and returns what is recorded. If there are
// passkeys for another host, or for one that is not recorded, it changes nothing, because browsers may offer none of
// them to the new host; with anew it records the host all the same.
func (db *DB) ClaimRPID(ctx context.Context, host string, anew bool) (RPID, error) {
	unlessUsed := " WHERE NOT EXISTS (SELECT 1 FROM passkeys)"
	if anew {
		unlessUsed = " WHERE true" // SQLite cannot tell ON CONFLICT from a join without it
	}
	var recorded RPID
	var b batch
	b.Do(`INSERT INTO installation (name, value) SELECT 'rp_id', $1`+unlessUsed+`
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, host)
	b.Read(engine.Into(&recorded, new(bool), scanRPID), readRPID, host)
	err := db.run(ctx, "record RP ID", &b)
	return recorded, err
}

func scanRPID(row pgx.CollectableRow) (r RPID, err error) {
	err = row.Scan(&r.Host, &r.Passkeys)
	return r, err
}
