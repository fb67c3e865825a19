// Package ephemeral stores what expires: challenges, interactions, sessions and their per-user index, authorization
// codes, replay marks and rate counters. Losing all of it signs everyone out and loses nothing else.
//
// [Store] is the contract. It has two implementations, [Redis] for any number of replicas and [SQLite] for the embedded
// profile, and both pass the test suite in ephemeraltest. Features use a [Bucket], or batch several [Op] into one round
// trip.
package ephemeral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// Limits of an Op, in bytes. They keep an oversized request parameter from filling the store.
const (
	MaxKey   = 256 // Key, and Member
	MaxValue = 64 << 10
)

// ErrTooLarge means that a key or value exceeds MaxKey or MaxValue. Nothing was sent.
var ErrTooLarge = errors.New("too large for the ephemeral store")

// Store stores entries that expire, counters, and indexes of members that expire.
//
// Atomicity: each Op is atomic among all callers on all replicas. The ops of one Do run in order and share a round
// trip, nothing more: on Redis, other callers' ops may run between them, and if the connection breaks, only a first
// part may have run. So order ops such that any prefix is harmless: put before index. But if the ops remove something
// (Take, Claim, Swap, Delete, Remove) and also Put or Claim something, a store that is full or rejects writes runs none
// of them, so nothing is used up for a result that cannot be stored. On a cluster, ops that change entries on different
// nodes are sent one after the other; a node is asked before, so it may still fill up in between.
//
// One winner: of concurrent Takes of one key, at most one gets the value. Of concurrent Claims, at most one wins until
// the claim expires. Of concurrent Swaps from the same Old, at most one wins.
//
// Expiry: every entry has a TTL of at least a millisecond, counted from when the store runs the op. An expired entry is
// invisible to every verb at once, even before it is swept. Swap replaces the TTL as well.
//
// Errors: a wrapped [idp.ErrUnavailable] means that the backend did not answer. Then the outcome of every op is
// unknown, and results must be ignored. The store never retries, because a lost response may hide a Take that won. With
// [ErrTooLarge], or a plain error for an op without key or TTL, nothing was sent. A missing entry is not an error but
// Found == false.
//
// A Store is safe for concurrent use. An Op belongs to one Do at a time.
type Store interface {
	// Do runs ops in order in one round trip (Redis: one pipeline; SQLite: one transaction) and sets their results.
	// Without ops, it does nothing.
	Do(ctx context.Context, ops ...*Op) error
	// RoundTrips returns the number of Do calls sent to the backend so far, for tests of budgets.
	RoundTrips() int64
	// Ping returns nil if the backend answers, else idp.ErrUnavailable.
	Ping(ctx context.Context) error
	// Now returns the time of the backend's clock, by which entries expire, or idp.ErrUnavailable.
	Now(ctx context.Context) (time.Time, error)
	// Used returns how many bytes the entries occupy, and how many they may (0: no limit is set), or idp.ErrUnavailable.
	Used(ctx context.Context) (used, most int64, err error)
	// WriteCompactFrom sets the time from which buckets may write the compact form, which programs of the version before
	// cannot read. Until it is called, they may.
	WriteCompactFrom(time.Time)
	// WritesCompact reports whether buckets may write the compact form now.
	WritesCompact() bool
	// Log returns the logger for work outside of requests.
	Log() *slog.Logger
	// Close closes the connections and stops background work. After that, the store returns idp.ErrUnavailable.
	Close() error
}

// A form is the part of a Store that knows in which form to write.
type form struct{ compactFrom atomic.Int64 }

// WriteCompactFrom implements Store.
func (f *form) WriteCompactFrom(t time.Time) { f.compactFrom.Store(t.UnixMilli()) }

// WritesCompact implements Store.
func (f *form) WritesCompact() bool {
	from := f.compactFrom.Load()
	return from == 0 || time.Now().UnixMilli() >= from
}

// Verb is the kind of an Op.
type Verb uint8

const (
	// Put stores Value for TTL and replaces any entry.
	Put Verb = iota
	// Get reads an entry: Found, Result.
	Get
	// Take reads and deletes an entry: Found, Result.
	Take
	// Claim stores Value for TTL if there is no entry. Found means that this caller won.
	Claim
	// Swap replaces the entry with Value for TTL if it equals Old. Found means that this caller won. It never brings back
	// a deleted or expired entry.
	Swap
	// Delete deletes an entry. Found means that there was one.
	Delete
	// Count adds one to a counter and returns it in N. TTL after its first Count, the counter starts from zero: a fixed
	// window. The embedded store keeps a limited number of counters in memory, so that an attacker cannot make it write.
	Count
	// Add adds Member to the index Key for TTL, or renews its TTL. Members are then all that have not expired, the next
	// to expire first.
	Add
	// Members lists the members of the index Key that have not expired, the next to expire first.
	Members
	// Remove removes Member from the index Key, if it is there.
	Remove
)

// An Op is one operation on one key. Entries, counters and indexes are separate: a key is used with one kind of verb.
type Op struct {
	Verb   Verb
	Key    string        // "bucket:key"
	Value  []byte        // Put, Claim, Swap
	Old    []byte        // Swap: the required current value
	Member string        // Add, Remove
	TTL    time.Duration // Put, Claim, Swap, Count (the window), Add (of the member)

	// Results, valid after a Do without error.
	Found   bool
	Result  []byte
	N       int64
	Members []string
}

// check rejects invalid ops before they reach a backend.
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
		op.Found, op.Result, op.N, op.Members = false, nil, 0, nil // an op may be reused
	}
	return nil
}

// unavailable translates a driver's error: callers get idp.ErrUnavailable, the log gets the reason.
func unavailable(err error) error {
	return fmt.Errorf("ephemeral: %w: %w", idp.ErrUnavailable, err)
}
