// Package personal reads what is kept about one person, for the pages on which they look at it, take it with them or
// end it. Package store has the tables.
package personal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// Records reads and ends what a store keeps about a person. It is safe for concurrent use.
type Records struct{ db *store.DB }

// New returns the records in a store.
func New(db *store.DB) *Records { return &Records{db} }

// A Filter selects events of a user. Its zero value selects all of them.
type Filter struct {
	Kinds               []idp.EventKind // nil: any
	ClientID, PasskeyID string          // "": any
	Before              Position        // zero: from the newest
}

// A Position is a place among the events of a user.
type Position struct {
	At time.Time
	ID string
}

// After returns the position of an event: a filter with it continues after that event.
func After(e idp.Event) Position { return Position{e.At, e.ID} }

// where returns the condition of the filter and its arguments; id is how the table stores an ID.
func (f Filter) where(userID string, id func(string) any) (condition string, args []any) {
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	condition = `user_id = ` + arg(id(userID))
	if f.Kinds != nil {
		places := []string{"''"}
		for _, k := range f.Kinds {
			places = append(places, arg(string(k)))
		}
		condition += ` AND kind IN (` + strings.Join(places, ", ") + `)`
	}
	if f.ClientID != "" {
		condition += ` AND client_id = ` + arg(id(f.ClientID))
	}
	if f.PasskeyID != "" {
		condition += ` AND passkey_id = ` + arg(id(f.PasskeyID))
	}
	if !f.Before.At.IsZero() {
		condition += ` AND (at, id) < (` + arg(store.Millis(f.Before.At)) + `, ` + arg(id(f.Before.ID)) + `)`
	}
	return condition, args
}

func packed(id string) any { return rows.PackID(id) }
func plain(id string) any  { return id }

func scanJournal(row store.Row) (idp.Event, error) { return rows.ReadJournal(row) }
func scanEvent(row store.Row) (idp.Event, error)   { return rows.ReadEvent(row) }

// Events returns the user's events that the filter selects, newest first.
func (r *Records) Events(ctx context.Context, userID string, f Filter, limit int) ([]idp.Event, error) {
	const step = "list events by filter"
	condition, args := f.where(userID, packed)
	events, err := store.List(ctx, r.db, step, scanJournal, fmt.Sprintf(`SELECT `+rows.JournalColumns+` FROM journal
		WHERE %s AND `+rows.Reported+` ORDER BY at DESC, id DESC LIMIT $%d`, condition, len(args)+1), append(args, limit)...)
	if err != nil || !r.db.OldEvents() {
		return events, err
	}
	condition, args = f.where(userID, plain)
	old, err := store.List(ctx, r.db, step, scanEvent, fmt.Sprintf(`SELECT `+rows.EventColumns+` FROM events
		WHERE user_id <> '' AND %s ORDER BY at DESC, id DESC LIMIT $%d`, condition, len(args)+1), append(args, limit)...)
	events = append(events, old...)
	slices.SortStableFunc(events, func(a, b idp.Event) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID))
	})
	return events[:min(len(events), limit)], err
}

// Event returns an event of the user; idp.ErrNotFound.
func (r *Records) Event(ctx context.Context, userID, id string) (idp.Event, error) {
	const step = "load event"
	if !r.db.OldEvents() {
		return store.One(ctx, r.db, step, scanJournal, `SELECT `+rows.JournalColumns+` FROM journal
			WHERE id = $1 AND user_id = $2 AND `+rows.Reported, rows.PackID(id), rows.PackID(userID))
	}
	found, err := store.List(ctx, r.db, step, scanJournal, `SELECT `+rows.JournalColumns+` FROM journal
		WHERE id = $1 AND user_id = $2 AND `+rows.Reported, rows.PackID(id), rows.PackID(userID))
	if err != nil {
		return idp.Event{}, err
	} else if len(found) > 0 {
		return found[0], nil
	}
	return store.One(ctx, r.db, step, scanEvent, `SELECT `+rows.EventColumns+` FROM events
		WHERE id = $1 AND user_id <> '' AND user_id = $2`, id, userID)
}

// pageOfEvents is how many events EachEvent reads at once.
const pageOfEvents = 500

// EachEvent calls do with the user's events that the filter selects, newest first, a page at a time, until f returns an
// error.
func (r *Records) EachEvent(ctx context.Context, userID string, f Filter, do func(idp.Event) error) error {
	for {
		events, err := r.Events(ctx, userID, f, pageOfEvents)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := do(e); err != nil {
				return err
			}
		}
		if len(events) < pageOfEvents {
			return nil
		}
		f.Before = After(events[len(events)-1])
	}
}

// ClientsOf returns the IDs of the clients in the user's events, sorted, at most limit.
func (r *Records) ClientsOf(ctx context.Context, userID string, limit int) ([]string, error) {
	const step = "list clients in events"
	ids, err := store.List(ctx, r.db, step, func(row store.Row) (id string, err error) {
		err = row.Scan(rows.Packed{To: &id})
		return id, err
	}, `SELECT DISTINCT client_id FROM journal WHERE user_id = $1 AND length(client_id) > 0 AND `+rows.Reported+`
		ORDER BY client_id LIMIT $2`, rows.PackID(userID), limit)
	if err == nil && r.db.OldEvents() {
		var old []string
		old, err = store.List(ctx, r.db, step, func(row store.Row) (id string, err error) {
			err = row.Scan(&id)
			return id, err
		}, `SELECT DISTINCT client_id FROM events WHERE user_id <> '' AND user_id = $1 AND client_id <> ''
			ORDER BY client_id LIMIT $2`, userID, limit)
		ids = append(ids, old...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(len(ids), limit)], err
}

// NoticesOff returns the topics of e-mails that a user has switched off, sorted.
func (r *Records) NoticesOff(ctx context.Context, userID string) ([]string, error) {
	return store.List(ctx, r.db, "list notices that are off", func(row store.Row) (topic string, err error) {
		err = row.Scan(&topic)
		return topic, err
	}, `SELECT topic FROM notices_off WHERE user_id = $1 ORDER BY topic`, userID)
}

// SetNoticesOff switches off these topics, and on all others; idp.ErrNotFound, also for a disabled user.
func (r *Records) SetNoticesOff(ctx context.Context, userID string, topics []string, ev ...idp.Event) error {
	var b store.Batch
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", userID)
	b.Do(`DELETE FROM notices_off WHERE user_id = $1`, userID)
	for _, topic := range topics {
		b.Do(`INSERT INTO notices_off (user_id, topic) VALUES ($1, $2) ON CONFLICT DO NOTHING`, userID, topic)
	}
	b.Events(ev)
	return r.db.RunBatch(ctx, "switch notices", &b)
}
