package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// TracerConfig configures a Tracer.
type TracerConfig struct {
	Export  ExportConfig
	Version string
	// Sample is the share of requests that are traced, from 0 to 1.
	Sample float64
	// Join continues the traces that trusted proxies began, and follows their decision to sample. Otherwise, and for
	// all others, a request begins a trace of its own, and the one in its traceparent is a link.
	Join bool
	Log  *slog.Logger
}

// A Tracer records what requests and jobs do. It sets no global of the OpenTelemetry packages, so the libraries that we
// use record nothing of their own.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	join     bool
}

var w3c propagation.TraceContext // no baggage: it is others' text

// NewTracer returns a Tracer that exports in the background until Close.
func NewTracer(ctx context.Context, c TracerConfig) (*Tracer, error) {
	exporter, err := otlptrace.New(ctx, newCollector(c.Export, c.Log))
	if err != nil {
		return nil, err
	}
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit, limits.AttributeCountLimit = 256, 32
	limits.EventCountLimit, limits.LinkCountLimit = 8, 1
	// The share is drawn for our own trace IDs. A trace that is joined brings its decision with it.
	sampler := sdk.ParentBased(sdk.TraceIDRatioBased(c.Sample))
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(4096)), sdk.WithSampler(sampler), sdk.WithRawSpanLimits(limits),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "stepward"), attribute.String("service.version", c.Version),
			attribute.String("service.instance.id", idp.NewID()))),
	)
	return &Tracer{provider, provider.Tracer("github.com/stepward/stepward"), c.Join}, nil
}

// Close exports what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Flush exports what has ended.
func (t *Tracer) Flush(ctx context.Context) error { return t.provider.ForceFlush(ctx) }

// Request begins the trace of a request. It is a web.Config.Trace.
func (t *Tracer) Request(r *http.Request, proxied bool) (context.Context, string) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	ctx := r.Context()
	theirs := trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
	switch {
	case !theirs.IsValid():
	case t.join && proxied:
		ctx = trace.ContextWithRemoteSpanContext(ctx, theirs)
	default:
		options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs.WithTraceState(trace.TraceState{})}))
	}
	ctx, span := t.tracer.Start(ctx, "request", options...)
	if !span.SpanContext().IsSampled() {
		return ctx, ""
	}
	return ctx, span.SpanContext().TraceID().String()
}

// Answered ends the trace of a request. It is a web.Config.Answered.
func (t *Tracer) Answered(ctx context.Context, a web.Answer) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	defer span.End()
	if a.Route != "" {
		span.SetName(a.Route)
	}
	span.SetAttributes(
		attribute.String("http.request.method", method(a.Method)), attribute.String("http.route", a.Route),
		attribute.Int("http.response.status_code", a.Status), attribute.String("stepward.request_id", a.RequestID),
	)
	for _, attr := range a.Attrs {
		if name, ok := spanAttributes[attr.Key]; ok {
			span.SetAttributes(attribute.String(name, attr.Value.String()))
		}
	}
	if a.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// spanAttributes are those of the log record that a span may have. Errors are not among them: the log has them under
// the trace's ID.
var spanAttributes = map[string]string{
	"client": "stepward.client_id", "step": "stepward.step", "check": "stepward.check",
	"ceremony": "stepward.ceremony", "outcome": "stepward.outcome", "grant": "stepward.grant",
	"oauth_error": "stepward.oauth_error", "problem": "stepward.problem",
}

// Ask begins a span for a question to a store, if its caller is traced.
func (t *Tracer) Ask(ctx context.Context, system, operation string) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(ctx, operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("db.system.name", system), attribute.String("db.operation.name", operation)))
	return ctx, func(err error) {
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			span.SetStatus(codes.Error, kindOf(err))
		}
		span.End()
	}
}

// kindOf names a fault without a word of the error, which may quote a value.
func kindOf(err error) string {
	switch {
	case errors.Is(err, idp.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, idp.ErrConflict):
		return "conflict"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "error"
}

// Job begins the trace of a run of a job.
func (t *Tracer) Job(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := t.tracer.Start(ctx, "job "+name, trace.WithNewRoot())
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, kindOf(err))
		}
		span.End()
	}
}

// Fetch traces a request of ours to others, and sends them traceparent. Spans name the host, not the path.
func (t *Tracer) Fetch(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if !trace.SpanFromContext(r.Context()).IsRecording() {
			return next.RoundTrip(r)
		}
		ctx, span := t.tracer.Start(r.Context(), "fetch", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname())))
		defer span.End()
		r = r.Clone(ctx)
		w3c.Inject(ctx, propagation.HeaderCarrier(r.Header))
		resp, err := next.RoundTrip(r)
		if err != nil {
			span.SetStatus(codes.Error, "no answer")
			return nil, err
		}
		span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
		return resp, nil
	})
}

// Fetch counts the requests of ours to others.
func (m *Metrics) Fetch(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		begin := time.Now()
		resp, err := next.RoundTrip(r)
		status := 0
		if err == nil {
			status = resp.StatusCode
		}
		m.Fetched(r.Method, status, time.Since(begin))
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
