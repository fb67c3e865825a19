package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/idp"
)

// Errors of the engines, beside those of idp.
var (
	// ErrOlderSchema says that a statement names a table that is not there: the migrations have to run first.
	ErrOlderSchema = errors.New("the database is not migrated")
	// ErrInUse says that another process holds the data folder.
	ErrInUse = errors.New("the data folder is in use by another process")
	// ErrBusy is an idp.ErrUnavailable of a database that answers: it gave up this statement.
	ErrBusy = fmt.Errorf("%w: busy", idp.ErrUnavailable)
)

// translateOther handles what is no answer of an engine. A caller who went away gets its own context's error; a
// deadline that passed while the store was silent is the store's fault as far as anybody can tell.
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
