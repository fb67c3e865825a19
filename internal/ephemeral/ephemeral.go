// Package ephemeral keeps what expires: challenges, interactions, sessions and the per-user index of them, authorization
// codes, replay marks and rate counters. Losing all of it signs everyone out and loses nothing else.
//
// [Store] is the contract. It has two implementations, [Redis] for any number of replicas and [SQLite] for the embedded
// profile, and one suite, ephemeraltest, that holds both to it. Features use a typed corner of it, a [Bucket], or batch
// several [Op] into one round trip.
package ephemeral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// Limits of what one Op may carry, in bytes. They keep a request parameter that slipped through from filling the store.
const (
	MaxKey   = 256 // Key, and Member
	MaxValue = 64 << 10
)

// ErrTooLarge says that a key or a value is above MaxKey or MaxValue. Nothing was sent.
var ErrTooLarge = errors.New("too large for the ephemeral store")

// Store keeps entries that expire, counters, and indexes of members that expire.
//
// Atomicity: each Op is atomic by itself, among all callers of all replicas. The ops of one Do run in their order and
// share one round trip, and nothing more: ops of others may run between them on Redis, and if the connection breaks, a
// first part of them may have happened. Design so that a prefix does no harm: put before index. But if ops take
// something away (Take, Claim, Swap, Delete, Remove) and Put or Claim something else, a store that is full or takes no
// writes does none of them: nothing is used up for an answer that cannot be kept.
//
// One winner: of any number of concurrent Takes of one key at most one gets the value; of concurrent Claims at most one
// wins until the claim expires; of concurrent Swaps from the same Old at most one wins.
//
// Expiry: every entry has a TTL of at least a millisecond, counted from when the store runs the op. An expired entry is
// invisible at once to every verb, whenever it is swept. Swap gives the entry its own TTL anew.
//
// Errors: [idp.ErrUnavailable] wrapped if the backend did not answer; then nothing may be concluded of any op, results are
// to be ignored, and the store itself repeats nothing, since a lost answer may hide a Take that won. [ErrTooLarge], or a
// plain error for an op without key or TTL: nothing was sent. That there is no such entry is no error but Found == false.
//
// A Store may be used by any number of goroutines. An Op belongs to one Do at a time.
type Store interface {
	// Do runs ops in order in one round trip (Redis: one pipeline; SQLite: one transaction) and fills in their results.
	// Without ops it does nothing.
	Do(ctx context.Context, ops ...*Op) error
	// RoundTrips returns how many Do calls went to the backend so far, for tests that hold a budget.
	RoundTrips() int64
	// Ping reports whether the backend answers; idp.ErrUnavailable if not.
	Ping(ctx context.Context) error
	// Now returns the backend's clock, by which entries expire; idp.ErrUnavailable if it does not answer.
	Now(ctx context.Context) (time.Time, error)
	// Log returns the logger of what happens outside of requests.
	Log() *slog.Logger
	// Close releases the connections and stops what runs behind; the store answers idp.ErrUnavailable from then on.
	Close() error
}

// Verb says what an Op does.
type Verb uint8

const (
	// Put stores Value for TTL, over whatever was there.
	Put Verb = iota
	// Get reads: Found, Result.
	Get
	// Take reads and deletes: Found, Result.
	Take
	// Claim stores Value for TTL if there is no entry: Found says that this caller won.
	Claim
	// Swap replaces the entry by Value for TTL if it is there and equals Old: Found says that this caller won. It never
	// brings back an entry that was deleted or has expired.
	Swap
	// Delete removes an entry: Found says that there was one.
	Delete
	// Count adds one to a counter and returns it in N. The counter goes back to nothing TTL after its first Count: a fixed
	// window. The embedded store keeps counters in memory, bounded, so that an attacker cannot make it write.
	Count
	// Add puts Member into the index Key for TTL, or gives it that TTL anew.
	Add
	// Members lists the members of the index Key that have not expired, the soonest to expire first.
	Members
	// Remove takes Member out of the index Key, if it is there.
	Remove
)

// An Op is one operation on one key. Entries, counters and indexes share no keys: a key is used with one kind of verb.
type Op struct {
	Verb   Verb
	Key    string        // "bucket:key"
	Value  []byte        // Put, Claim, Swap
	Old    []byte        // Swap: what must be there
	Member string        // Add, Remove
	TTL    time.Duration // Put, Claim, Swap, Count (the window), Add (of the member)

	// Results, valid after a Do without error.
	Found   bool
	Result  []byte
	N       int64
	Members []string
}

// check refuses what no backend should see.
func check(ops []*Op) error {
	for _, op := range ops {
		switch {
		case op.Key == "":
			return errors.New("ephemeral: operation without a key")
		case len(op.Key) > MaxKey || len(op.Member) > MaxKey:
			return fmt.Errorf("ephemeral: key of %d bytes: %w", max(len(op.Key), len(op.Member)), ErrTooLarge)
		case len(op.Value) > MaxValue:
			return fmt.Errorf("ephemeral: value of %d bytes: %w", len(op.Value), ErrTooLarge)
		}
		switch op.Verb {
		case Put, Claim, Swap, Count, Add:
			if op.TTL < time.Millisecond {
				return fmt.Errorf("ephemeral: time to live of %v", op.TTL)
			}
		case Get, Take, Delete, Members, Remove:
		default:
			return fmt.Errorf("ephemeral: unknown verb %d", op.Verb)
		}
		op.Found, op.Result, op.N, op.Members = false, nil, 0, nil // an op may be used again
	}
	return nil
}

// unavailable translates what a driver says: callers see idp.ErrUnavailable, the record sees the reason.
func unavailable(err error) error {
	return fmt.Errorf("ephemeral: %w: %w", idp.ErrUnavailable, err)
}
