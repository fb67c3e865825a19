// Package recoveries keeps recovery codes, the recoveries of accounts that wait, and the links with which an account
// can be recovered, in the tables of package store. What a finished recovery changes is in package store itself
// ([store.DB.Recover]).
package recoveries

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// Recoveries are those of a store. It is safe for concurrent use.
type Recoveries struct{ db *store.DB }

// New returns the recoveries of a store.
func New(db *store.DB) *Recoveries { return &Recoveries{db} }

func scan[T any](row store.Row) (v T, err error) {
	err = row.Scan(&v)
	return v, err
}

// mayRecoverByEmail is the condition that a user may recover the account by e-mail alone. The last parameter is
// directory.MaxRecoveryFailures.
var mayRecoverByEmail = `id = $1 AND disabled_at = 0 AND ` + rows.Proven("users", "$2") + ` AND role = ''
	AND recovery_failures < $3`

// MayUseEMail reports whether the user with this confirmed address may recover the account by e-mail alone: they
// are not disabled, have no role, and did not fail too often in a row. False if there is no such user.
func (r *Recoveries) MayUseEMail(ctx context.Context, userID, email string) (bool, error) {
	return store.One(ctx, r.db, "look for a recovery by e-mail", scan[bool],
		`SELECT EXISTS (SELECT 1 FROM users WHERE `+mayRecoverByEmail+`)`, userID, email, directory.MaxRecoveryFailures)
}

// Hold begins a recovery by e-mail alone, which can be finished from ready on. stop is the hash of the link that
// stops it. idp.ErrConflict if one waits already, idp.ErrClosed if the owner stopped one lately, idp.ErrNotFound unless
// MayUseEMail.
func (r *Recoveries) Hold(
	ctx context.Context, userID, email, stop string, ready, now time.Time, ev ...idp.Event,
) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", mayRecoverByEmail, userID, email, directory.MaxRecoveryFailures)
	b.Demand(idp.ErrConflict, "EXISTS (SELECT 1 FROM users WHERE id = $1 AND recovery_ready_at <= $2)", userID,
		max(store.Millis(now.Add(-directory.RecoveryOpen)), 0))
	b.Demand(idp.ErrClosed, "EXISTS (SELECT 1 FROM users WHERE id = $1 AND recovery_stopped_at <= $2)", userID,
		max(store.Millis(now.Add(-directory.RecoveryStopped)), 0))
	b.Do(`UPDATE users SET recovery_ready_at = $2, recovery_stop = $3 WHERE id = $1`, userID, store.Millis(ready), stop)
	b.Do(`INSERT INTO recovery_reminders (user_id, due_at) VALUES ($1, $2)
		ON CONFLICT (user_id) DO UPDATE SET due_at = excluded.due_at`, userID, store.Millis(now.Add(ready.Sub(now)/2)))
	b.Events(ev)
	return r.db.RunBatch(ctx, "hold recovery", &b)
}

// DueReminders returns the users whose recovery has waited half of its time, and who have not been reminded; at most
// 100.
func (r *Recoveries) DueReminders(ctx context.Context, now time.Time) ([]string, error) {
	return store.List(ctx, r.db, "list reminders", scan[string],
		`SELECT user_id FROM recovery_reminders WHERE due_at <= $1 ORDER BY due_at LIMIT 100`, store.Millis(now))
}

// ClaimReminder puts a reminder off until again, in case it is not sent now. One of several callers succeeds, the
// others get idp.ErrNotFound.
func (r *Recoveries) ClaimReminder(ctx context.Context, userID string, now, again time.Time) error {
	var b store.Batch
	b.Do(`UPDATE recovery_reminders SET due_at = due_at WHERE user_id = $1`, userID) // waits for other callers
	b.Demand(idp.ErrNotFound, "EXISTS (SELECT 1 FROM recovery_reminders WHERE user_id = $1 AND due_at <= $2)", userID,
		store.Millis(now))
	b.Do(`UPDATE recovery_reminders SET due_at = $2 WHERE user_id = $1`, userID, store.Millis(again))
	return r.db.RunBatch(ctx, "claim reminder", &b)
}

// EndReminder removes a reminder that was sent, or is not needed any more.
func (r *Recoveries) EndReminder(ctx context.Context, userID string, ev ...idp.Event) error {
	var b store.Batch
	b.Do(`DELETE FROM recovery_reminders WHERE user_id = $1`, userID)
	b.Events(ev)
	return r.db.RunBatch(ctx, "end reminder", &b)
}

// OpenHeld records that a recovery by e-mail alone goes on after its wait. idp.ErrNotFound if it was stopped, its
// time is not yet there or over, or unless MayUseEMail.
func (r *Recoveries) OpenHeld(ctx context.Context, userID, email string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", mayRecoverByEmail, userID, email, directory.MaxRecoveryFailures)
	b.Demand(idp.ErrNotFound,
		"EXISTS (SELECT 1 FROM users WHERE id = $1 AND recovery_ready_at > $2 AND recovery_ready_at <= $3)", userID,
		store.Millis(now.Add(-directory.RecoveryOpen)), store.Millis(now))
	b.Events(ev)
	return r.db.RunBatch(ctx, "open held recovery", &b)
}

// UserByStopLink returns the user whose recovery the link with this hash stops; idp.ErrNotFound.
func (r *Recoveries) UserByStopLink(ctx context.Context, hash string) (idp.User, error) {
	return store.One(ctx, r.db, "find recovery to stop", store.ScanUser,
		`SELECT `+store.UserColumns+` FROM users u WHERE u.recovery_stop <> '' AND u.recovery_stop = $1`, hash)
}

// Stop stops the recovery by e-mail alone that waits; for directory.RecoveryStopped none can begin. One of several
// callers succeeds, the others get idp.ErrNotFound.
func (r *Recoveries) Stop(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND recovery_ready_at > 0", userID)
	b.Do(`UPDATE users SET recovery_ready_at = 0, recovery_stop = '', recovery_stopped_at = $2 WHERE id = $1`, userID,
		store.Millis(now))
	b.Events(ev)
	return r.db.RunBatch(ctx, "stop recovery", &b)
}
