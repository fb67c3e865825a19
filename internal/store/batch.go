package store

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// A batch is a list of statements that take effect together or not at all.
//
// A pipelined batch cannot look at one answer before it sends the next statement, so a condition is part of the
// batch: a statement that runs into a NOT NULL constraint fails the whole batch with that statement's unmet error. No
// argument is ever NULL (see normalise), so NULL always comes from a subselect that found nothing, or from a demand.
type batch struct{ statements []statement }

type statement struct {
	sql   string
	args  []any
	rows  func(pgx.Rows) error // reads what comes back; nil: nothing does. Its error does not undo the batch
	unmet error
	// many: it is for an engine with many writers, Postgres.
	many bool
}

// errUnmet is what the engines make of a NOT NULL violation.
var errUnmet = errors.New("unmet demand")

// do adds a statement. A subselect in it that finds nothing where a value is due fails the batch with idp.ErrNotFound.
func (b *batch) do(sql string, args ...any) {
	b.statements = append(b.statements, statement{sql: sql, args: args, unmet: idp.ErrNotFound})
}

// read adds a statement whose rows are read.
func (b *batch) read(rows func(pgx.Rows) error, sql string, args ...any) {
	b.statements = append(b.statements, statement{sql: sql, args: args, rows: rows, unmet: idp.ErrNotFound})
}

// demand fails the batch with unmet unless the condition holds at this point of it.
func (b *batch) demand(unmet error, condition string, args ...any) {
	b.statements = append(b.statements, statement{
		sql:   "INSERT INTO demands (met) SELECT CAST(NULL AS BIGINT) WHERE NOT (" + condition + ")",
		args:  args,
		unmet: unmet,
	})
}

// hold demands that rows match the condition, and keeps them as they are until the batch ends: on Postgres the idle update
// waits for other writers of the row, looks at the condition again, and locks it. SQLite has one writer at a time anyway.
func (b *batch) hold(unmet error, table, condition string, args ...any) {
	b.do("UPDATE "+table+" SET id = id WHERE "+condition, args...)
	b.demand(unmet, "EXISTS (SELECT 1 FROM "+table+" WHERE "+condition+")", args...)
}

// What ends something, and what builds on its being alive, would miss each other if they ran at once on Postgres: each sees
// what was committed before its statement. So the one holds a name exclusively, the others share it, until their batches
// end. These come first in a batch. Names are "client:" and the like with an ID.
func (b *batch) exclusive(name string) {
	b.statements = append(b.statements, statement{sql: `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, args: []any{name}, many: true})
}

func (b *batch) share(names ...string) {
	slices.Sort(names)
	b.statements = append(b.statements, statement{
		sql:  `SELECT pg_advisory_xact_lock_shared(hashtextextended(name, 0)) FROM unnest(string_to_array($1, chr(10))) name`,
		args: []any{strings.Join(names, "\n")}, many: true,
	})
}

// end remembers that a session or a family is over, for what would still be settled in it.
func (b *batch) end(id string, now time.Time) {
	b.do(`INSERT INTO ended (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, ms(now))
}

// failed returns the error of the batch when statement s failed with err, already translated.
func (s statement) failed(err error) error {
	if errors.Is(err, errUnmet) {
		return s.unmet
	}
	return err
}

// into returns a reader of at most one row into value; found tells whether there was one.
func into[T any](value *T, found *bool, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		v, err := pgx.CollectOneRow(rows, scan)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			*found = false
			return nil
		case err != nil:
			return err
		}
		*value, *found = v, true
		return nil
	}
}
