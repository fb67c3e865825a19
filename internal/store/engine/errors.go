package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/idp"
)

// Errors of the engines; the others are in idp.
var (
	// ErrOlderSchema means that a statement names a missing table: run the migrations first.
	ErrOlderSchema = errors.New("the database is not migrated")
	// ErrInUse means that another process holds the data folder.
	ErrInUse = errors.New("the data folder is in use by another process")
	// ErrBusy is an idp.ErrUnavailable of a database that answered, but gave up this statement.
	ErrBusy = fmt.Errorf("%w: busy", idp.ErrUnavailable)
)

// translateOther handles errors that are no answer of the database. A caller who left gets the error of their own
// context; a deadline that passed while the store was silent counts as the store's fault.
func translateOther(ctx context.Context, err error, connectionLost bool) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case connectionLost, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %v", idp.ErrUnavailable, err)
	default:
		return errors.New(err.Error()) // our own fault; the text is for the log
	}
}
