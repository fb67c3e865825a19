package ephemeral

import (
	"context"
	"strings"
	"time"
)

// An Observer begins the observation of one question to a store, for metrics and traces. operation is the verbs of its
// ops ("take, put"), never a key. The func ends it.
type Observer func(ctx context.Context, operation string) (context.Context, func(error))

// Observe returns s with an observer of its questions.
func Observe(s Store, observer Observer) Store { return &observed{s, observer} }

type observed struct {
	Store
	observer Observer
}

// Do implements Store.
func (o *observed) Do(ctx context.Context, ops ...*Op) error {
	if len(ops) == 0 {
		return nil
	}
	ctx, done := o.observer(ctx, operation(ops))
	err := o.Store.Do(ctx, ops...)
	done(err)
	return err
}

// PoolOf returns the state of the connection pool of a store; false if it has none.
func PoolOf(s Store) (Pool, bool) {
	if o, ok := s.(*observed); ok {
		s = o.Store
	}
	r, ok := s.(*Redis)
	if !ok {
		return Pool{}, false
	}
	stats, most := r.pool()
	return Pool{
		Max: most, Open: int(stats.TotalConns), Use: int(stats.TotalConns - stats.IdleConns),
		Waits: int64(stats.WaitCount), Waited: time.Duration(stats.WaitDurationNs),
	}, true
}

// A Pool is the state of a pool of connections.
type Pool struct {
	Max, Open, Use int
	// Waits is how often a caller had to wait for a connection since the start, and Waited for how long altogether.
	Waits  int64
	Waited time.Duration
}

var verbs = [...]string{
	Put: "put", Get: "get", Take: "take", Claim: "claim", Swap: "swap", Delete: "delete", Count: "count", Add: "add",
	Members: "members", Remove: "remove",
}

// operation names the verbs of ops in their order. A verb that follows itself is named once, and no more than six are
// named, so the names are few.
func operation(ops []*Op) string {
	if len(ops) == 1 && int(ops[0].Verb) < len(verbs) {
		return verbs[ops[0].Verb]
	}
	var b strings.Builder
	last, named := Verb(len(verbs)), 0
	for _, op := range ops {
		if op.Verb == last || int(op.Verb) >= len(verbs) {
			continue
		}
		if named == 6 {
			b.WriteString(", …")
			break
		}
		if named > 0 {
			b.WriteString(", ")
		}
		b.WriteString(verbs[op.Verb])
		last = op.Verb
		named++
	}
	return b.String()
}
