package ephemeral

import (
	"context"
	"time"
)

// sweep deletes expired rows every five minutes until Close.
func (s *SQLite) sweep() {
	defer close(s.swept)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-tick.C:
		}
		for _, text := range []string{sweepEntriesSQL, sweepMembersSQL} {
			for s.bite(text) {
			}
		}
	}
}

// bite deletes up to sweepBite rows and reports whether there may be more. It waits for its turn like any caller.
func (s *SQLite) bite(text string) bool {
	if s.take(context.Background()) != nil {
		return false // closing
	}
	defer s.give()
	result, err := s.prepared[text].Exec(time.Now().UnixMilli(), sweepBite)
	if err != nil {
		s.log.Warn("sweep ephemeral store", "error", err) // the next sweep tries again
		return false
	}
	n, err := result.RowsAffected()
	return err == nil && n == sweepBite
}
