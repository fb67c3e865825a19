package movein

import (
	"errors"
	"iter"
)

// errEnough ends a stream that nobody reads any more.
var errEnough = errors.New("enough")

// stream turns a func that passes each thing to yield into a sequence.
func stream[T any](run func(yield func(T) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := run(func(v T) error {
			if !yield(v, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			var none T
			yield(none, err)
		}
	}
}

// A follower reads a sequence that is in the order of its users' IDs beside one of users in the same order.
type follower[T any] struct {
	next func() (owned[T], error, bool)
	stop func()
	head *owned[T]
	done bool
}

func follow[T any](seq iter.Seq2[owned[T], error]) *follower[T] {
	next, stop := iter.Pull2(seq)
	return &follower[T]{next: next, stop: stop}
}

// maxOwned bounds how much of a kind is read for one user: more than anybody can have here.
const maxOwned = 2000

// of returns what belongs to a user; the IDs of successive calls grow.
func (f *follower[T]) of(userID string) (things []T, err error) {
	for {
		if f.head == nil && !f.done {
			v, err, ok := f.next()
			if !ok {
				f.done = true
			} else if err != nil {
				return nil, err
			} else {
				f.head = &v
			}
		}
		switch {
		case f.done, f.head.userID > userID:
			return things, nil
		case f.head.userID == userID && len(things) < maxOwned:
			things = append(things, f.head.thing)
		}
		f.head = nil
	}
}

// each passes what belongs to a user to f.
func each[T any](from *follower[T], userID string, f func(T)) error {
	things, err := from.of(userID)
	for _, thing := range things {
		f(thing)
	}
	return err
}
