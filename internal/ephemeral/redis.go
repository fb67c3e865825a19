package ephemeral

import (
	"context"
	"errors"
)

// Redis is the Store of the production profile.
type Redis struct{ Store }

// OpenRedis connects.
func OpenRedis(ctx context.Context, url string) (*Redis, error) {
	return nil, errors.New("being written")
}
