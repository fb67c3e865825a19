package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources is how many sources a [Rate] knows at least, before it forgets those it has not seen for the longest time.
const maxSources = 1 << 15

// A Rate limits how many requests a second each source may send to this process. It costs no round trip, so it can
// stand before everything else. A source may save up the requests of five seconds. Memory is bounded: who comes from
// more than 32,768 sources gets past it, and meets the limits behind it. The nil Rate limits nothing.
type Rate[Source comparable] struct {
	Limit  // how it is told
	second int64

	mu         sync.Mutex
	young, old map[Source]*rate.Limiter // two generations: the old one is dropped when the young one is full
}

// saved is how many seconds a source that is silent can save up.
const saved = 5

// NewRate returns the limit of so many requests a second; nil if there is none (0). The name is for the clients.
func NewRate[Source comparable](name string, second int64) *Rate[Source] {
	if second <= 0 {
		return nil
	}
	return &Rate[Source]{
		Limit:  Limit{Name: name, Most: second * saved, Window: saved * time.Second},
		second: second, young: map[Source]*rate.Limiter{},
	}
}

// Allow counts one request of a source, and reports whether it may go on.
func (l *Rate[Source]) Allow(source Source) bool { return l == nil || l.of(source).Allow() }

func (l *Rate[Source]) of(source Source) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	own, ok := l.young[source]
	if ok {
		return own
	}
	if own, ok = l.old[source]; !ok {
		own = rate.NewLimiter(rate.Limit(l.second), int(l.Most))
	}
	if len(l.young) >= maxSources {
		l.young, l.old = map[Source]*rate.Limiter{}, l.young
	}
	l.young[source] = own
	return own
}
