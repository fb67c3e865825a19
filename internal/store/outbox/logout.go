package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
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

func scanLogout(row store.Row) (l Logout, err error) {
	err = row.Scan(&l.SessionID, &l.ClientID, &l.UserID, store.Instant(&l.CreatedAt), &l.Attempts, &l.LastError)
	return l, err
}

// WatchedSessions returns sessions that are due for a check, a few at a time.
func WatchedSessions(ctx context.Context, db *store.DB, now time.Time, limit int) ([]string, error) {
	sids, err := store.List(ctx, db, "list watched sessions", scanText,
		`SELECT session_id FROM session_clients WHERE check_at <= $1 ORDER BY check_at LIMIT $2`, store.Millis(now), limit)
	slices.Sort(sids)
	return slices.Compact(sids), err
}

// SettleSessions stores the result of checking watched sessions: live ones are checked again at their time; gone ones
// have expired, and their clients are put into the outbox. The tokens of an expired session are left to their own,
// shorter lifetimes.
func SettleSessions(
	ctx context.Context, db *store.DB, alive map[string]time.Time, gone []string, now time.Time,
) error {
	var b store.Batch
	for sid, again := range alive {
		b.Do(`UPDATE session_clients SET check_at = $2 WHERE session_id = $1`, sid, store.Millis(again))
	}
	for _, sid := range gone {
		b.LogoutOfSession(sid, now)
	}
	return db.RunLogoutBatch(ctx, "settle sessions", &b)
}

// ClientsToTell returns the clients with a logout that is due. It steps from client to client in the index, so that a
// long backlog of one client costs no more than a short one.
func ClientsToTell(ctx context.Context, db *store.DB, now time.Time) ([]string, error) {
	return store.List(ctx, db, "list clients to tell", scanText, `WITH RECURSIVE waiting (id) AS (
			SELECT min(client_id) FROM logout_outbox
			UNION ALL SELECT (SELECT min(o.client_id) FROM logout_outbox o WHERE o.client_id > waiting.id) FROM waiting
			WHERE waiting.id IS NOT NULL)
		SELECT id FROM waiting WHERE id IS NOT NULL AND EXISTS (SELECT 1 FROM logout_outbox o WHERE o.client_id = waiting.id
		AND o.next_at <= $1)`, store.Millis(now))
}

// ClaimLogout returns the client's logout that has been due longest, and counts the attempt. No other caller gets it
// during the lease. idp.ErrNotFound if none is due, or another caller was faster.
func ClaimLogout(
	ctx context.Context, db *store.DB, clientID string, now time.Time, lease time.Duration,
) (Logout, error) {
	var b store.Batch
	var l Logout
	var won bool
	b.Read(engine.Into(&l, &won, scanLogout), `UPDATE logout_outbox SET next_at = $3, attempts = attempts + 1
		WHERE client_id = $1 AND next_at <= $2 AND session_id =
			(SELECT session_id FROM logout_outbox WHERE client_id = $1 AND next_at <= $2 ORDER BY next_at, session_id LIMIT 1)
		RETURNING `+logoutColumns, clientID, store.Millis(now), store.Millis(now.Add(lease)))
	err := db.RunBatch(ctx, "claim logout", &b)
	if err == nil && !won {
		err = fmt.Errorf("claim logout: %w", idp.ErrNotFound)
	}
	return l, err
}

// FinishLogout ends a claim: the logout was delivered, or is no longer needed. If the session has ended again since the
// claim, the logout stays in the outbox.
func FinishLogout(ctx context.Context, db *store.DB, l Logout) error {
	var b store.Batch
	b.Do(`DELETE FROM logout_outbox WHERE session_id = $1 AND client_id = $2 AND attempts = $3 AND created_at = $4`,
		l.SessionID, l.ClientID, l.Attempts, store.Millis(l.CreatedAt))
	return db.RunBatch(ctx, "finish logout", &b)
}

// PostponeLogout ends a claim without success: the logout is due again at next. If the client could not be reached at
// all, its other logouts wait as long: the next attempt decides for all of them.
func PostponeLogout(
	ctx context.Context, db *store.DB, l Logout, failure string, next time.Time, unreachable bool,
) error {
	var b store.Batch
	b.Do(`UPDATE logout_outbox SET next_at = $4, last_error = $5 WHERE session_id = $1 AND client_id = $2
		AND attempts = $3 AND created_at = $6`,
		l.SessionID, l.ClientID, l.Attempts, store.Millis(next), failure, store.Millis(l.CreatedAt))
	if unreachable {
		b.Do(`UPDATE logout_outbox SET next_at = $2, last_error = $3 WHERE client_id = $1 AND next_at < $2`, l.ClientID,
			store.Millis(next), failure)
	}
	return db.RunBatch(ctx, "postpone logout", &b)
}

// GiveUpLogouts removes at most limit logouts that were created before a time, each with its event, and returns how
// many. One replica at a time calls it.
func GiveUpLogouts(
	ctx context.Context, db *store.DB, before time.Time, limit int, event func(Logout) idp.Event,
) (int, error) {
	old, err := store.List(ctx, db, "list old logouts", scanLogout,
		`SELECT `+logoutColumns+` FROM logout_outbox WHERE created_at <= $1 ORDER BY created_at LIMIT $2`,
		store.Millis(before), limit)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	var b store.Batch
	for _, l := range old {
		b.Do(`DELETE FROM logout_outbox WHERE session_id = $1 AND client_id = $2`, l.SessionID, l.ClientID)
		b.Events([]idp.Event{event(l)})
	}
	return len(old), db.RunBatch(ctx, "give up logouts", &b)
}
