package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Replicas exchange times through the stores, so their clocks must agree with the stores'.
const (
	skewWarn  = 2 * time.Second  // NTP is far better than this
	skewWrong = 10 * time.Second // no jobs, not ready
	skewEvery = time.Minute
	skewAgain = 5 * time.Second // while it is wrong
)

// A clock is a store with a clock.
type clock struct {
	name string
	now  func(context.Context) (time.Time, error)
}

// clocks compares this replica's clock with the stores'.
type clocks struct {
	stores []clock
	log    *slog.Logger

	mu      sync.Mutex
	worst   time.Duration // of the last comparison
	changed chan struct{} // closed when wrong changes
}

func newClocks(log *slog.Logger, stores ...clock) *clocks {
	return &clocks{stores: stores, log: log, changed: make(chan struct{})}
}

// run compares the clocks every minute until ctx ends.
func (c *clocks) run(ctx context.Context) {
	for {
		wrong, changed := c.state()
		wait := map[bool]time.Duration{false: skewEvery, true: skewAgain}[wrong]
		select {
		case <-ctx.Done():
			return
		case <-changed: // a job has compared
		case <-time.After(wait):
			c.compare(ctx)
		}
	}
}

// compare asks the stores for the time, and logs a changed result. A store that does not answer is ignored.
func (c *clocks) compare(ctx context.Context) {
	var worst time.Duration
	var store string
	for _, s := range c.stores {
		begin := time.Now()
		theirs, err := s.now(ctx)
		if err != nil {
			return
		}
		if skew := ahead(begin, time.Now(), theirs); skew.Abs() > worst.Abs() {
			worst, store = skew, s.name
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.worst
	c.worst = worst
	if grade(was) == grade(worst) {
		return
	}
	args := []any{"store", store, "ahead", worst.Round(time.Millisecond)}
	switch grade(worst) {
	case 0:
		c.log.Info("clock agrees with the stores again")
	case 1:
		c.log.Warn("clock differs from a store's: is NTP running on both?", args...)
	default:
		c.log.Error("clock is wrong, or a store's is: this replica runs no jobs and is not ready", args...)
	}
	if grade(was) == 2 || grade(worst) == 2 {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// ahead returns how far this replica's clock is ahead of a store's, which read theirs between begin and end; 0 if the
// time of the call may explain the difference. It compares wall clocks: begin and end must have no monotonic reading.
func ahead(begin, end, theirs time.Time) time.Duration {
	begin, end, theirs = begin.Round(0), end.Round(0), theirs.Round(0)
	const whole = time.Millisecond // stores round down
	switch {
	case theirs.Add(whole).Before(begin):
		return begin.Sub(theirs)
	case theirs.After(end):
		return end.Sub(theirs)
	}
	return 0
}

// grade returns 0 for a good clock, 1 for a warning, 2 for a wrong clock.
func grade(skew time.Duration) int {
	switch skew = skew.Abs(); {
	case skew >= skewWrong:
		return 2
	case skew >= skewWarn:
		return 1
	}
	return 0
}

// state reports whether the clock is wrong, and returns a channel that is closed when this changes.
func (c *clocks) state() (wrong bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return grade(c.worst) == 2, c.changed
}

// skew returns how far this clock was ahead of the stores' at the last comparison, and whether it is wrong.
func (c *clocks) skew() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worst, grade(c.worst) == 2
}

// whileRight calls run with a context that ends when the clock goes wrong, and again when it is right, until ctx ends.
func (c *clocks) whileRight(ctx context.Context, run func(context.Context)) {
	for ctx.Err() == nil {
		wrong, changed := c.state()
		part, cancel := context.WithCancel(ctx)
		if wrong {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			cancel()
			continue
		}
		go func() {
			select {
			case <-changed:
				cancel()
			case <-part.Done():
			}
		}()
		run(part)
		cancel()
	}
}
