// This test is inside the package: only here can a fetch be made to panic.
package client

import (
	"strings"
	"sync"
	"testing"
)

func TestAFetchOfKeysThatPanicsIsAnErrorForAllWhoWait(t *testing.T) {
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
