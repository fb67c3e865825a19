package store

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/rows"
)

// Migration 6 lets events, authentications and families be stored in fewer bytes, and migration 20 passkeys. During an
// update, older programs run beside this one and must find what this one writes, so each happens in steps:
//
//	expand    the migration adds tables and columns, or lets columns be NULL, which older programs do not notice. This
//	          program reads both forms of rows and writes the old form
//	contract  the first start a day later or more drops what only older programs needed. From then on, this program
//	          writes the new form, and no older program can start any more
//	expire    rows of the old form are read until they expire: families within their lifetime, events and
//	          authentications within event-retention, passkeys when they are removed
//
// A new installation has no older programs and contracts at once. A process that keeps running across the contract step
// goes on writing the old form, which stays correct.
const contractAfter = 24 * time.Hour

// Names in installation, of the form of events and families and of that of passkeys, and their values. Between expanded
// and compact, the value is the time from which to contract, in milliseconds.
const (
	formOfRows     = "rows"
	formOfPasskeys = "passkeys"
	rowsExpanded   = "expanded"
	rowsCompact    = "compact"
)

// readsBrief is the newest migration of the first program that reads the brief form of passkeys.
const readsBrief = "20"

// form is the form in which passkeys are written.
func (db *DB) form() rows.Form {
	brief := db.brief.Load()
	return rows.Form{Brief: brief, Nulls: brief && db.Backend() == "postgres"} // SQLite needs no byte for 0
}

// readForms reads which forms of rows to write, and returns the recorded values.
func (db *DB) readForms(ctx context.Context) (map[string]string, error) {
	type pair struct{ name, value string }
	found, err := list(ctx, db, "read forms of rows", func(row pgx.CollectableRow) (p pair, err error) {
		err = row.Scan(&p.name, &p.value)
		return p, err
	}, `SELECT name, value FROM installation WHERE name IN ($1, $2)`, formOfRows, formOfPasskeys)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, p := range found {
		values[p.name] = p.value
	}
	db.brief.Store(values[formOfPasskeys] == rowsCompact)
	db.compact.Store(values[formOfRows] == rowsCompact)
	if !db.compact.Load() {
		db.oldEvents.Store(true)
		return values, nil
	}
	return values, db.lookForOldEvents(ctx)
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

// contract takes the contract steps that are due.
func (db *DB) contract(ctx context.Context) error {
	values, err := db.readForms(ctx)
	if err != nil {
		return err
	}
	var b batch
	for _, step := range []struct {
		form string
		add  func(*batch)
	}{
		{formOfRows, contractRows},
		{formOfPasskeys, contractPasskeys},
	} {
		if values[step.form] == rowsCompact {
			continue
		}
		now, err := db.Now(ctx)
		if err != nil {
			return err
		}
		if !b.due(step.form, values[step.form], now) {
			continue
		}
		step.add(&b)
		b.Do(`INSERT INTO installation (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, step.form, rowsCompact)
	}
	if len(b.Statements) == 0 {
		return nil
	}
	if err := db.run(ctx, "contract rows", &b); err != nil {
		return err
	}
	_, err = db.readForms(ctx)
	return err
}

// due reports whether a form is to be contracted now. The first start after the migration notes when.
func (b *batch) due(form, value string, now time.Time) bool {
	if value == rowsExpanded {
		b.Do(`UPDATE installation SET value = $1 WHERE name = $2 AND value = $3`,
			strconv.FormatInt(ms(now.Add(contractAfter)), 10), form, rowsExpanded)
		return false
	}
	from, err := strconv.ParseInt(value, 10, 64)
	return err != nil || ms(now) >= from
}

func contractRows(b *batch) {
	b.Do(`DROP INDEX IF EXISTS families_of_session`) // a session's families are found by its user
	b.Do(`DROP INDEX IF EXISTS families_of_client`)  // only commands of the operator need all families of a client
	b.Do(`INSERT INTO attestations (passkey_id, statement) SELECT id, attestation FROM passkeys
		WHERE attestation <> '' AND attestation_format NOT IN ('', 'none') ON CONFLICT (passkey_id) DO NOTHING`)
	b.Do(`UPDATE passkeys SET attestation = '' WHERE attestation <> '' AND attestation_format NOT IN ('', 'none')`)
}

// contractPasskeys lets no program start any more that cannot read the brief form.
func contractPasskeys(b *batch) { b.Do(raiseOldest, oldestProgram, readsBrief) }
