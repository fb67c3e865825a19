// Package erasure keeps which accounts are to be deleted, and erases them, in the tables of package store.
//
//	Ask ─▶ disabled for directory.DeletionWait ─▶ Remind, a day before the end ─▶ Erase ─▶ Pseudonymise ─▶ forgotten
//	         └─▶ Keep: enabled again
//
// Erase deletes the user with all that belongs to them. Their events stay, because the operator has to account for
// them. Pseudonymise writes a random name into these instead of the user, a few at a time, and takes out what says who
// that was. The pair of user and name is kept until nothing can write another event about the user; then it is deleted
// as well.
package erasure

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// Erasures are those of a store. It is safe for concurrent use.
type Erasures struct{ db *store.DB }

// New returns the erasures of a store.
func New(db *store.DB) *Erasures { return &Erasures{db} }

// A Deletion is a user's wish that their account be deleted.
type Deletion struct {
	UserID     string
	AskedAt    time.Time
	RemindedAt time.Time // zero: not yet
}

// At is the earliest time of the erasure.
func (d Deletion) At() time.Time { return d.AskedAt.Add(directory.DeletionWait) }

const columns = `d.user_id, d.asked_at, d.reminded_at`

func scan(row store.Row) (d Deletion, err error) {
	err = row.Scan(&d.UserID, store.Instant(&d.AskedAt), store.Instant(&d.RemindedAt))
	return d, err
}

// asked are the deletions d of users u who still want it: an admin has neither disabled nor enabled the account since.
const asked = `FROM deletions d JOIN users u ON u.id = d.user_id AND u.disabled_at = d.asked_at`

// Of returns the deletion that the user asked for; idp.ErrNotFound if they did not, or an admin has disabled or enabled
// the account since.
func (e *Erasures) Of(ctx context.Context, userID string) (Deletion, error) {
	return store.One(ctx, e.db, "look for a deletion", scan, `SELECT `+columns+` `+asked+` WHERE d.user_id = $1`, userID)
}

func past(now time.Time, d time.Duration) int64 { return max(store.Millis(now.Add(-d)), 0) }

// Ask disables the account until it is erased, revokes the families, removes the links, and tells the clients that the
// sessions have ended. The sessions themselves are in the ephemeral store: end them after this. Of several callers one
// succeeds, the others get idp.ErrNotFound, as for a disabled user. store.ErrLastOwner if nobody else owns the
// installation; idp.ErrClosed if the account was recovered a short time ago, or a recovery waits.
func (e *Erasures) Ask(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	at := store.Millis(now)
	b.Exclusive("owners")
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", userID)
	b.KeepOwner(userID)
	b.Demand(idp.ErrClosed, `EXISTS (SELECT 1 FROM users WHERE id = $1 AND recovered_at <= $2
		AND recovery_ready_at <= $3)`, userID, past(now, idp.RecoveryClosed), past(now, directory.RecoveryOpen))
	b.Do(`INSERT INTO deletions (user_id, asked_at, reminded_at) VALUES ($1, $2, 0)
		ON CONFLICT (user_id) DO UPDATE SET asked_at = excluded.asked_at, reminded_at = 0`, userID, at)
	b.Do(`UPDATE users SET disabled_at = $2, updated_at = $2 WHERE id = $1`, userID, at)
	b.Do(`UPDATE families SET revoked_at = $2 WHERE user_id = $1 AND revoked_at = 0`, userID, at)
	b.Do(`DELETE FROM links WHERE user_id = $1`, userID)
	b.Logout(userID, now)
	b.Events(ev)
	return e.db.RunLogoutBatch(ctx, "ask for deletion", &b)
}

// wanted holds the user and demands that they still want the deletion.
func wanted(b *store.Batch, userID string) {
	b.Hold(idp.ErrNotFound, "users", "id = $1", userID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 `+asked+` WHERE d.user_id = $1)`, userID)
}

// Keep enables the account again: its user has changed their mind. idp.ErrNotFound unless [Erasures.Of] finds the
// deletion.
func (e *Erasures) Keep(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	wanted(&b, userID)
	b.Do(`DELETE FROM deletions WHERE user_id = $1`, userID)
	b.Do(`UPDATE users SET disabled_at = 0, updated_at = $2 WHERE id = $1`, userID, store.Millis(now))
	b.Events(ev)
	return e.db.RunBatch(ctx, "keep account", &b)
}

// few is how many accounts one call returns; the next call takes the rest.
const few = 100

// ToRemind returns deletions whose users are to be reminded, a day before the end.
func (e *Erasures) ToRemind(ctx context.Context, now time.Time) ([]Deletion, error) {
	return store.List(ctx, e.db, "list deletions to remind of", scan, `SELECT `+columns+` `+asked+`
		WHERE d.reminded_at = 0 AND d.asked_at <= $1 ORDER BY d.asked_at LIMIT $2`,
		past(now, directory.DeletionWait-directory.DeletionReminder), few)
}

// Remind records that the user is reminded; one of several callers succeeds, the others get idp.ErrNotFound.
func (e *Erasures) Remind(ctx context.Context, userID string, now time.Time) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1", userID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM deletions WHERE user_id = $1 AND reminded_at = 0)`, userID)
	b.Do(`UPDATE deletions SET reminded_at = $2 WHERE user_id = $1`, userID, store.Millis(now))
	return e.db.RunBatch(ctx, "remind of deletion", &b)
}

// due is the condition of deletions d that are due at $1 and $2: the wait is over, and the user was reminded a day ago.
// So there is always a day between two looks at the clock: one that has jumped ahead erases nobody.
const due = `d.asked_at <= $1 AND d.reminded_at > 0 AND d.reminded_at <= $2`

// Due returns the users whose accounts are to be erased now.
func (e *Erasures) Due(ctx context.Context, now time.Time) ([]idp.User, error) {
	return store.List(ctx, e.db, "list due deletions", store.ScanUser, `SELECT `+store.UserColumns+` `+asked+`
		WHERE `+due+` ORDER BY d.asked_at LIMIT $3`, past(now, directory.DeletionWait),
		past(now, directory.DeletionReminder), few)
}

// EraseDue is Erase for a user of Due: idp.ErrNotFound if they changed their mind.
func (e *Erasures) EraseDue(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("owners")
	b.Exclusive("user:" + userID)
	wanted(&b, userID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM deletions d WHERE d.user_id = $3 AND `+due+`)`,
		past(now, directory.DeletionWait), past(now, directory.DeletionReminder), userID)
	return e.erase(ctx, &b, userID, now, ev)
}

// Erase deletes a user with all that belongs to them, and tells the clients of their sessions. Pseudonymise then takes
// the user out of the events. The sessions themselves are in the ephemeral store: end them after this. idp.ErrNotFound;
// store.ErrLastOwner if nobody else owns the installation.
func (e *Erasures) Erase(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("owners")
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1", userID)
	b.KeepOwner(userID)
	return e.erase(ctx, &b, userID, now, ev)
}

func (e *Erasures) erase(ctx context.Context, b *store.Batch, userID string, now time.Time, ev []idp.Event) error {
	addresses, err := store.List(ctx, e.db, "list addresses to forget", func(row store.Row) (email string, err error) {
		err = row.Scan(&email)
		return email, err
	}, `SELECT u.email FROM users u WHERE u.id = $1 UNION SELECT a.email FROM addresses a WHERE a.user_id = $1
		UNION SELECT f.email FROM former_addresses f WHERE f.user_id = $1`, userID)
	if err != nil {
		return err
	}
	packed := rows.PackID(userID)
	b.Logout(userID, now)
	b.Do(`INSERT INTO erasures (user_id, pseudonym, erased_at) VALUES ($1, $2, $3)`, userID, newPseudonym(),
		store.Millis(now))
	for _, email := range addresses {
		b.Do(`DELETE FROM mail WHERE recipient = $1`, email)
	}
	b.Do(`DELETE FROM links WHERE user_id = $1`, userID)
	b.Do(`DELETE FROM authentications WHERE user_id = $1`, userID)
	b.Do(`DELETE FROM journal WHERE user_id = $1 AND NOT `+rows.Reported, packed)
	b.Do(`UPDATE journal SET interaction = '', classes = '' WHERE user_id = $1 AND interaction <> ''`, packed)
	b.Do(`DELETE FROM users WHERE id = $1`, userID)
	b.Events(ev)
	return e.db.RunLogoutBatch(ctx, "erase user", b)
}

// newPseudonym returns a random name that reads as what it is.
func newPseudonym() string { return "erased-" + strings.ToLower(rand.Text()[:16]) }
