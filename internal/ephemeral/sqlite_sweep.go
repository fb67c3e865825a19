package ephemeral

import (
	"context"
	"time"
)

// sweep deletes what has expired, every minute until Close.
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

// bite deletes up to sweepBite rows and reports whether there may be more. It takes its turn like everybody.
func (s *SQLite) bite(text string) bool {
	if s.take(context.Background()) != nil {
		return false // closing
	}
	defer s.give()
	result, err := s.prepared[text].Exec(time.Now().UnixMilli(), sweepBite)
	if err != nil {
		s.log.Warn("sweep ephemeral store", "error", err) // next minute again
		return false
	}
	n, err := result.RowsAffected()
	return err == nil && n == sweepBite
}
