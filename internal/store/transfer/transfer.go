// Package transfer moves the whole durable store: into one file and back (the embedded store), and from one database
// into another. It knows no table by name, except where something that was revoked must not come back: see revoked.go.
package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/store/engine"
)

// A table is one table as the database describes it.
type table struct {
	name    string
	columns []column // in the order of their names
	needs   []string // tables that its foreign keys lead to
}

type column struct {
	name    string
	boolean bool // the engine has a type of its own for it: SQLite stores 0 and 1
}

func (t table) list() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// left are the tables that are not copied: each database keeps its own record of migrations, and demands is always
// empty.
var left = []string{engine.VersionTable, "demands"}

// a side is one end of a copy: whole tables, in one transaction.
type side interface {
	// tables lists the tables, without those that are left.
	tables(ctx context.Context) ([]table, error)
	// count returns the number of rows.
	count(ctx context.Context, t table) (int64, error)
	// read passes each row to f, in any order: values are int64, bool, string or []byte.
	read(ctx context.Context, t table, f func([]any) error) error
	// fill adds the rows that next returns, until it returns nil.
	fill(ctx context.Context, t table, next func() ([]any, error)) error
	// empty removes all rows.
	empty(ctx context.Context, t table) error
}

// A Sum is the number of rows of a table and a hash of their content. It does not depend on their order, because the
// engines sort text differently.
type Sum struct {
	Rows int64
	Hash [sha256.Size]byte
}

// add adds a row: the hashes of the rows are added up, modulo 2^256, so that equal rows do not cancel out.
func (s *Sum) add(row []any) error {
	var text []byte
	field := func(kind byte, content []byte) {
		text = append(text, kind)
		text = binary.BigEndian.AppendUint64(text, uint64(len(content)))
		text = append(text, content...)
	}
	for _, value := range row {
		switch v := value.(type) {
		case int64:
			field('i', binary.BigEndian.AppendUint64(nil, uint64(v)))
		case string:
			field('t', []byte(v))
		case []byte:
			field('b', v)
		default:
			return fmt.Errorf("a value of an unexpected type: %T", value)
		}
	}
	digest := sha256.Sum256(text)
	var carry uint64
	for i := sha256.Size - 8; i >= 0; i -= 8 {
		var sum uint64
		sum, carry = bits.Add64(binary.BigEndian.Uint64(s.Hash[i:]), binary.BigEndian.Uint64(digest[i:]), carry)
		binary.BigEndian.PutUint64(s.Hash[i:], sum)
	}
	s.Rows++
	return nil
}

// plain turns a value of either engine into what both would store: int64, string or []byte.
func plain(value any) any {
	switch v := value.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case []byte:
		if v == nil {
			return []byte{}
		}
	}
	return value
}

// A Copied is one table that was copied, and found to be the same on both sides.
type Copied struct {
	Table string
	Sum
}

// ErrNotEmpty means that the target of a copy has rows already.
var ErrNotEmpty = errors.New("the target is not empty")

// copyTables copies all tables, compares what arrived with what was sent, and returns what it copied. The caller
// commits the target after that, so that a target is complete and the same, or unchanged.
func copyTables(ctx context.Context, from, to side, progress func(table string, done, total int64)) ([]Copied, error) {
	tables, err := from.tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tables of the source: %w", err)
	}
	targets, err := to.tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tables of the target: %w", err)
	}
	if err := sameTables(tables, targets); err != nil {
		return nil, err
	}
	if tables, err = parentsFirst(tables); err != nil {
		return nil, err
	}
	byName := map[string]table{}
	for _, t := range targets {
		n, err := to.count(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("count %s of the target: %w", t.name, err)
		}
		if n > 0 && t.name != "installation" { // a new store has notes about its own form there
			return nil, fmt.Errorf("%w: %s has %d rows", ErrNotEmpty, t.name, n)
		}
		byName[t.name] = t
	}
	var copied []Copied
	for _, t := range tables {
		c, err := copyTable(ctx, from, to, t, byName[t.name], progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		copied = append(copied, c)
	}
	slices.SortFunc(copied, func(a, b Copied) int { return cmp.Compare(a.Table, b.Table) })
	return copied, nil
}

func copyTable(
	ctx context.Context, from, to side, t, target table, progress func(string, int64, int64),
) (Copied, error) {
	total, err := from.count(ctx, t)
	if err != nil {
		return Copied{}, fmt.Errorf("count: %w", err)
	}
	if err := to.empty(ctx, target); err != nil {
		return Copied{}, fmt.Errorf("empty the target: %w", err)
	}
	reading, cancel := context.WithCancel(ctx)
	rows, failed := make(chan []any, 256), make(chan error, 1)
	go func() { // reads ahead while the target writes
		defer close(rows)
		failed <- from.read(reading, t, func(row []any) error {
			select {
			case rows <- row:
				return nil
			case <-reading.Done():
				return reading.Err()
			}
		})
	}()
	defer func() { // the reader must be gone before its transaction ends
		cancel()
		for range rows { //nolint:revive // nobody wants the rest
		}
	}()
	var sent Sum
	progress(t.name, 0, total)
	err = to.fill(ctx, target, func() ([]any, error) {
		row, ok := <-rows
		if !ok {
			return nil, <-failed
		}
		if err := sent.add(row); err != nil {
			return nil, err
		}
		progress(t.name, sent.Rows, total)
		return row, nil
	})
	if err != nil {
		return Copied{}, err
	}
	var arrived Sum
	if err := to.read(ctx, target, func(row []any) error { return arrived.add(row) }); err != nil {
		return Copied{}, fmt.Errorf("read back: %w", err)
	}
	if sent != arrived {
		return Copied{}, fmt.Errorf("%d rows were sent and %d arrived, or not the same ones", sent.Rows, arrived.Rows)
	}
	return Copied{t.name, sent}, nil
}

// sameTables compares two schemas: the tables and the names of their columns.
func sameTables(a, b []table) error {
	describe := func(tables []table) (all []string) {
		for _, t := range tables {
			all = append(all, t.name+" ("+t.list()+")")
		}
		slices.Sort(all)
		return all
	}
	left, right := describe(a), describe(b)
	for _, line := range left {
		if !slices.Contains(right, line) {
			return fmt.Errorf("the target has no table %s", line)
		}
	}
	for _, line := range right {
		if !slices.Contains(left, line) {
			return fmt.Errorf("the source has no table %s", line)
		}
	}
	return nil
}

// parentsFirst sorts tables so that no row arrives before the rows that it refers to.
func parentsFirst(tables []table) (sorted []table, err error) {
	done := map[string]bool{}
	for len(sorted) < len(tables) {
		before := len(sorted)
		for _, t := range tables {
			ready := !slices.ContainsFunc(t.needs, func(name string) bool { return name != t.name && !done[name] })
			if !done[t.name] && ready {
				sorted, done[t.name] = append(sorted, t), true
			}
		}
		if len(sorted) == before {
			return nil, errors.New("the tables refer to each other in a circle")
		}
	}
	return sorted, nil
}
