package e2e

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestAFullDiskOfPostgresUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	onlyInFaults(t)
	server := storetest.NewLoneOnASmallDisk(t)
	s := newStageAt(t, server.URL(), persistentRedis(t))
	book, visitors := s.fillsUp(server)
	s.database = must(pgx.Connect(t.Context(), server.URL()))
	s.judge(visitors, book)
}

// Redis rejects writes while it cannot write its append-only file.
func TestAFullDiskOfRedisUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	onlyInFaults(t)
	server := ephemeraltest.StartRedisOnASmallDisk(t)
	s := newStageAt(t, storetest.PostgresURL(t), server.RedisServer)
	book, visitors := s.fillsUp(server)
	s.judge(visitors, book)
}

func onlyInFaults(t *testing.T) {
	t.Helper()
	if os.Getenv("STEPWARD_TEST_FAULTS") == "" {
		t.Skip("STEPWARD_TEST_FAULTS is not set: make faults")
	}
}

// A disk can be filled.
type disk interface {
	FillDisk()
	FreeDisk()
}

// fillsUp has people and applications at work while a disk is full for three seconds.
func (s *stage) fillsUp(d disk) (*ledger, []*visitor) {
	s.t.Helper()
	book := newLedger()
	visitors := s.visitors(3, book, 1)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for _, v := range visitors {
		all.Go(func() { v.stay(ctx) })
	}
	time.Sleep(time.Second)
	d.FillDisk()
	time.Sleep(3 * time.Second)
	d.FreeDisk()
	for _, r := range s.replicas {
		s.ready(r)
	}
	time.Sleep(time.Second)
	cancel()
	all.Wait()
	s.t.Logf("counted: %v succeeded and %v failed", book.done, book.missed)
	return book, visitors
}
