package limit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/limit"
)

func TestASourceSavesUpFiveSecondsOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.NewRate[string]("client", 10)
		allowed := func(source string) (n int) {
			for range 100 {
				if l.Allow(source) {
					n++
				}
			}
			return n
		}
		if n := allowed("a"); n != 50 {
			t.Errorf("%d at once, want 50", n)
		}
		if n := allowed("b"); n != 50 {
			t.Errorf("%d of another source, want 50", n)
		}
		time.Sleep(time.Second)
		if n := allowed("a"); n != 10 {
			t.Errorf("%d after a second, want 10", n)
		}
		time.Sleep(time.Hour)
		if n := allowed("a"); n != 50 {
			t.Errorf("%d after an hour, want 50", n)
		}
	})
}

func TestWithoutARateEverythingIsAllowed(t *testing.T) {
	l := limit.NewRate[string]("client", 0)
	for range 10_000 {
		if !l.Allow("a") {
			t.Fatal("refused")
		}
	}
}

// The sources that were seen last are remembered, and never more than twice as many as are promised.
func TestTheMemoryOfSourcesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.NewRate[int]("network", 1)
		for range 5 {
			l.Allow(-1)
		}
		for i := range 30_000 {
			l.Allow(i)
		}
		if l.Allow(-1) {
			t.Error("a source is forgotten before 30,000 others")
		}
		for i := range 200_000 {
			l.Allow(i)
		}
		if !l.Allow(-1) {
			t.Error("a source is remembered behind 200,000 others")
		}
	})
}
