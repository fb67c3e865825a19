package limit_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/limit"
)

func TestAWindowBeginsWithTheFirstCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ephemeraltest.Open(t)
		l := limit.Limit{Name: "x", Most: 2, Window: time.Minute}
		over := func(source string) bool {
			t.Helper()
			c := l.Of(source)
			if err := store.Do(t.Context(), &c.Op); err != nil {
				t.Fatal(err)
			}
			return c.Over()
		}
		for n, want := range []bool{false, false, true} {
			if over("a") != want {
				t.Errorf("count %d: over the limit of two: %v", n+1, !want)
			}
		}
		if over("b") {
			t.Error("another source is counted along")
		}
		time.Sleep(time.Minute)
		if over("a") {
			t.Error("the window did not end")
		}
	})
}

func TestASourceThatFailsTooOftenIsClosedForAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ephemeraltest.Open(t)
		l := limit.Limit{Name: "x", Most: 2, Window: time.Minute}
		closed := func() bool {
			t.Helper()
			op := l.Closed("a")
			if err := store.Do(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			return op.Found
		}
		for n := range 2 {
			if closed() {
				t.Fatalf("closed after %d", n)
			}
			if err := limit.Fail(t.Context(), store, limit.Source{Limit: l, Key: "a"}, limit.Source{Limit: l, Key: "b"}); err != nil {
				t.Fatal(err)
			}
		}
		if !closed() {
			t.Error("not closed after the second failure")
		}
		time.Sleep(time.Minute)
		if closed() {
			t.Error("closed for ever")
		}
	})
}

func TestNothingIsStoredAboveALimit(t *testing.T) {
	store := ephemeraltest.Open(t)
	l := limit.Limit{Name: "x", Most: 2, Window: time.Minute}
	put := func(key string) *ephemeral.Op {
		return &ephemeral.Op{Verb: ephemeral.Put, Key: key, Value: []byte("v"), TTL: time.Minute}
	}
	for n, want := range []bool{true, true, false} {
		before := store.RoundTrips()
		key := fmt.Sprintf("k:%d", n)
		kept, err := l.Of("a").Keep(t.Context(), store, put(key), put(key+"b"))
		if err != nil || kept != want || want && store.RoundTrips() != before+1 {
			t.Errorf("%d: kept %v, %v", n, kept, err)
		}
		for _, key := range []string{key, key + "b"} {
			get := &ephemeral.Op{Verb: ephemeral.Get, Key: key}
			if err := store.Do(t.Context(), get); err != nil || get.Found != want {
				t.Errorf("%s is stored: %v, %v", key, get.Found, err)
			}
		}
	}
}

func TestLargeWaitingRequestsHaveTheirOwnLimit(t *testing.T) {
	if a, b := limit.WaitingOf(nil, "a", 4<<10).Name, limit.WaitingOf(nil, "a", 4<<10+1).Name; a != limit.Waiting.Name || b != limit.WaitingLarge.Name {
		t.Error(a, b)
	}
}

func TestADelayGrowsWithEachFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := ephemeraltest.Open(t)
		l := limit.Limit{Name: "x", Most: 2, Window: 24 * time.Hour, Longest: 3 * time.Minute}
		closed := func() bool {
			t.Helper()
			op := l.Closed("a")
			if err := store.Do(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			return op.Found
		}
		for n, want := range []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
			if err := limit.Fail(t.Context(), store, limit.Source{Limit: l, Key: "a"}); err != nil {
				t.Fatal(err)
			}
			if want > 0 {
				time.Sleep(want - time.Second)
				if !closed() {
					t.Errorf("failure %d: open before %v", n+1, want)
				}
				time.Sleep(time.Second)
			}
			if closed() {
				t.Errorf("failure %d: closed after %v", n+1, want)
			}
		}
	})
}
