// Package limit limits how often one source may do something. docs/limits.md is generated from its table.
package limit

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// A Limit is how often something may happen for one source within a fixed window that starts with the first event.
type Limit struct {
	Name   string // part of the counter's key
	What   string // what is counted, for the documentation
	Per    string // the kind of source: "network" is an IPv4 address or an IPv6 /64
	Most   int64
	Window time.Duration
	Beyond string // what happens above Most, for the documentation
	// Longest makes the delay after failures grow: a source that reaches Most waits a minute, and with each further
	// failure within Window twice as long as before, at most this long. Zero: always one Window.
	Longest time.Duration
}

// A Count adds one to the counter of a limit and a source. Its Op is part of a round trip.
type Count struct {
	Limit
	Op ephemeral.Op
}

// Of returns the count of one more event for a source. Run its Op, then ask [Count.Over].
func (l Limit) Of(source string) *Count {
	return &Count{l, ephemeral.Op{Verb: ephemeral.Count, Key: l.key(source), TTL: l.Window}}
}

// Over reports whether this event exceeded the limit.
func (c *Count) Over() bool { return c.Op.N > c.Most }

func (l Limit) key(source string) string { return "limit-" + l.Name + ":" + source }

// Closed returns the op that checks whether a source has used up the limit; if so, Found is set. It is for limits of
// failures: an attempt reads the mark in a round trip it makes anyway, and only a failure pays for counting ([Fail]).
func (l Limit) Closed(source string) *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Get, Key: l.closedKey(source)}
}

func (l Limit) closedKey(source string) string { return "limit-" + l.Name + "-closed:" + source }

// A Source is a source that failures are counted for.
type Source struct {
	Limit
	Key string
}

// closure returns how long a source is closed after the n-th failure.
func (l Limit) closure(n int64) time.Duration {
	if l.Longest == 0 {
		return l.Window
	}
	return min(time.Minute<<min(n-l.Most, 20), l.Longest)
}

// Fail counts a failure for each source. When a source reaches its limit, it is closed from now: for one window, or for
// a delay that grows.
func Fail(ctx context.Context, store ephemeral.Store, sources ...Source) error {
	var ops, marks []*ephemeral.Op
	for _, s := range sources {
		ops = append(ops, &s.Of(s.Key).Op)
	}
	if err := store.Do(ctx, ops...); err != nil {
		return err
	}
	for i, s := range sources {
		if ops[i].N >= s.Most {
			marks = append(marks, &ephemeral.Op{
				Verb: ephemeral.Put, Key: s.closedKey(s.Key), Value: []byte("1"),
				TTL: s.closure(ops[i].N),
			})
		}
	}
	return store.Do(ctx, marks...)
}

// Keep stores something for a source and counts it, in one round trip. If the limit is exceeded, it deletes it again
// and returns false.
func (c *Count) Keep(ctx context.Context, store ephemeral.Store, puts ...*ephemeral.Op) (bool, error) {
	if err := store.Do(ctx, append(puts, &c.Op)...); err != nil || !c.Over() {
		return err == nil, err
	}
	var deletes []*ephemeral.Op
	for _, put := range puts {
		deletes = append(deletes, &ephemeral.Op{Verb: ephemeral.Delete, Key: put.Key})
	}
	return false, store.Do(ctx, deletes...)
}

// Exceeded counts one event for each source, one round trip each, and stops at the first that exceeds its limit, so
// that a rejected event does not use up the wider limits after it.
func Exceeded(ctx context.Context, store ephemeral.Store, counts ...*Count) (bool, error) {
	for _, c := range counts {
		if err := store.Do(ctx, &c.Op); err != nil {
			return false, err
		}
		if c.Over() {
			return true, nil
		}
	}
	return false, nil
}

// Hashed returns the source for a text that the counters must not contain in clear, such as an e-mail address.
func Hashed(text string) string { return idp.Secret(text).Hash() }
