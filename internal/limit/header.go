package limit

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Wait returns how long a source that is over the limit has to wait at most.
func (l Limit) Wait() time.Duration { return max(l.Window, l.Longest) }

// Refuse says in the header of a 429 when to come back, and by which limit (draft-ietf-httpapi-ratelimit-headers-10 §3,
// §4). Our counters do not tell when their window began, so the time is the longest possible.
func (l Limit) Refuse(h http.Header) { l.say(h, 0, l.Wait()) }

// Tell says in the header of an answer how much of the limit is left. Call it after the count's op has run.
func (c *Count) Tell(h http.Header) { c.say(h, max(0, c.Most-c.Op.N), c.Window) }

func (l Limit) say(h http.Header, left int64, wait time.Duration) {
	if left == 0 {
		h.Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", l.Name, l.Most, int(l.Window.Seconds())))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", l.Name, left, int(wait.Seconds())))
}
