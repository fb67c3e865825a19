package ephemeral

import "time"

// maxCounters limits the memory of the embedded store's counters to about 20 MB.
const maxCounters = 100_000

// counters are the fixed windows of Count. They start from zero with the process.
type counters map[string]*window

type window struct {
	n    int64
	ends time.Time
}

// add adds one to the window of this key.
func (c counters) add(key string, ttl time.Duration, now time.Time) int64 {
	w := c[key]
	if w == nil || !now.Before(w.ends) {
		if w == nil && len(c) >= maxCounters {
			c.trim(now)
		}
		w = &window{ends: now.Add(ttl)}
		c[key] = w
	}
	w.n++
	return w.n
}

// trim frees an eighth: expired windows first, then those with the lowest counts. An attacker who creates many keys
// gets low counts for each, and so cannot push out a high count.
func (c counters) trim(now time.Time) {
	for key, w := range c {
		if !now.Before(w.ends) {
			delete(c, key)
		}
	}
	for least := int64(1); ; least *= 2 {
		for key, w := range c {
			if len(c) <= maxCounters/8*7 {
				return
			}
			if w.n <= least {
				delete(c, key)
			}
		}
	}
}
