// Package outage detects that a store is unavailable, on its connections, and logs it: one line at the start and one
// when the store is back, however many requests fail.
package outage

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// calm is the time after the last failure when a response means that the store is back. While some calls fail and some
// succeed, it is not.
const calm = time.Second

// keepAlive detects within half a minute that the server of an idle connection is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// A Watch follows one store. It is safe for concurrent use.
type Watch struct {
	log   *slog.Logger
	store string
	away  atomic.Bool

	mu       sync.Mutex
	since    time.Time // start of the outage
	failed   time.Time // last failure
	back     time.Time // end of the last outage
	failures int64     // during the outage
}

// New returns the watch of a store that is available so far.
func New(log *slog.Logger, store string) *Watch { return &Watch{log: log, store: store} }

// Answered records that the store answered a call started at begin.
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

// Failed records that the store did not answer a call started at begin.
func (w *Watch) Failed(begin time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.away.Load() {
		w.failed = now
		w.failures++
		return
	}
	if begin.Before(w.back) { // a late failure from before the store was back
		return
	}
	w.since, w.failed, w.failures = now, now, 1
	w.away.Store(true)
	w.log.Error("store is away", "store", w.store, "error", err)
}
