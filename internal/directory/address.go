package directory

import "time"

const (
	// MaxAddresses is how many e-mail addresses a user can have, with the primary one.
	MaxAddresses = 5
	// AddressUndo is how long a change of the primary address can be undone from the former one. For so long the former
	// one belongs to nobody else.
	AddressUndo = 72 * time.Hour
	// DeletionWait is how long users can change their mind after they asked that their account be deleted, and
	// DeletionReminder how long before the end they are reminded.
	DeletionWait     = 7 * 24 * time.Hour
	DeletionReminder = 24 * time.Hour
)
