package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/leases"
)

// A job is housekeeping done by one replica at a time, the one with the lease. now is the database's time.
type job struct {
	name  string
	every time.Duration
	run   func(ctx context.Context, now time.Time) error
}

// RunJobs runs the jobs until ctx ends, while this replica's clock agrees with the stores'.
func (s *Server) RunJobs(ctx context.Context) {
	s.clocks.compare(ctx)
	holder := idp.NewID()
	var wg sync.WaitGroup
	wg.Go(func() { s.clocks.run(ctx) })
	wg.Go(func() { s.followPolicy(ctx) }) // whatever the clock says
	for _, j := range []job{
		{"sweep", time.Minute, s.sweep},
		{"settle-logouts", time.Minute, s.settleLogouts},
		{"rotate-keys", 10 * time.Minute, s.Keys.Rotate},
		{"remind", time.Minute, s.remind},
	} {
		wg.Go(func() { s.clocks.whileRight(ctx, func(ctx context.Context) { s.repeat(ctx, j, holder) }) })
	}
	wg.Go(func() { s.used.Run(ctx) })
	wg.Go(func() { s.watchRoom(ctx) })
	// These claim work item by item and need no lease. All return when ctx ends.
	wg.Go(func() { s.clocks.whileRight(ctx, func(ctx context.Context) { _ = s.mailer.Run(ctx) }) })
	wg.Go(func() { s.clocks.whileRight(ctx, s.current.Load().op.DeliverLogouts) })
	wg.Go(func() { s.clocks.whileRight(ctx, s.current.Load().sends.Deliver) })
	wg.Wait()
}

// repeat runs a job now and at every interval, if this replica holds its lease. The lease of a crashed replica expires.
func (s *Server) repeat(ctx context.Context, j job, holder string) {
	tick := time.NewTicker(j.every)
	defer tick.Stop()
	for {
		// An unavailable store is logged once, by the store.
		if err := s.once(ctx, j, holder); err != nil && ctx.Err() == nil && !errors.Is(err, idp.ErrUnavailable) {
			s.log.Error("job", "name", j.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) once(ctx context.Context, j job, holder string) error {
	begin := time.Now()
	now, err := s.DB.Now(ctx)
	if err != nil {
		return err
	}
	if grade(ahead(begin, time.Now(), now)) == 2 { // since the last comparison
		s.clocks.compare(ctx)
		return nil
	}
	held, err := leases.Take(ctx, s.DB, j.name, holder, 2*j.every, now)
	if err != nil || !held {
		return err
	}
	return s.job(ctx, j.name, func(ctx context.Context) error { return j.run(ctx, now) })
}

func (s *Server) settleLogouts(ctx context.Context, _ time.Time) error {
	return s.current.Load().op.SettleLogouts(ctx)
}

func (s *Server) sweep(ctx context.Context, now time.Time) error {
	n, err := s.DB.Sweep(ctx, now)
	clients, clientsErr := s.DB.SweepClients(ctx, now.Add(-s.Config.RegistrationUnused), now)
	if n+clients > 0 {
		s.log.Debug("swept", "rows", n, "clients", clients)
	}
	var erased error
	if err == nil { // a sweep that is held means that the clock may be wrong
		erased = s.current.Load().accounts.Deletions().Run(ctx, now)
	}
	return errors.Join(unlessTold(err), unlessTold(clientsErr), erased)
}

// remind reminds the owners of recoveries that wait.
func (s *Server) remind(ctx context.Context, now time.Time) error {
	return s.current.Load().accounts.Remind(ctx, now)
}

// unlessTold drops the error of a sweep that is still held; it was logged the first time.
func unlessTold(err error) error {
	if held, ok := errors.AsType[*store.SweepHeld](err); ok && !held.First {
		return nil
	}
	return err
}
