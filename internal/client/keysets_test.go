// These tests are inside the package: they look at the entries, and only here can a fetch be made to panic.
package client

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPanicDuringAKeyFetchIsAnErrorForAllCallers(t *testing.T) {
	s := &keySets{sets: map[string]*keySet{}} // without anything to fetch with
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, _, err := s.keys(t.Context(), "https://example.com/jwks", false); err == nil || !strings.Contains(err.Error(), "panic: ") {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
}

func TestTheKeySetCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := keySets{sets: map[string]*keySet{}}
		ask := func(address string) *keySet {
			time.Sleep(time.Second)
			set := s.set(address)
			set.used, set.stale = time.Now(), time.Now().Add(24*time.Hour)
			return set
		}
		busy := ask("busy")
		for i := range 2 * maxKeySets {
			ask(strconv.Itoa(i))
			if ask("busy") != busy {
				t.Fatal("a set that is in use was forgotten")
			}
		}
		if len(s.sets) != maxKeySets {
			t.Errorf("%d sets", len(s.sets))
		}
	})
}
