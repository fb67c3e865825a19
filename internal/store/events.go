package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/rows"
)

func scanJournal(row pgx.CollectableRow) (idp.Event, error) { return rows.ReadJournal(row) }
func scanEvent(row pgx.CollectableRow) (idp.Event, error)   { return rows.ReadEvent(row) }

// events adds the events of a change to its transaction.
func (b *batch) events(events []idp.Event) { b.ev = append(b.ev, events...) }

// writeEvents adds the statements that write the events.
func (b *batch) writeEvents(compact bool) {
	rows.Mark(b.ev, b.Do)
	for _, e := range b.ev {
		if compact {
			b.journal(e, nil)
			continue
		}
		b.Do(`INSERT INTO events (`+rows.EventColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			rows.Event(e)...)
	}
	b.ev = nil
}

func (b *batch) journal(e idp.Event, a *idp.Authentication) {
	b.Do(`INSERT INTO journal (`+rows.JournalColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, rows.Journal(e, a)...)
}

// authentication writes an authentication in the row of the event that reports it.
func (b *batch) authentication(a idp.Authentication, passkeyID string, ev []idp.Event) {
	e := idp.Event{UserID: a.UserID, PasskeyID: passkeyID}
	i := slices.IndexFunc(ev, func(e idp.Event) bool {
		return (e.Kind == idp.EventSignedIn || e.Kind == idp.EventSteppedUp) &&
			e.UserID == a.UserID && e.PasskeyID == passkeyID
	})
	if i >= 0 {
		e, ev = ev[i], slices.Delete(slices.Clone(ev), i, i+1)
	}
	b.journal(e, &a)
	b.events(ev)
}

// RecordEvents writes events that belong to no other change. Without events it makes no round trip.
func (db *DB) RecordEvents(ctx context.Context, ev ...idp.Event) error {
	if len(ev) == 0 {
		return nil
	}
	var b batch
	b.events(ev)
	return db.run(ctx, "record events", &b)
}

// EventsOf returns the events about a user, newest first.
func (db *DB) EventsOf(ctx context.Context, userID string, limit int) ([]idp.Event, error) {
	if userID == "" {
		return nil, nil
	}
	events, err := list(ctx, db, "list events of user", scanJournal, `SELECT `+rows.JournalColumns+` FROM journal
		WHERE user_id = $1 AND `+rows.Reported+` ORDER BY at DESC, id DESC LIMIT $2`, rows.PackID(userID), limit)
	if err != nil || !db.oldEvents.Load() {
		return events, err
	}
	old, err := list(ctx, db, "list events of user", scanEvent,
		`SELECT `+rows.EventColumns+` FROM events WHERE user_id <> '' AND user_id = $1 ORDER BY at DESC, id DESC LIMIT $2`,
		userID, limit)
	return merged(events, old, limit, func(a, b idp.Event) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID))
	}), err
}

// Events returns all events in the order of their IDs, beginning after the given one; "" begins at the oldest. Each
// replica makes IDs from its own clock, so an event may still appear before one that was already read: callers that
// follow the end must overlap by a minute.
func (db *DB) Events(ctx context.Context, afterID string, limit int) ([]idp.Event, error) {
	events, err := list(ctx, db, "list events", scanJournal, `SELECT `+rows.JournalColumns+` FROM journal
		WHERE id > $1 AND `+rows.Reported+` ORDER BY id LIMIT $2`, rows.PackID(afterID), limit)
	if err != nil || !db.oldEvents.Load() {
		return events, err
	}
	old, err := list(ctx, db, "list events", scanEvent,
		`SELECT `+rows.EventColumns+` FROM events WHERE id > $1 ORDER BY id LIMIT $2`, afterID, limit)
	return merged(events, old, limit, func(a, b idp.Event) int { return strings.Compare(a.ID, b.ID) }), err
}

// merged returns the first events of both lists, in this order.
func merged(a, b []idp.Event, limit int, order func(a, b idp.Event) int) []idp.Event {
	all := append(a, b...)
	slices.SortStableFunc(all, order)
	return all[:min(len(all), limit)]
}
