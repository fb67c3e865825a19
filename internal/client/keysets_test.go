package client

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheMemoryOfKeySetsIsBounded(t *testing.T) {
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
