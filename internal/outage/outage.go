// Package outage notices that a store goes away: on its connections, and for the log, which gets a line then and one
// when the store is back, however many requests meet it.
package outage

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// calm is how long after a failure an answer means that the store is back. While some calls fail and some succeed it
// is not.
const calm = time.Second

// keepAlive notices within half a minute that the server of an idle connection is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// A Watch follows one store. It may be used by any number of goroutines.
type Watch struct {
	log   *slog.Logger
	store string
	away  atomic.Bool

	mu       sync.Mutex
	since    time.Time // away since
	failed   time.Time // the last failure
	back     time.Time // came back
	failures int64     // while away
}

// New returns the watch of a store that answers so far.
func New(log *slog.Logger, store string) *Watch { return &Watch{log: log, store: store} }

// Answered notes that the store answered a call that began at a time.
func (w *Watch) Answered(begin time.Time) {
	if !w.away.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.away.Load() || begin.Sub(w.failed) < calm {
		return
	}
	w.away.Store(false)
	w.back = time.Now()
	w.log.Warn("store is back", "store", w.store, "away", w.back.Sub(w.since).Round(time.Second), "failed", w.failures)
}

// Failed notes that the store did not answer a call that began at a time.
func (w *Watch) Failed(begin time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.away.Load() {
		w.failed = now
		w.failures++
		return
	}
	if begin.Before(w.back) { // asked while the store was away, and heard of it late
		return
	}
	w.since, w.failed, w.failures = now, now, 1
	w.away.Store(true)
	w.log.Error("store is away", "store", w.store, "error", err)
}
