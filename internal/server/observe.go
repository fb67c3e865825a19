package server

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/drain"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/telemetry"
	"github.com/stepward/stepward/internal/web"
)

// observed is what makes the server visible from outside. Both are nil unless configured, and then nothing is measured.
type observed struct {
	metrics *telemetry.Metrics
	tracer  *telemetry.Tracer
	// certificate is the one that is served; nil: a proxy does TLS.
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

func (s *Server) observe(ctx context.Context, cfg *config.Config) (err error) {
	if cfg.MetricsListen != "" {
		s.metrics = telemetry.NewMetrics(telemetry.MetricsConfig{Version: cfg.Version})
		s.metrics.Look(s.look)
	}
	if cfg.TraceURL != "" {
		s.tracer, err = telemetry.NewTracer(ctx, telemetry.TracerConfig{
			Export:  telemetry.ExportConfig{URL: cfg.TraceURL, Headers: cfg.TraceHeaders},
			Version: cfg.Version, Sample: cfg.TraceSample, Join: cfg.TraceJoin, Log: s.log,
		})
	}
	return err
}

// trace is a web.Config.Trace, or nil.
func (o *observed) trace() func(*http.Request, bool) (context.Context, string) {
	if o.tracer == nil {
		return nil
	}
	return o.tracer.Request
}

// answered is a web.Config.Answered, or nil.
func (o *observed) answered() func(context.Context, web.Answer) {
	switch {
	case o.metrics == nil && o.tracer == nil:
		return nil
	case o.tracer == nil:
		return o.metrics.Answered
	case o.metrics == nil:
		return o.tracer.Answered
	}
	return func(ctx context.Context, a web.Answer) {
		o.metrics.Answered(ctx, a)
		o.tracer.Answered(ctx, a)
	}
}

// asked returns the observer of a store's questions, or nil.
func (o *observed) asked(store string) func(context.Context, string) (context.Context, func(error)) {
	if o.metrics == nil && o.tracer == nil {
		return nil
	}
	return func(ctx context.Context, operation string) (context.Context, func(error)) {
		begin, ended := time.Now(), func(error) {}
		if o.tracer != nil {
			ctx, ended = o.tracer.Ask(ctx, store, operation)
		}
		return ctx, func(err error) {
			ended(err)
			if o.metrics != nil {
				o.metrics.Asked(store, operation, time.Since(begin), err)
			}
		}
	}
}

// fetches wraps the transport of requests to others.
func (o *observed) fetches(next http.RoundTripper) http.RoundTripper {
	if o.tracer != nil {
		next = o.tracer.Fetch(next)
	}
	if o.metrics != nil {
		next = o.metrics.Fetch(next)
	}
	return next
}

// job observes a run of a job.
func (o *observed) job(ctx context.Context, name string, run func(context.Context) error) error {
	begin, ended := time.Now(), func(error) {}
	if o.tracer != nil {
		ctx, ended = o.tracer.Job(ctx, name)
	}
	err := run(ctx)
	ended(err)
	if o.metrics != nil && ctx.Err() == nil {
		o.metrics.Job(name, time.Since(begin), err)
	}
	return err
}

// watched returns the store with its observer, if there is one.
func (o *observed) watched(s ephemeral.Store, name string) ephemeral.Store {
	if observer := o.asked(name); observer != nil {
		return ephemeral.Observe(s, observer)
	}
	return s
}

// look measures what is not counted on the way: the state of stores, pools, queues, clock and certificate.
func (s *Server) look(ctx context.Context) telemetry.State {
	state := telemetry.State{Stopping: s.drain.begun.Load(), Up: map[string]bool{}, Faults: map[string]string{}}
	if s.DB == nil || s.Ephemeral == nil {
		return state
	}
	for name, fault := range s.health.look(ctx, s) {
		state.Up[name] = fault == nil
		if fault != nil {
			state.Faults[name] = fault.Word
		}
	}
	for _, p := range s.DB.Pools() {
		state.Pools = append(state.Pools, telemetry.Pool{
			Name: p.Name, Max: p.Max, Open: p.Open, Use: p.Use, Waits: p.Waits, Waited: p.Waited,
		})
	}
	if p, ok := ephemeral.PoolOf(s.Ephemeral); ok {
		state.Pools = append(state.Pools, telemetry.Pool{
			Name: "redis", Max: p.Max, Open: p.Open, Use: p.Use, Waits: p.Waits, Waited: p.Waited,
		})
	}
	if state.Up["database"] { // otherwise the question would take seconds to fail
		if queues, err := outbox.Waiting(ctx, s.DB); err == nil {
			for _, q := range queues {
				state.Queues = append(state.Queues, telemetry.Queue{Name: q.Name, Count: q.Count, Oldest: q.Oldest})
			}
		}
	}
	state.Skew, _ = s.clocks.skew()
	if s.certificate != nil {
		if pair, err := s.certificate(nil); err == nil && pair.Leaf != nil {
			state.CertificateEnds = pair.Leaf.NotAfter
		}
	}
	return state
}

// Private is the handler of metrics-listen; nil unless configured.
func (s *Server) Private() http.Handler {
	if s.metrics == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	if s.Config.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// private returns the server of metrics-listen; nil unless configured.
func (s *Server) private() (*drain.Server, error) {
	handler := s.Private()
	if handler == nil {
		return nil, nil
	}
	listener, err := drain.Listen(s.Config.MetricsListen)
	if err != nil {
		return nil, cannotListen(s.Config, "metrics-listen", s.Config.MetricsListen, err)
	}
	f := drain.New(s.current.Load().shell.Server(handler), listener)
	f.WriteTimeout = 2 * time.Minute // a profile takes as long as it is asked to, at most this
	s.log.Info("serving metrics", "listen", listener.Addr().String(), "pprof", s.Config.Pprof)
	return f, nil
}
