// Package rpid keeps for which host the passkeys of a database are made: their relying party ID (WebAuthn L3 §5.1.2).
package rpid

import (
	"context"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// A Record says for which host the passkeys of a database are made.
type Record struct {
	Host     string // "": nothing has been recorded yet
	Passkeys int64  // how many passkeys there are, if Host is not the requested host
}

// read counts the passkeys only if the host changes, because that reads the whole table.
const read = `SELECT coalesce(i.value, ''), CASE WHEN i.value = $1 THEN 0 ELSE (SELECT COUNT(*) FROM passkeys) END
	FROM (SELECT 1 AS one) o LEFT JOIN installation i ON i.name = 'rp_id'`

// Read returns the recorded host, and how many passkeys a change to host would leave behind.
func Read(ctx context.Context, db *store.DB, host string) (Record, error) {
	var found Record
	var b store.Batch
	b.Read(engine.Into(&found, new(bool), scan), read, host)
	err := db.RunBatch(ctx, "read RP ID", &b)
	return found, err
}

// Claim records the host that passkeys are made for from now on, and returns what is recorded. If there are
// passkeys for another host, or for one that is not recorded, it changes nothing, because browsers may offer none of
// them to the new host; with anew it records the host all the same.
func Claim(ctx context.Context, db *store.DB, host string, anew bool) (Record, error) {
	unlessUsed := " WHERE NOT EXISTS (SELECT 1 FROM passkeys)"
	if anew {
		unlessUsed = " WHERE true" // SQLite cannot tell ON CONFLICT from a join without it
	}
	var recorded Record
	var b store.Batch
	b.Do(`INSERT INTO installation (name, value) SELECT 'rp_id', $1`+unlessUsed+`
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, host)
	b.Read(engine.Into(&recorded, new(bool), scan), read, host)
	err := db.RunBatch(ctx, "record RP ID", &b)
	return recorded, err
}

func scan(row store.Row) (r Record, err error) {
	err = row.Scan(&r.Host, &r.Passkeys)
	return r, err
}
