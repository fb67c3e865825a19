package engine

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// A Batch is a list of statements that take effect together or not at all.
//
// A pipelined batch cannot look at one answer before it sends the next statement, so a condition is part of the
// batch: a statement that runs into a NOT NULL constraint fails the whole batch with that statement's unmet error. No
// argument is ever NULL (see normalise), so NULL always comes from a subselect that found nothing, or from a demand.
type Batch struct{ Statements []Statement }

// A Statement is one statement of a batch, with its arguments.
type Statement struct {
	SQL   string
	Args  []any
	rows  func(pgx.Rows) error // reads the rows that come back, if any; its error does not undo the batch
	unmet error
	// many marks a statement that only an engine with many writers (Postgres) needs.
	many bool
}

// errUnmet is the engines' translation of a NOT NULL violation.
var errUnmet = errors.New("unmet demand")

// Do adds a statement. If a subselect in it finds nothing for a column that needs a value, the batch fails with
// idp.ErrNotFound.
func (b *Batch) Do(sql string, args ...any) {
	b.Statements = append(b.Statements, Statement{SQL: sql, Args: args, unmet: idp.ErrNotFound})
}

// Read adds a statement and passes its rows to the func.
func (b *Batch) Read(rows func(pgx.Rows) error, sql string, args ...any) {
	b.Statements = append(b.Statements, Statement{SQL: sql, Args: args, rows: rows, unmet: idp.ErrNotFound})
}

// Demand fails the batch with unmet unless the condition holds at this point.
func (b *Batch) Demand(unmet error, condition string, args ...any) {
	b.Statements = append(b.Statements, Statement{
		SQL:   "INSERT INTO demands (met) SELECT CAST(NULL AS BIGINT) WHERE NOT (" + condition + ")",
		Args:  args,
		unmet: unmet,
	})
}

// Hold demands that rows match the condition, and locks them until the batch ends: on Postgres the idle update waits
// for other writers of a row, checks the condition again, and locks the row. SQLite has one writer at a time anyway.
func (b *Batch) Hold(unmet error, table, condition string, args ...any) {
	b.Do("UPDATE "+table+" SET id = id WHERE "+condition, args...)
	b.Demand(unmet, "EXISTS (SELECT 1 FROM "+table+" WHERE "+condition+")", args...)
}

// Exclusive waits until no other batch holds or shares the name, and holds it until the batch ends.
//
// On Postgres, a batch that ends something and a batch that needs it alive could miss each other if they ran at once,
// because each sees only what was committed before its statement. So the first holds a name exclusively, and the second
// shares it. Put these statements first in a batch. A name is a kind and an ID, such as "client:" + id.
func (b *Batch) Exclusive(name string) {
	b.Statements = append(b.Statements, Statement{
		SQL:  `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`,
		Args: []any{name}, many: true,
	})
}

// Share waits until no other batch holds one of the names, and shares them until the batch ends. See Exclusive.
func (b *Batch) Share(names ...string) {
	slices.Sort(names)
	b.Statements = append(b.Statements, Statement{
		SQL:  `SELECT pg_advisory_xact_lock_shared(hashtextextended(name, 0)) FROM unnest(string_to_array($1, chr(10))) name`,
		Args: []any{strings.Join(names, "\n")}, many: true,
	})
}

// failed returns the error of the batch when statement s failed with err, already translated.
func (s Statement) failed(err error) error {
	if errors.Is(err, errUnmet) {
		return s.unmet
	}
	return err
}

// Collect returns a reader for Batch.Read that scans all rows into list.
func Collect[T any](list *[]T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*list, err = pgx.CollectRows(rows, scan)
		return err
	}
}

// Into returns a func that reads at most one row into value, and sets found to whether there was one.
func Into[T any](value *T, found *bool, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
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
