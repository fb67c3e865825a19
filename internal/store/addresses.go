package store

import (
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/rows"
)

// freeAddress demands that an address can be the user's: it is not among the further addresses of another user, and no
// other user can get it back by undoing a change. idp.ErrConflict. Primary addresses have a constraint.
func (b *batch) freeAddress(userID, email string, now time.Time) {
	b.Exclusive("email:" + email) // an address is added to either table, and each must see the other
	b.Demand(idp.ErrConflict, rows.FreeAddress, userID, email, max(ms(now.Add(-directory.AddressUndo)), 0))
}

// FreeAddress is for package addresses; see freeAddress.
func (b *Batch) FreeAddress(userID, email string, now time.Time) { b.freeAddress(userID, email, now) }

// UndoableAddress records that the user's primary address is about to change, and the hash of the link with which the
// former one undoes that. An address that was never confirmed gets none.
func (b *Batch) UndoableAddress(userID, link string, now time.Time) {
	b.Do(`INSERT INTO address_changes (id, user_id, email, link, changed_at)
		SELECT CAST($2 AS TEXT), u.id, u.email, CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM users u
			WHERE u.id = $1 AND u.email_verified`, userID, idp.NewID(), link, ms(now))
}
