package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Metrics are the counters of one server. They have a registry of their own, so that several servers fit into a test.
type Metrics struct {
	registry *prometheus.Registry

	requests, ceremonies, stepUps, tokens, refusals *prometheus.CounterVec
	took                                            *prometheus.HistogramVec
	asked                                           *prometheus.HistogramVec
	operations                                      *prometheus.SummaryVec
	outbound                                        *prometheus.HistogramVec
	jobs                                            *prometheus.CounterVec
	jobTook, jobDone                                *prometheus.GaugeVec

	routes, checks, outcomes, classes, steps *names
}

// MetricsConfig configures Metrics.
type MetricsConfig struct {
	Version string
	// Classes are the action classes of the configuration.
	Classes []string
}

var (
	requestBuckets = []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	storeBuckets   = []float64{.0002, .0005, .001, .002, .005, .01, .025, .1, .5, 2.5, 6}
)

// NewMetrics returns Metrics in which nothing has been counted.
func NewMetrics(c MetricsConfig) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		// The code has about 120 routes, 15 checks, 20 outcomes and 120 steps of the store.
		routes: newNames(400), checks: newNames(64), outcomes: newNames(64), steps: newNames(400),
		classes: fixed(c.Classes...),
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("stepward_requests_total", "Answered requests.", "route", "method", "status")
	m.took = histogram("stepward_request_seconds", "Time from the request to its answer.", requestBuckets, "route")
	m.ceremonies = counter("stepward_ceremonies_total", "Finished passkey ceremonies.", "purpose", "outcome")
	m.stepUps = counter("stepward_step_ups_total",
		"Pages that asked a signed-in person for a passkey again.", "reason", "class")
	m.tokens = counter("stepward_tokens_total", "Answers of the token endpoint with tokens.", "grant")
	m.refusals = counter("stepward_refusals_total", "OAuth errors told to applications.", "error")
	m.asked = histogram("stepward_store_seconds", "Time of a question to a store.", storeBuckets, "store", "outcome")
	m.operations = prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "stepward_store_operation_seconds", Help: "Time of questions to a store, by what was asked.",
	}, []string{"store", "operation"})
	m.registry.MustRegister(m.operations)
	m.outbound = histogram("stepward_outbound_seconds",
		"Time of requests to applications: keys, metadata, logouts.", requestBuckets, "method", "outcome")
	m.jobs = counter("stepward_jobs_total", "Runs of housekeeping on this replica.", "task", "outcome")
	m.jobTook = gauge("stepward_job_last_seconds", "Time that the last run of a job took.", "task")
	m.jobDone = gauge("stepward_job_last_success_timestamp_seconds", "When a job last succeeded on this replica.", "task")
	gauge("stepward_build_info", "1, with the version as a label.", "version", "go").
		WithLabelValues(c.Version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// AddClass adds an action class of a later policy to the labels.
func (m *Metrics) AddClass(name string) { m.classes.known.Store(name, struct{}{}) }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	})
}

// Answered counts a request and what its log record says about sign-ins and tokens. It is a web.Config.Answered.
func (m *Metrics) Answered(_ context.Context, a web.Answer) {
	route := "none"
	if a.Route != "" {
		route = m.routes.label(a.Route)
	}
	m.requests.WithLabelValues(route, method(a.Method), strconv.Itoa(a.Status)).Inc()
	m.took.WithLabelValues(route).Observe(a.Took.Seconds())
	values := func(key string) string {
		for _, attr := range a.Attrs {
			if attr.Key == key {
				return attr.Value.String()
			}
		}
		return ""
	}
	for _, attr := range a.Attrs {
		switch attr.Key {
		case "oauth_error":
			m.refusals.WithLabelValues(oauthError(attr.Value.String())).Inc()
		case "grant":
			m.tokens.WithLabelValues(grant(attr.Value.String())).Inc()
		case "ceremony":
			m.ceremonies.WithLabelValues(purpose(attr.Value.String()), m.outcome(a, values("outcome"))).Inc()
		case "step_up":
			m.countStepUp(attr, values("class"))
		}
	}
}

// outcome returns the label of a ceremony's outcome: the fixed words of login, or why it came to none.
func (m *Metrics) outcome(a web.Answer, noted string) string {
	switch {
	case noted != "":
		return m.outcomes.label(noted)
	case a.Status == http.StatusServiceUnavailable:
		return "unavailable"
	case a.Status >= http.StatusInternalServerError:
		return "failed"
	case a.Status >= http.StatusBadRequest:
		return "refused"
	}
	return "ok"
}

func (m *Metrics) countStepUp(reason slog.Attr, classes string) {
	check := m.checks.label(reason.Value.String())
	if classes == "" {
		m.stepUps.WithLabelValues(check, "").Inc()
		return
	}
	for class := range strings.FieldsSeq(classes) {
		m.stepUps.WithLabelValues(check, m.classes.label(class)).Inc()
	}
}

// Asked counts a question to a store.
func (m *Metrics) Asked(store, operation string, took time.Duration, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, idp.ErrUnavailable):
		outcome = "unavailable"
	case errors.Is(err, context.Canceled):
		outcome = "cancelled"
	case err != nil && !errors.Is(err, idp.ErrNotFound) && !errors.Is(err, idp.ErrConflict):
		outcome = "error"
	}
	m.asked.WithLabelValues(store, outcome).Observe(took.Seconds())
	m.operations.WithLabelValues(store, m.steps.label(operation)).Observe(took.Seconds())
}

// Fetched counts a request of ours to others; status 0: no answer.
func (m *Metrics) Fetched(method string, status int, took time.Duration) {
	outcome := "no answer"
	if status > 0 {
		outcome = strconv.Itoa(status/100) + "xx"
	}
	m.outbound.WithLabelValues(method, outcome).Observe(took.Seconds())
}

// Job counts a run of a job.
func (m *Metrics) Job(name string, took time.Duration, err error) {
	m.jobTook.WithLabelValues(name).Set(took.Seconds())
	if err != nil {
		m.jobs.WithLabelValues(name, "failed").Inc()
		return
	}
	m.jobs.WithLabelValues(name, "ok").Inc()
	m.jobDone.WithLabelValues(name).SetToCurrentTime()
}
