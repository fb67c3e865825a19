package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// A job is housekeeping that one replica at a time does; the lease says which.
type job struct {
	name  string
	every time.Duration
	run   func(context.Context) error
}

// RunJobs runs the jobs until ctx ends.
func (s *Server) RunJobs(ctx context.Context) {
	holder := idp.NewID()
	var wg sync.WaitGroup
	for _, j := range []job{
		{"sweep", time.Minute, func(ctx context.Context) error {
			now := time.Now()
			n, err := s.DB.Sweep(ctx, now)
			clients, clientsErr := s.DB.SweepClients(ctx, now.Add(-s.Config.RegistrationUnused), now)
			if n+clients > 0 {
				s.log.Debug("swept", "rows", n, "clients", clients)
			}
			return errors.Join(err, clientsErr)
		}},
		{"settle-logouts", time.Minute, s.op.SettleLogouts},
		{"rotate-keys", 10 * time.Minute, func(ctx context.Context) error { return s.Keys.Rotate(ctx, time.Now()) }},
	} {
		wg.Go(func() { s.repeat(ctx, j, holder) })
	}
	// These two claim piece by piece and need no lease; both return when ctx ends.
	wg.Go(func() { _ = s.mailer.Run(ctx) })
	wg.Go(func() { s.op.DeliverLogouts(ctx) })
	wg.Wait()
}

// repeat runs a job now and every so often, when this replica holds its lease. A replica that dies leaves the lease to
// expire.
func (s *Server) repeat(ctx context.Context, j job, holder string) {
	tick := time.NewTicker(j.every)
	defer tick.Stop()
	for {
		held, err := s.DB.Lease(ctx, j.name, holder, 2*j.every, time.Now())
		if err == nil && held {
			err = j.run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("job", "name", j.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
