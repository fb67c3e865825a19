package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepward/stepward/internal/drain"
	"github.com/stepward/stepward/internal/web"
)

// stopping is the state of a stopping server:
//
//	signal ──▶ /readyz 503, Connection: close ── shutdown-delay ──▶ no new connections ──▶ requests cancelled ──▶ gone
//	└───────────────────────────────── shutdown-timeout ─────────────────────────────────────────────────────────┘
type stopping struct {
	begun atomic.Bool
	by    time.Time // when the process must be gone; zero: not stopping
}

// exportTime is how long the last traces may take.
const exportTime = 3 * time.Second

// Serve answers requests until ctx ends, then stops within shutdown-timeout. If requests had to be cut off, it returns
// drain.ErrCut.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	fronts, err := s.fronts(listener)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// the live heap is some megabytes: fewer collections cost little memory and save a tenth of the work
		debug.SetGCPercent(400)
	}
	go debug.FreeOSMemory() // free what migrating and parsing pages needed

	private, err := s.private()
	if err != nil {
		return err
	}
	if private != nil { // until the end: stopping is worth seeing
		defer private.Close()
		go func() { _ = private.Serve() }()
	}
	jobsCtx, stopJobs := context.WithCancel(ctx)
	defer stopJobs()
	jobs := make(chan struct{})
	go func() { defer close(jobs); s.RunJobs(jobsCtx) }()
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	done := make(chan error, len(fronts))
	for _, f := range fronts {
		f.BaseContext = func(net.Listener) context.Context { return requests }
		go func() { done <- f.Serve() }()
	}
	select {
	case err := <-done:
		stopJobs()
		<-jobs
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return s.stop(fronts, cut, jobs)
}

// stop ends what Serve started.
func (s *Server) stop(fronts []*drain.Server, cut context.CancelCauseFunc, jobs <-chan struct{}) error {
	delay, timeout := s.Config.ShutdownDelay, s.Config.ShutdownTimeout
	s.drain.by = time.Now().Add(timeout)
	s.drain.begun.Store(true)
	for _, f := range fronts {
		f.Announce()
	}
	s.log.Info("stopping", "delay", delay, "timeout", timeout)
	time.Sleep(delay) // still answering, because the balancer has not noticed yet

	end := min(timeout/4, time.Second) // time for cancelled requests, jobs and stores to finish
	cancelling := time.AfterFunc(time.Until(s.drain.by.Add(-end)), func() { cut(web.ErrStopping) })
	defer cancelling.Stop()
	closing, cancel := context.WithDeadline(context.Background(), s.drain.by.Add(-end/2))
	defer cancel()
	errs := make([]error, len(fronts))
	var shut sync.WaitGroup
	for i, f := range fronts {
		shut.Go(func() {
			if err := f.Stop(closing); err != nil {
				errs[i] = fmt.Errorf("stop: %w", err)
			}
		})
	}
	shut.Wait()
	select {
	case <-jobs:
	case <-time.After(time.Until(s.drain.by.Add(-end / 4))):
		s.log.Warn("a job does not stop")
	}
	return errors.Join(errs...)
}

// Close closes what New opened. After Serve it keeps to shutdown-timeout: a pool with a hanging connection would wait
// forever.
func (s *Server) Close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if s.Ephemeral != nil {
			_ = s.Ephemeral.Close()
		}
		if s.DB != nil {
			_ = s.DB.Close()
		}
		if s.tracer != nil {
			ctx, cancel := context.WithTimeout(context.Background(), exportTime)
			defer cancel()
			_ = s.tracer.Close(ctx)
		}
	}()
	if s.drain.by.IsZero() {
		<-closed
		return
	}
	select {
	case <-closed:
	case <-time.After(max(time.Until(s.drain.by), 10*time.Millisecond)):
		s.log.Warn("the stores did not close in time")
	}
}
