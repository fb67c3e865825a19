package directory

import "time"

const (
	// MinRecoveryHold and MaxRecoveryHold bound how long a recovery by e-mail alone waits, so that its owner can stop it.
	MinRecoveryHold = 24 * time.Hour
	MaxRecoveryHold = 72 * time.Hour
	// RecoveryOpen is how long such a recovery can be finished after its wait.
	RecoveryOpen = 72 * time.Hour
	// RecoveryStopped is how long none can begin after the owner stopped one: the person who reads the mailbox would try
	// again.
	RecoveryStopped = 7 * 24 * time.Hour
	// FormerAddressTold is how long a confirmed address that the user left is still told of recoveries.
	FormerAddressTold = 72 * time.Hour
	// MaxPINTries is how many tries the PIN of a recovery link has.
	MaxPINTries = 5
	// MaxRecoveryFailures is how many recoveries in a row may fail before only an admin can help (NIST SP 800-63B-4
	// §3.2.2).
	MaxRecoveryFailures = 100
)

// RecoveryWaits reports whether a recovery by e-mail alone that is ready at a time waits, or can be finished now. The
// zero time means that there is none.
func RecoveryWaits(ready, now time.Time) bool {
	return !ready.IsZero() && now.Before(ready.Add(RecoveryOpen))
}
