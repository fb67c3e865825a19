package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/engine"
)

// A Logout is a message to one client that a session has ended (OpenID Connect Back-Channel Logout 1.0). It stays in
// the outbox until it is delivered or given up.
type Logout struct {
	SessionID, ClientID, UserID string
	CreatedAt                   time.Time // when the session ended
	Attempts                    int       // including the current claim
	LastError                   string
}

const logoutColumns = `session_id, client_id, user_id, created_at, attempts, last_error`

func scanLogout(row pgx.CollectableRow) (l Logout, err error) {
	err = row.Scan(&l.SessionID, &l.ClientID, &l.UserID, (*instant)(&l.CreatedAt), &l.Attempts, &l.LastError)
	return l, err
}

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

// WatchedSessions returns sessions that are due for a check, a few at a time.
func (db *DB) WatchedSessions(ctx context.Context, now time.Time, limit int) ([]string, error) {
	sids, err := list(ctx, db, "list watched sessions", pgx.RowTo[string],
		`SELECT session_id FROM session_clients WHERE check_at <= $1 ORDER BY check_at LIMIT $2`, ms(now), limit)
	slices.Sort(sids)
	return slices.Compact(sids), err
}

// SettleSessions stores the result of checking watched sessions: live ones are checked again at their time; gone ones
// have expired, and their clients are put into the outbox. The tokens of an expired session are left to their own,
// shorter lifetimes.
func (db *DB) SettleSessions(ctx context.Context, alive map[string]time.Time, gone []string, now time.Time) error {
	var b batch
	for sid, again := range alive {
		b.Do(`UPDATE session_clients SET check_at = $2 WHERE session_id = $1`, sid, ms(again))
	}
	for _, sid := range gone {
		b.logout(`session_id = $1`, sid, now)
	}
	return db.runLogout(ctx, "settle sessions", &b)
}

// ClientsToTell returns the clients with a logout that is due. It steps from client to client in the index, so that a
// long backlog of one client costs no more than a short one.
func (db *DB) ClientsToTell(ctx context.Context, now time.Time) ([]string, error) {
	return list(ctx, db, "list clients to tell", pgx.RowTo[string], `WITH RECURSIVE waiting (id) AS (
			SELECT min(client_id) FROM logout_outbox
			UNION ALL SELECT (SELECT min(o.client_id) FROM logout_outbox o WHERE o.client_id > waiting.id) FROM waiting
			WHERE waiting.id IS NOT NULL)
		SELECT id FROM waiting WHERE id IS NOT NULL AND EXISTS (SELECT 1 FROM logout_outbox o WHERE o.client_id = waiting.id
		AND o.next_at <= $1)`, ms(now))
}

// ClaimLogout returns the client's logout that has been due longest, and counts the attempt. No other caller gets it
// during the lease. idp.ErrNotFound if none is due, or another caller was faster.
func (db *DB) ClaimLogout(ctx context.Context, clientID string, now time.Time, lease time.Duration) (Logout, error) {
	var b batch
	var l Logout
	var won bool
	b.Read(engine.Into(&l, &won, scanLogout), `UPDATE logout_outbox SET next_at = $3, attempts = attempts + 1
		WHERE client_id = $1 AND next_at <= $2 AND session_id =
			(SELECT session_id FROM logout_outbox WHERE client_id = $1 AND next_at <= $2 ORDER BY next_at, session_id LIMIT 1)
		RETURNING `+logoutColumns, clientID, ms(now), ms(now.Add(lease)))
	err := db.run(ctx, "claim logout", &b)
	if err == nil && !won {
		err = stepErr("claim logout", idp.ErrNotFound)
	}
	return l, err
}

// FinishLogout ends a claim: the logout was delivered, or is no longer needed. If the session has ended again since the
// claim, the logout stays in the outbox.
func (db *DB) FinishLogout(ctx context.Context, l Logout) error {
	var b batch
	b.Do(`DELETE FROM logout_outbox WHERE session_id = $1 AND client_id = $2 AND attempts = $3 AND created_at = $4`,
		l.SessionID, l.ClientID, l.Attempts, ms(l.CreatedAt))
	return db.run(ctx, "finish logout", &b)
}

// PostponeLogout ends a claim without success: the logout is due again at next. If the client could not be reached at
// all, its other logouts wait as long: the next attempt decides for all of them.
func (db *DB) PostponeLogout(ctx context.Context, l Logout, failure string, next time.Time, unreachable bool) error {
	var b batch
	b.Do(`UPDATE logout_outbox SET next_at = $4, last_error = $5 WHERE session_id = $1 AND client_id = $2
		AND attempts = $3 AND created_at = $6`,
		l.SessionID, l.ClientID, l.Attempts, ms(next), failure, ms(l.CreatedAt))
	if unreachable {
		b.Do(`UPDATE logout_outbox SET next_at = $2, last_error = $3 WHERE client_id = $1 AND next_at < $2`, l.ClientID,
			ms(next), failure)
	}
	return db.run(ctx, "postpone logout", &b)
}

// GiveUpLogouts removes at most limit logouts that were created before a time, each with its event, and returns how
// many. One replica at a time calls it.
func (db *DB) GiveUpLogouts(
	ctx context.Context, before time.Time, limit int, event func(Logout) idp.Event,
) (int, error) {
	old, err := list(ctx, db, "list old logouts", scanLogout,
		`SELECT `+logoutColumns+` FROM logout_outbox WHERE created_at <= $1 ORDER BY created_at LIMIT $2`, ms(before), limit)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	var b batch
	for _, l := range old {
		b.Do(`DELETE FROM logout_outbox WHERE session_id = $1 AND client_id = $2`, l.SessionID, l.ClientID)
		b.events([]idp.Event{event(l)})
	}
	return len(old), db.run(ctx, "give up logouts", &b)
}
