package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepward/stepward/internal/web"
)

// drain is how a server stops:
//
//	signal ──► /readyz 503, Connection: close ── shutdown-delay ──► no new connections ──► requests cancelled ──► gone
//	└───────────────────────────────── shutdown-timeout ─────────────────────────────────────────────────────────────┘
type drain struct {
	begun atomic.Bool
	by    time.Time // when the process has to be gone; zero: it serves, or never did
}

// errCut says that requests were still running when the promised time was over.
var errCut = errors.New("requests were cut off: shutdown-timeout is over")

// Serve answers until ctx ends, then stops within shutdown-timeout. Its error then says that requests had to be cut
// off.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	fronts, err := s.fronts(listener)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // the live heap is some megabytes: rarer collections cost little memory and save a tenth of the work
	}
	go debug.FreeOSMemory() // what migrating and parsing pages needed is not needed again

	jobsCtx, stopJobs := context.WithCancel(ctx)
	defer stopJobs()
	jobs := make(chan struct{})
	go func() { defer close(jobs); s.RunJobs(jobsCtx) }()
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	done := make(chan error, len(fronts))
	for _, f := range fronts {
		f.BaseContext = func(net.Listener) context.Context { return requests }
		f.Handler = s.lastAnswers(f.Handler)
		go func() { done <- f.serve() }()
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

// stop ends what Serve began.
func (s *Server) stop(fronts []front, cut context.CancelCauseFunc, jobs <-chan struct{}) error {
	delay, timeout := s.Config.ShutdownDelay, s.Config.ShutdownTimeout
	s.drain.by = time.Now().Add(timeout)
	s.drain.begun.Store(true)
	s.log.Info("stopping", "delay", delay, "timeout", timeout)
	time.Sleep(delay) // still answering: the balancer has not noticed yet

	end := min(timeout/10, time.Second) // what cancelled requests, jobs and the stores get to finish in
	cancelling := time.AfterFunc(time.Until(s.drain.by.Add(-end)), func() { cut(web.ErrStopping) })
	defer cancelling.Stop()
	closing, cancel := context.WithDeadline(context.Background(), s.drain.by.Add(-end/2))
	defer cancel()
	errs := make([]error, len(fronts))
	var shut sync.WaitGroup
	for i, f := range fronts {
		shut.Go(func() {
			if errs[i] = f.Shutdown(closing); errs[i] != nil {
				errs[i] = fmt.Errorf("stop: %w", errCut)
				_ = f.Close()
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

// lastAnswers asks clients to come back over another connection, once the server is stopping (RFC 9112 §9.6). In HTTP/2
// it becomes a GOAWAY. Idle connections are left open until the delay is over: closing one could meet a request half
// way.
func (s *Server) lastAnswers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.drain.begun.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// Close closes what New opened. After Serve it waits no longer than was promised: a pool whose connection hangs would
// wait for ever.
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
