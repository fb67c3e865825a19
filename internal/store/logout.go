package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/engine"
)

// watch records that a client wants to hear of the end of a session.
func (b *batch) watch(f idp.Family) {
	b.Do(`INSERT INTO session_clients (session_id, client_id, user_id, check_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (session_id, client_id) DO NOTHING`,
		f.SessionID, f.ClientID, f.UserID, ms(f.WatchFrom))
}

// logout moves the clients of sessions into the outbox, in the transaction that ends the sessions: both happen or
// neither. A client that was recorded between the two statements stays, and the next check finds its session gone.
func (b *batch) logout(condition, key string, now time.Time) {
	b.Do(`INSERT INTO logout_outbox (session_id, client_id, user_id, created_at, next_at, attempts, last_error)
		SELECT session_id, client_id, user_id, $2, $2, 0, '' FROM session_clients WHERE `+condition+`
		ON CONFLICT (session_id, client_id) DO UPDATE
		SET created_at = excluded.created_at, next_at = excluded.next_at, attempts = 0`, key, ms(now))
	b.Do(`DELETE FROM session_clients WHERE `+condition+` AND EXISTS (SELECT 1 FROM logout_outbox o
		WHERE o.session_id = session_clients.session_id AND o.client_id = session_clients.client_id)`, key)
}

// runLogout executes a batch that may have filled the outbox.
func (db *DB) runLogout(ctx context.Context, step string, b *batch) error {
	err := db.run(ctx, step, b)
	if err == nil {
		select {
		case db.logouts <- struct{}{}:
		default:
		}
	}
	return err
}

// LogoutsQueued receives a token after this process may have added to the outbox. Additions of other replicas are found
// by polling.
func (db *DB) LogoutsQueued() <-chan struct{} { return db.logouts }

// EndSession is the durable half of ending a session of a user. It revokes the session's families, except those with
// offline_access, lets no code or device code bring new ones, and puts the clients that want to hear of the end into
// the outbox. It returns those clients. A session with neither families nor clients is no error: its events are stored.
func (db *DB) EndSession(
	ctx context.Context, userID, sid string, now time.Time, ev ...idp.Event,
) (clientIDs []string, err error) {
	var b batch
	b.Exclusive("session:" + sid)
	b.end(sid, now)
	b.Do(`UPDATE families SET revoked_at = $3 WHERE user_id = $1 AND session_id <> '' AND session_id = $2
		AND NOT offline AND revoked_at = 0`, userID, sid, ms(now))
	b.Read(engine.Collect(&clientIDs, pgx.RowTo[string]),
		`SELECT client_id FROM session_clients WHERE session_id = $1 ORDER BY client_id`, sid)
	b.logout(`session_id = $1`, sid, now)
	b.events(ev)
	err = db.runLogout(ctx, "end session", &b)
	return clientIDs, err
}
