package limit

import "sync/atomic"

// A Room says how much space the ephemeral store has left for strangers. While less than half of it is in use, the
// limits of the table hold. Above that they shrink with the space that is left, so that networks with the most waiting
// requests are refused first, and all strangers when it is full. What is left belongs to people who are signed in. The
// nil Room always has space.
type Room struct{ gone atomic.Int64 } // of the upper half, in thousandths

// Update tells how many bytes are in use, and how many may be. Without a ceiling (0), there is always space. It reports
// whether that changed whether the room is short.
func (r *Room) Update(used, ceiling int64) (changed bool) {
	var gone int64
	if half := ceiling / 2; ceiling > 0 && used > half {
		gone = min(1000, max(1, (used-half)*1000/max(1, ceiling-half)))
	}
	return (r.gone.Swap(gone) > 0) != (gone > 0)
}

// Short reports whether limits shrink now.
func (r *Room) Short() bool { return r != nil && r.gone.Load() > 0 }

// Shrink returns the limit for strangers as the space that is left allows it.
func (r *Room) Shrink(l Limit) Limit {
	if r.Short() {
		l.Most = l.Most * (1000 - r.gone.Load()) / 1000
	}
	return l
}
