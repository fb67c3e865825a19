package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what a server measures only when its metrics are read.
type State struct {
	Stopping        bool
	Up              map[string]bool   // by store
	Faults          map[string]string // by store, a word of readyz
	Pools           []Pool
	Queues          []Queue
	Skew            time.Duration // of this clock to the stores'
	CertificateEnds time.Time     // zero: no certificate
}

// A Pool is a pool of connections.
type Pool struct {
	Name           string
	Max, Open, Use int
	Waits          int64
	Waited         time.Duration
}

// A Queue is an outbox.
type Queue struct {
	Name   string
	Count  int64
	Oldest time.Time // zero: empty
}

const (
	lookTime = 3 * time.Second
	lookHold = 2 * time.Second // how long a State is used again: scrapers must not be a load on the stores
)

// Look registers the measuring of the State.
func (m *Metrics) Look(look func(context.Context) State) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(&state{
		look:     look,
		stopping: desc("stepward_stopping", "1 while the server stops."),
		up:       desc("stepward_store_up", "1 if the store can be read and written.", "store"),
		fault:    desc("stepward_store_fault", "1 while a store is out of order.", "store", "fault"),
		max:      desc("stepward_pool_connections_max", "Connections that a pool may open.", "pool"),
		open:     desc("stepward_pool_connections_open", "Connections of a pool.", "pool"),
		use:      desc("stepward_pool_connections_in_use", "Connections of a pool that are in use.", "pool"),
		waits:    desc("stepward_pool_waits_total", "Times that a caller waited.", "pool"),
		waited:   desc("stepward_pool_wait_seconds_total", "Time that callers waited for a connection.", "pool"),
		count:    desc("stepward_outbox_messages", "Messages in an outbox, counted to 10000.", "outbox"),
		age:      desc("stepward_outbox_oldest_seconds", "Age of the oldest message in an outbox.", "outbox"),
		skew:     desc("stepward_clock_skew_seconds", "How far this clock is ahead of the stores'."),
		cert: desc("stepward_certificate_expiry_timestamp_seconds",
			"When the TLS certificate that is served expires."),
	})
}

type state struct {
	look func(context.Context) State

	stopping, up, fault, max, open, use, waits, waited, count, age, skew, cert *prometheus.Desc

	mu     sync.Mutex
	looked time.Time
	last   State
}

// Describe implements prometheus.Collector.
func (s *state) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.stopping, s.up, s.fault, s.max, s.open, s.use, s.waits, s.waited, s.count, s.age, s.skew, s.cert,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *state) Collect(to chan<- prometheus.Metric) {
	now := s.current()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(s.stopping, number(now.Stopping))
	for store, up := range now.Up {
		gauge(s.up, number(up), store)
	}
	for store, fault := range now.Faults {
		gauge(s.fault, 1, store, fault)
	}
	for _, p := range now.Pools {
		gauge(s.max, float64(p.Max), p.Name)
		gauge(s.open, float64(p.Open), p.Name)
		gauge(s.use, float64(p.Use), p.Name)
		counter(s.waits, float64(p.Waits), p.Name)
		counter(s.waited, p.Waited.Seconds(), p.Name)
	}
	for _, q := range now.Queues {
		gauge(s.count, float64(q.Count), q.Name)
		age := 0.0
		if !q.Oldest.IsZero() {
			age = max(0, time.Since(q.Oldest).Seconds())
		}
		gauge(s.age, age, q.Name)
	}
	gauge(s.skew, now.Skew.Seconds())
	if !now.CertificateEnds.IsZero() {
		gauge(s.cert, float64(now.CertificateEnds.Unix()))
	}
}

func (s *state) current() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked.IsZero() || time.Since(s.looked) >= lookHold {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		s.last, s.looked = s.look(ctx), time.Now()
	}
	return s.last
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
