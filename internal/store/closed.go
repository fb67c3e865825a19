package store

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

const (
	// windowRetention is how long a closed window is kept: longer than any window is open (config: 12 hours at most), so
	// that everything derived from it has expired by then.
	windowRetention = 24 * time.Hour
	// maxWindowFamilies bounds the list for one page.
	maxWindowFamilies = 200
)

// CloseWindow closes the window that an authentication of the user opened for an action class: every family derived
// from the authentication, earlier or later, is read without the class. Closing twice is no error.
func (db *DB) CloseWindow(
	ctx context.Context, userID, authenticationID, class string, now time.Time, ev ...idp.Event,
) error {
	var b batch
	b.Do(`INSERT INTO closed_windows (authentication_id, user_id, classes, closed_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (authentication_id, user_id) DO UPDATE
		SET classes = closed_windows.classes || ' ' || excluded.classes, closed_at = excluded.closed_at`, authenticationID,
		userID, class, ms(now))
	b.events(ev)
	return db.run(ctx, "close window", &b)
}

// RecentFamilies returns the user's live families that were created after a time, newest first, at most 200.
func (db *DB) RecentFamilies(ctx context.Context, userID string, since time.Time) ([]idp.Family, error) {
	rows, err := list(ctx, db, "list families", scanHeld,
		heldQuery+` AND f.user_id = $2 AND f.created_at > $3 ORDER BY f.created_at DESC LIMIT $4`,
		nowMS(), userID, ms(since), maxWindowFamilies)
	families := make([]idp.Family, len(rows))
	for i, h := range rows {
		families[i] = h.family
	}
	return families, err
}
