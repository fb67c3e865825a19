package idp

import "time"

// RecoveryClosed is how long after a recovery an account stays partly closed: its other passkeys can be neither
// removed nor trusted again, recovery codes cannot be replaced, and no passkey reaches phrh. That is the time in which
// the owner reads the notice.
const RecoveryClosed = 24 * time.Hour

// A RecoveryCode is what is stored of a saved recovery code: its keyed hash, and which key that was.
type RecoveryCode struct {
	Hash, KeyID string
	CreatedAt   time.Time
}

// ClosedUntil returns when the user may again do what a recovery closes; the zero time if nothing is closed now.
func (u User) ClosedUntil(now time.Time) time.Time {
	until := u.RecoveredAt.Add(RecoveryClosed)
	if u.RecoveredAt.IsZero() || !now.Before(until) {
		return time.Time{}
	}
	return until
}

// Suspended reports whether the passkey opens nothing, because its account was recovered after it was made.
func (p Passkey) Suspended() bool { return !p.SuspendedAt.IsZero() }
