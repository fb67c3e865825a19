package e2e

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/storetest"
)

func TestAFullDiskOfPostgresUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	if os.Getenv("STEPWARD_TEST_FAULTS") == "" {
		t.Skip("STEPWARD_TEST_FAULTS is not set: make faults")
	}
	server := storetest.NewLoneOnASmallDisk(t)
	s := newStageAt(t, server.URL())
	book := newLedger()
	visitors := s.visitors(3, book, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for _, v := range visitors {
		all.Go(func() { v.stay(ctx) })
	}
	time.Sleep(time.Second)
	server.FillDisk()
	time.Sleep(3 * time.Second)
	server.FreeDisk()
	for _, r := range s.replicas {
		s.ready(r)
	}
	time.Sleep(time.Second)
	cancel()
	all.Wait()
	t.Logf("counted: %v succeeded and %v failed", book.done, book.missed)
	s.database = must(pgx.Connect(t.Context(), server.URL()))
	s.judge(visitors, book)
}
