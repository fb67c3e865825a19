package recoveries

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

func scanCode(row store.Row) (c idp.RecoveryCode, err error) {
	err = row.Scan(&c.Hash, &c.KeyID, store.Instant(&c.CreatedAt))
	return c, err
}

// ReplaceCodes replaces a user's recovery codes. idp.ErrNotFound, also for a disabled user; idp.ErrClosed after
// a recovery.
func ReplaceCodes(
	ctx context.Context, db *store.DB, userID string, codes []idp.RecoveryCode, now time.Time, ev ...idp.Event,
) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0", userID)
	b.Demand(idp.ErrClosed, "EXISTS (SELECT 1 FROM users WHERE id = $1 AND recovered_at <= $2)", userID,
		max(store.Millis(now.Add(-idp.RecoveryClosed)), 0))
	b.Do(`DELETE FROM recovery_codes WHERE user_id = $1`, userID)
	for _, c := range codes {
		b.Do(`INSERT INTO recovery_codes (hash, user_id, key_id, created_at) VALUES ($1, $2, $3, $4)`, c.Hash, userID,
			c.KeyID, store.Millis(c.CreatedAt))
	}
	b.Events(ev)
	return db.RunBatch(ctx, "store recovery codes", &b)
}

// CodesOf returns the recovery codes that a user has left.
func CodesOf(ctx context.Context, db *store.DB, userID string) ([]idp.RecoveryCode, error) {
	return store.List(ctx, db, "list recovery codes", scanCode,
		`SELECT hash, key_id, created_at FROM recovery_codes WHERE user_id = $1 ORDER BY hash`, userID)
}

// RedeemableCodes returns the codes that can recover this user now, with this address: none if the user is disabled,
// has not confirmed the address, or failed too often in a row.
func RedeemableCodes(ctx context.Context, db *store.DB, userID, email string) ([]idp.RecoveryCode, error) {
	return store.List(ctx, db, "list redeemable codes", scanCode,
		`SELECT c.hash, c.key_id, c.created_at FROM recovery_codes c JOIN users u ON u.id = c.user_id
			WHERE c.user_id = $1 AND u.disabled_at = 0 AND `+rows.Proven("u", "$3")+` AND u.recovery_failures < $2
			ORDER BY c.hash`, userID, directory.MaxRecoveryFailures, email)
}

// TakeCode uses up a recovery code, and resets the count of failures. One of several callers succeeds, the
// others get idp.ErrNotFound. So do all if the user was disabled, or no longer has the address that got the mailed
// code.
func TakeCode(ctx context.Context, db *store.DB, userID, email, hash string, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("user:" + userID)
	b.Hold(idp.ErrNotFound, "users", "id = $1 AND disabled_at = 0 AND "+rows.Proven("users", "$2"), userID, email)
	b.Demand(idp.ErrNotFound, "EXISTS (SELECT 1 FROM recovery_codes WHERE hash = $1 AND user_id = $2)", hash, userID)
	b.Do(`DELETE FROM recovery_codes WHERE hash = $1`, hash)
	b.Do(`UPDATE users SET recovery_failures = 0 WHERE id = $1`, userID)
	b.Events(ev)
	return db.RunBatch(ctx, "take recovery code", &b)
}

// Fail counts a failed recovery. An unknown user ID is no error: an unknown account costs the same work.
func Fail(ctx context.Context, db *store.DB, userID string, ev ...idp.Event) error {
	var b store.Batch
	b.Do(`UPDATE users SET recovery_failures = recovery_failures + 1 WHERE id = $1`, userID)
	b.Events(ev)
	return db.RunBatch(ctx, "count failed recovery", &b)
}
