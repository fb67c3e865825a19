// Package plan tells what a migration would do to a database, without doing it: its statements, what they lock, and
// about how long.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// A Lock is what others cannot do to a table until the step is over.
type Lock int

const (
	None   Lock = iota
	Rows        // write the rows that the statement writes
	Writes      // write
	All         // read or write
)

// A Statement is one statement of a migration.
type Statement struct {
	SQL   string // on one line
	Table string // that it locks; empty: none that was there before
	Lock  Lock
	Rows  int64 // that it reads or writes, about
	Takes time.Duration
}

// A Step is one migration: one transaction, so what a statement locks stays locked until the end of the step.
type Step struct {
	Version    int64
	Name       string
	Oldest     int64 // the newest migration that a program must know to run on the schema after it; 0: this one
	Statements []Statement
}

// Holds returns how long a table is locked, from the first statement that locks it to the end of the step.
func (s Step) Holds(table string) (longest time.Duration) {
	locked := false
	for _, st := range s.Statements {
		locked = locked || st.Table == table && st.Lock > Rows
		if locked {
			longest += st.Takes
		}
	}
	return longest
}

// Tables returns the tables that the step locks against writing at least, in alphabetical order.
func (s Step) Tables() (names []string) {
	for _, st := range s.Statements {
		if st.Lock > Rows && !slices.Contains(names, st.Table) {
			names = append(names, st.Table)
		}
	}
	slices.Sort(names)
	return names
}

// What an ordinary server with an SSD does at least. A copy of the database tells more.
const (
	readPerSecond  = 1_000_000 // rows
	indexPerSecond = 500_000
	writePerSecond = 50_000
	atOnce         = time.Millisecond // a change of the catalogue
)

// Migration returns the schema version of the database and the steps that Migrate would take. It changes nothing.
func Migration(ctx context.Context, db *store.DB) (version int64, steps []Step, err error) {
	version, err = store.One(ctx, db, "read schema version", func(row store.Row) (v int64, err error) {
		err = row.Scan(&v)
		return v, err
	}, "SELECT COALESCE(MAX(version_id), 0) FROM "+engine.VersionTable)
	if err != nil && !errors.Is(err, store.ErrOlderSchema) {
		return 0, nil, err
	}
	files, err := store.MigrationFiles(db.Backend())
	if err != nil {
		return 0, nil, err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, nil, err
	}
	p := planner{ctx: ctx, db: db, sizes: map[string]int64{}}
	for _, name := range names {
		number, rest, _ := strings.Cut(strings.TrimSuffix(name, ".sql"), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil || v <= version {
			continue
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return 0, nil, err
		}
		step := Step{Version: v, Name: strings.ReplaceAll(rest, "_", " "), Oldest: store.OldestProgram(string(text))}
		for _, sql := range Split(string(text)) {
			st, err := p.statement(sql)
			if err != nil {
				return 0, nil, fmt.Errorf("migration %d: %w", v, err)
			}
			step.Statements = append(step.Statements, st)
		}
		steps = append(steps, step)
	}
	return version, steps, nil
}

// Split returns the statements of a migration file, each on one line and without comments.
func Split(text string) (statements []string) {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		lines = append(lines, line)
		if strings.HasSuffix(line, ";") {
			statements = append(statements, strings.TrimSuffix(strings.Join(lines, " "), ";"))
			lines = nil
		}
	}
	return statements
}

type planner struct {
	ctx   context.Context
	db    *store.DB
	sizes map[string]int64 // of tables; those that the migration itself creates have 0 rows
}

// Classify returns the kind of a statement: the table that it locks, and how. bulk says how many rows a second it
// works through; 0: none.
func Classify(sql string) (table string, lock Lock, bulk int) {
	words := strings.Fields(strings.ToUpper(sql))
	names := strings.Fields(sql)
	after := func(word string) string {
		if i := slices.Index(words, word); i >= 0 && i+1 < len(names) {
			name, _, _ := strings.Cut(names[i+1], "(")
			return strings.ToLower(strings.Trim(name, `"`))
		}
		return ""
	}
	begins := func(text string) bool { return strings.HasPrefix(strings.Join(words, " "), text) }
	switch {
	case begins("CREATE TABLE"), begins("CREATE VIEW"), begins("CREATE OR REPLACE VIEW"), begins("DROP VIEW"),
		begins("CREATE FUNCTION"):
		return "", None, 0
	case begins("CREATE INDEX CONCURRENTLY"), begins("CREATE UNIQUE INDEX CONCURRENTLY"):
		return "", None, indexPerSecond
	case begins("CREATE INDEX"), begins("CREATE UNIQUE INDEX"):
		return after("ON"), Writes, indexPerSecond
	case begins("ALTER TABLE"):
		// A column with a constant default, and a dropped one, are notes in the catalogue.
		rewrites := !slices.Contains(words, "ADD") && !slices.Contains(words, "DROP") && !slices.Contains(words, "RENAME")
		checks := slices.Contains(words, "CONSTRAINT") || slices.Contains(words, "REFERENCES") ||
			slices.Contains(words, "CHECK")
		if rewrites || checks && !slices.Contains(words, "DROP") {
			return after("TABLE"), All, writePerSecond
		}
		return after("TABLE"), All, 0
	case begins("UPDATE"):
		return after("UPDATE"), Rows, writePerSecond
	case begins("DELETE"):
		return after("FROM"), Rows, writePerSecond
	case begins("INSERT"):
		return after("FROM"), None, readPerSecond
	case begins("DROP TABLE"):
		return strings.ToLower(names[len(names)-1]), All, 0
	default: // unknown to us: the worst, for all that is in it
		return after("TABLE"), All, writePerSecond
	}
}

func (p planner) statement(sql string) (Statement, error) {
	st := Statement{SQL: sql, Takes: atOnce}
	var bulk int
	st.Table, st.Lock, bulk = Classify(sql)
	if words := strings.Fields(sql); strings.EqualFold(words[0], "create") && strings.EqualFold(words[1], "table") {
		p.sizes[strings.ToLower(strings.Trim(words[2], `"(`))] = 0
	}
	if st.Table == "" {
		return st, nil
	}
	rows, err := p.rows(st.Table)
	if err != nil {
		return st, err
	}
	if rows < 0 { // new in this migration, or one that is not there
		st.Table, st.Lock = "", None
		return st, nil
	}
	if bulk > 0 {
		st.Rows = rows
		st.Takes += time.Duration(float64(rows) / float64(bulk) * float64(time.Second))
	}
	if st.Lock == None {
		st.Table = ""
	}
	return st, nil
}

// rows returns the size of a table that was there before, and -1 for another one. On Postgres it is an estimate.
func (p planner) rows(table string) (n int64, err error) {
	if _, ours := p.sizes[table]; ours {
		return -1, nil
	}
	query := `SELECT CASE WHEN c.reltuples < 0 THEN pg_relation_size(c.oid) / 100 ELSE c.reltuples::bigint END
		FROM pg_class c WHERE c.oid = to_regclass($1)`
	if p.db.Backend() == "sqlite" {
		found, err := p.numbers(`SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = $1`, table)
		if err != nil || found[0] == 0 {
			return -1, err
		}
		query = `SELECT COUNT(*) FROM ` + table + ` WHERE $1 <> ''`
	}
	found, err := p.numbers(query, table)
	if err != nil || len(found) == 0 {
		return -1, err
	}
	return found[0], nil
}

func (p planner) numbers(sql string, args ...any) ([]int64, error) {
	return store.List(p.ctx, p.db, "read size of table", func(row store.Row) (n int64, err error) {
		err = row.Scan(&n)
		return n, err
	}, sql, args...)
}
