package lookup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// A Filter selects events. Its zero value selects all of them.
type Filter struct {
	Kinds                     []idp.EventKind // nil: any
	UserID, ClientID, ActorID string          // "": any
	From, Until               time.Time       // From is included, Until is not; zero: open
}

// where returns the conditions of the filter and their arguments, after those that are there; id is how the table
// stores an ID.
func (f Filter) where(args []any, id func(string) any) (string, []any) {
	var all []string
	add := func(condition string, v any) {
		args = append(args, v)
		all = append(all, fmt.Sprintf(condition, len(args)))
	}
	if f.Kinds != nil {
		places := []string{"''"}
		for _, k := range f.Kinds {
			args = append(args, string(k))
			places = append(places, fmt.Sprintf("$%d", len(args)))
		}
		all = append(all, "kind IN ("+strings.Join(places, ", ")+")")
	}
	for column, value := range map[string]string{"client_id": f.ClientID, "actor_id": f.ActorID, "user_id": f.UserID} {
		if value != "" {
			add(column+" = $%d", id(value))
		}
	}
	if !f.From.IsZero() {
		add("at >= $%d", store.Millis(f.From))
	}
	if !f.Until.IsZero() {
		add("at < $%d", store.Millis(f.Until))
	}
	return strings.Join(append(all, "TRUE"), " AND "), args
}

// newest is above the ID of every event.
const newest = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// Events returns events that the filter selects, newest first by ID. The call with the cursor "" begins; next is the
// cursor of the following call, "" at the end. A call can find fewer than limit events, or none, and still have a next
// one: each looks at a bounded number of events, except those of one user, which an index finds.
func (l *Lookup) Events(
	ctx context.Context, f Filter, cursor string, limit int,
) (found []idp.Event, next string, err error) {
	before := cursor
	if before == "" {
		before = newest
		if !f.Until.IsZero() {
			before = boundary(f.Until.Add(clocks), "ffff-ffff-ffff-ffffffffffff")
		}
	}
	found, end, err := l.journal(ctx, f, before, limit)
	if err == nil && l.db.OldEvents() {
		old, oldEnd, oldErr := l.old(ctx, f, before, limit)
		found, err = append(found, old...), oldErr
		slices.SortStableFunc(found, func(a, b idp.Event) int { return strings.Compare(b.ID, a.ID) })
		end = max(end, oldEnd) // what is below the higher end was not looked at in both tables
		found = slices.DeleteFunc(found, func(e idp.Event) bool { return e.ID < end })
	}
	switch {
	case err != nil:
		return nil, "", err
	case len(found) >= limit:
		return found[:limit], found[limit-1].ID, nil
	case end == "" || !f.From.IsZero() && end < boundary(f.From.Add(-clocks), "0000-0000-0000-000000000000"):
		return found, "", nil
	}
	return found, end, nil
}

// clocks is how much the time in an event's ID, which its replica's clock made, may differ from its time.
const clocks = time.Hour

// boundary returns an ID of a time: the lowest or the highest, depending on its end.
func boundary(at time.Time, end string) string {
	ms := fmt.Sprintf("%012x", max(at.UnixMilli(), 0))
	return ms[:8] + "-" + ms[8:12] + "-" + end
}

func (l *Lookup) journal(
	ctx context.Context, f Filter, before string, limit int,
) (found []idp.Event, end string, err error) {
	return search(ctx, l.db, f, before, limit, table{
		name: "journal", columns: rows.JournalColumns, extra: " AND " + rows.Reported,
		id:   func(id string) any { return rows.PackID(id) },
		scan: func(row store.Row) (idp.Event, error) { return rows.ReadJournal(row) },
		last: func(id *string) any { return rows.Packed{To: id} },
	})
}

// old is journal for events of the old form.
func (l *Lookup) old(
	ctx context.Context, f Filter, before string, limit int,
) (found []idp.Event, end string, err error) {
	return search(ctx, l.db, f, before, limit, table{
		name: "events", columns: rows.EventColumns,
		id:   func(id string) any { return id },
		scan: func(row store.Row) (idp.Event, error) { return rows.ReadEvent(row) },
		last: func(id *string) any { return id },
	})
}

// A table is one of the two tables that have events.
type table struct {
	name, columns, extra string
	id                   func(string) any
	scan                 func(store.Row) (idp.Event, error)
	last                 func(*string) any
}

// search returns the events of a window of a table, and the ID at which the window ends; "" if nothing follows.
func search(
	ctx context.Context, db *store.DB, f Filter, before string, limit int, t table,
) (found []idp.Event, end string, err error) {
	const step = "search events"
	args := []any{t.id(before), window, limit}
	of := ""
	if f.UserID != "" {
		args = append(args, t.id(f.UserID))
		of = " AND user_id = $4"
	}
	condition, args := f.where(args, t.id)
	found, err = store.List(ctx, db, step, t.scan, `SELECT `+t.columns+` FROM
		(SELECT * FROM `+t.name+` WHERE id < $1`+of+` ORDER BY id DESC LIMIT $2) windowed
		WHERE `+condition+t.extra+` ORDER BY id DESC LIMIT $3`, args...)
	if err != nil {
		return nil, "", err
	}
	if len(found) == limit {
		return found, found[limit-1].ID, nil
	}
	args = []any{t.id(before), window - 1}
	if of != "" {
		args, of = append(args, t.id(f.UserID)), " AND user_id = $3"
	}
	ends, err := store.List(ctx, db, step, func(row store.Row) (id string, err error) {
		return id, row.Scan(t.last(&id))
	}, `SELECT id FROM `+t.name+` WHERE id < $1`+of+` ORDER BY id DESC LIMIT 1 OFFSET $2`, args...)
	if err != nil || len(ends) == 0 {
		return found, "", err
	}
	return found, ends[0], nil
}
