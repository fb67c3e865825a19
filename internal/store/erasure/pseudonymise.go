package erasure

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

const (
	// bite is how many events one statement changes at most, so that it never holds locks, or SQLite's one writer, for
	// long.
	bite = 500
	// remembered is how long the pair of user and pseudonym is kept: longer than a logout waits in the outbox, whose end
	// is an event about the user.
	remembered = 48 * time.Hour
)

// An erased is a user who was erased.
type erased struct {
	userID, pseudonym string
	at                time.Time
}

// Pseudonymise takes erased users out of the events: all events that there are now. It forgets pairs that are old
// enough. It can be repeated at any time, and goes on where it was interrupted.
func (e *Erasures) Pseudonymise(ctx context.Context, now time.Time) error {
	users, err := store.List(ctx, e.db, "list erased users", func(row store.Row) (u erased, err error) {
		err = row.Scan(&u.userID, &u.pseudonym, store.Instant(&u.at))
		return u, err
	}, `SELECT user_id, pseudonym, erased_at FROM erasures WHERE erased_at > 0 ORDER BY erased_at`)
	if err != nil {
		return err
	}
	for _, u := range users {
		if err := e.pseudonymise(ctx, u, now.Add(-remembered)); err != nil {
			return err
		}
	}
	return nil
}

// places are the statements that take a user out of the events. Each takes the user, the pseudonym and the size of a
// bite, and returns a row for each event that it changed. The address and the browser of an event are the actor's, if
// there is one. Names of passkeys, groups and people are in the detail.
var (
	places = []string{
		`UPDATE journal SET user_id = $2, address = CASE WHEN length(actor_id) = 0 THEN '' ELSE address END,
			agent = CASE WHEN length(actor_id) = 0 THEN '' ELSE agent END, ` + nameless + `
			WHERE id IN (SELECT id FROM journal WHERE user_id = $1 LIMIT $3) RETURNING 1`,
		`UPDATE journal SET actor_id = $2, address = '', agent = ''
			WHERE id IN (SELECT id FROM journal WHERE length(actor_id) > 0 AND actor_id = $1 LIMIT $3) RETURNING 1`,
	}
	oldPlaces = []string{
		`UPDATE events SET actor_id = $2, address = '', agent = ''
			WHERE id IN (SELECT id FROM events WHERE actor_id <> '' AND actor_id = $1 LIMIT $3) RETURNING 1`,
		`UPDATE events SET user_id = $2, address = CASE WHEN actor_id = '' THEN '' ELSE address END,
			agent = CASE WHEN actor_id = '' THEN '' ELSE agent END, ` + nameless + `
			WHERE id IN (SELECT id FROM events WHERE user_id <> '' AND user_id = $1 LIMIT $3) RETURNING 1`,
	}
)

const nameless = `detail = CASE WHEN detail LIKE '%"name":%' OR detail LIKE '%"email":%' THEN '' ELSE detail END`

func (e *Erasures) pseudonymise(ctx context.Context, u erased, forget time.Time) error {
	for _, sql := range places {
		if err := e.replace(ctx, sql, rows.PackID(u.userID), rows.PackID(u.pseudonym)); err != nil {
			return err
		}
	}
	if e.db.OldEvents() {
		for _, sql := range oldPlaces {
			if err := e.replace(ctx, sql, u.userID, u.pseudonym); err != nil {
				return err
			}
		}
	}
	if u.at.After(forget) {
		return nil
	}
	var b store.Batch
	b.Do(`DELETE FROM erasures WHERE user_id = $1`, u.userID)
	return e.db.RunBatch(ctx, "forget erased user", &b)
}

// replace runs a statement until it changes nothing.
func (e *Erasures) replace(ctx context.Context, sql string, user, pseudonym any) error {
	for {
		var b store.Batch
		changed := 0
		b.Read(func(found store.Rows) error {
			for found.Next() {
				changed++
			}
			return nil
		}, sql, user, pseudonym, bite)
		if err := e.db.RunBatch(ctx, "take erased user out of events", &b); err != nil {
			return err
		}
		if changed == 0 {
			return nil
		}
	}
}
