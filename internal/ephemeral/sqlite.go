package ephemeral

import (
	"context"
	"errors"
)

// SQLite is the Store of the embedded profile.
type SQLite struct{ Store }

// OpenSQLite opens the file.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	return nil, errors.New("being written")
}
