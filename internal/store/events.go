package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

const eventColumns = `id, at, kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent, request_id,
	detail`

func scanEvent(row pgx.CollectableRow) (e idp.Event, err error) {
	err = row.Scan(&e.ID, (*instant)(&e.At), (*string)(&e.Kind), &e.UserID, &e.ActorID, &e.ClientID, &e.SessionID,
		&e.PasskeyID,
		&e.Address, &e.Agent, &e.RequestID, &document{&e.Detail})
	return e, err
}

// events adds the events of a change to its transaction.
func (b *batch) events(events []idp.Event) {
	for _, e := range events {
		b.Do(`INSERT INTO events (`+eventColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			e.ID, ms(e.At), string(e.Kind), e.UserID, e.ActorID, e.ClientID, e.SessionID, e.PasskeyID, e.Address, e.Agent,
			e.RequestID, text(e.Detail))
	}
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
	return list(ctx, db, "list events of user", scanEvent,
		`SELECT `+eventColumns+` FROM events WHERE user_id <> '' AND user_id = $1 ORDER BY at DESC, id DESC LIMIT $2`,
		userID, limit)
}

// Events returns all events in the order of their IDs, beginning after the given one; "" begins at the oldest. Each
// replica makes IDs from its own clock, so an event may still appear before one that was already read: callers that
// follow the end must overlap by a minute.
func (db *DB) Events(ctx context.Context, afterID string, limit int) ([]idp.Event, error) {
	return list(ctx, db, "list events", scanEvent,
		`SELECT `+eventColumns+` FROM events WHERE id > $1 ORDER BY id LIMIT $2`, afterID, limit)
}
