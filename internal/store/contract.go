package store

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Migration 6 lets events, authentications and families be stored in fewer bytes. During an update, older programs run
// beside this one and must find what this one writes, so it happens in steps:
//
//	expand    the migration adds tables and columns, which older programs do not notice. This program reads both forms
//	          of rows and writes the old form
//	contract  the first start a day later or more drops the indexes that only older programs needed. From then on, this
//	          program writes the compact form. No older program can start any more: it refuses the newer schema
//	expire    rows of the old form are read until they expire: families within their lifetime, events and
//	          authentications within event-retention. After that, a later version can drop their tables
//
// A new installation has no older programs and contracts at once. A process that keeps running across the contract step
// goes on writing the old form, which stays correct.
const contractAfter = 24 * time.Hour

// Values of 'rows' in installation. Between the two, it is the time from which to contract, in milliseconds.
const (
	rowsExpanded = "expanded"
	rowsCompact  = "compact"
)

// readForm reads which form of rows to write, and returns the recorded value.
func (db *DB) readForm(ctx context.Context) (rows string, err error) {
	found, err := list(ctx, db, "read form of rows", pgx.RowTo[string],
		`SELECT value FROM installation WHERE name = 'rows'`)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		rows = found[0]
	}
	db.compact.Store(rows == rowsCompact)
	if rows != rowsCompact {
		db.oldEvents.Store(true)
		return rows, nil
	}
	return rows, db.lookForOldEvents(ctx)
}

// lookForOldEvents records whether there are events of the old form, which saves the queries for them if not.
func (db *DB) lookForOldEvents(ctx context.Context) error {
	old, err := list(ctx, db, "look for old events", pgx.RowTo[string],
		`SELECT id FROM events WHERE id > '' ORDER BY id LIMIT 1`)
	if err == nil {
		db.oldEvents.Store(len(old) > 0)
	}
	return err
}

// contract takes the contract step if it is due.
func (db *DB) contract(ctx context.Context) error {
	rows, err := db.readForm(ctx)
	if err != nil || rows == rowsCompact {
		return err
	}
	now, err := db.Now(ctx)
	if err != nil {
		return err
	}
	if rows == rowsExpanded {
		var b batch
		b.Do(`UPDATE installation SET value = $1 WHERE name = 'rows' AND value = $2`,
			strconv.FormatInt(ms(now.Add(contractAfter)), 10), rowsExpanded)
		return db.run(ctx, "note when to contract", &b)
	}
	if from, err := strconv.ParseInt(rows, 10, 64); err == nil && ms(now) < from {
		return nil
	}
	var b batch
	b.Do(`DROP INDEX IF EXISTS families_of_session`) // a session's families are found by its user
	b.Do(`DROP INDEX IF EXISTS families_of_client`)  // only commands of the operator need all families of a client
	b.Do(`INSERT INTO attestations (passkey_id, statement) SELECT id, attestation FROM passkeys
		WHERE attestation <> '' AND attestation_format NOT IN ('', 'none') ON CONFLICT (passkey_id) DO NOTHING`)
	b.Do(`UPDATE passkeys SET attestation = '' WHERE attestation <> '' AND attestation_format NOT IN ('', 'none')`)
	b.Do(`INSERT INTO installation (name, value) VALUES ('rows', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, rowsCompact)
	if err := db.run(ctx, "contract rows", &b); err != nil {
		return err
	}
	_, err = db.readForm(ctx)
	return err
}
