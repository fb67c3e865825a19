package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/idp"
)

// translateOther handles what is no answer of an engine. A caller who went away gets its own context's error; a deadline that
// passed while the store was silent is the store's fault as far as anybody can tell.
func translateOther(ctx context.Context, err error, connectionLost bool) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case connectionLost, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %v", idp.ErrUnavailable, err)
	default:
		return errors.New(err.Error()) // a fault of ours; the text is for the log
	}
}
