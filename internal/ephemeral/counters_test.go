// These tests are inside the package: a store counts too slowly to reach the bound of its counters.
package ephemeral

import (
	"fmt"
	"testing"
	"time"
)

func TestCountersAreLimitedAndAFloodKeepsHighCounts(t *testing.T) {
	c, now := counters{}, time.Now()
	for range 5 {
		c.add("attacked", time.Hour, now)
	}
	for i := range 2 * maxCounters {
		c.add(fmt.Sprint("flood", i), time.Hour, now)
	}
	if len(c) > maxCounters {
		t.Errorf("%d counters are kept", len(c))
	}
	if n := c.add("attacked", time.Hour, now); n != 6 {
		t.Errorf("the sixth count is %d", n)
	}
}

func TestExpiredCountersAreRemovedFirst(t *testing.T) {
	c, now := counters{}, time.Now()
	c.add("lives", time.Hour, now)
	for i := range maxCounters - 1 {
		c.add(fmt.Sprint("short", i), time.Second, now)
	}
	now = now.Add(time.Second)
	c.add("one more", time.Hour, now)
	if n := c.add("lives", time.Hour, now); n != 2 || len(c) != 2 {
		t.Errorf("the second count is %d, and %d counters are kept", n, len(c))
	}
}
