package ephemeral

import "time"

// maxCounters bounds the memory of the embedded store's counters, about 20 MB.
const maxCounters = 100_000

// counters are the fixed windows of Count. They begin anew with the process.
type counters map[string]*window

type window struct {
	n    int64
	ends time.Time
}

// add counts one in the window of this key.
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

// trim makes room for an eighth: windows that have ended, and if these are too few, those that counted least. Whoever
// makes us count many keys makes each of them count little, and so cannot wash away the one that has counted much.
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
