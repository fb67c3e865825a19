package telemetry_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/telemetry"
	"github.com/stepward/stepward/internal/web"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series returns the number of our series: without Go's and the process's.
func series(text string) (n int) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "stepward_") {
			n++
		}
	}
	return n
}

func wantSeries(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func TestTheRecordOfARequestIsCounted(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics(telemetry.MetricsConfig{Version: "v1.2.3", Classes: []string{"payments"}})
	note := func(pairs ...string) (attrs []slog.Attr) {
		for i := 0; i < len(pairs); i += 2 {
			attrs = append(attrs, slog.String(pairs[i], pairs[i+1]))
		}
		return attrs
	}
	for _, a := range []web.Answer{
		{Route: "GET /login", Method: "GET", Status: 200, Took: 3 * time.Millisecond, Attrs: note("step_up", "max_age", "class", "")},
		{Route: "GET /login", Method: "GET", Status: 200, Attrs: note("step_up", "class", "class", "payments")},
		{Route: "POST /login/passkey/finish", Method: "POST", Status: 200, Attrs: note("ceremony", "step-up")},
		{Route: "POST /login/passkey/finish", Method: "POST", Status: 400, Attrs: note("ceremony", "sign-in", "outcome", "not verified")},
		{Route: "POST /login/passkey/finish", Method: "POST", Status: 503, Attrs: note("ceremony", "sign-in")},
		{Route: "/oauth2/token", Method: "POST", Status: 200, Attrs: note("grant", "refresh_token")},
		{Route: "/oauth2/token", Method: "POST", Status: 400, Attrs: note("oauth_error", "invalid_grant")},
		{Route: "", Method: "GET", Status: 404},
	} {
		m.Answered(t.Context(), a)
	}
	m.Asked("postgres", "load session", time.Millisecond, nil)
	m.Asked("postgres", "load session", time.Millisecond, fmt.Errorf("load session: %w", idp.ErrNotFound))
	m.Asked("redis", "get", time.Millisecond, idp.ErrUnavailable)
	m.Job("sweep", time.Second, nil)
	m.Job("sweep", time.Second, errors.New("x"))
	wantSeries(t, scrape(t, m),
		`stepward_requests_total{method="GET",route="GET /login",status="200"} 2`,
		`stepward_requests_total{method="GET",route="none",status="404"} 1`,
		`stepward_request_seconds_count{route="GET /login"} 2`,
		`stepward_step_ups_total{class="",reason="max_age"} 1`,
		`stepward_step_ups_total{class="payments",reason="class"} 1`,
		`stepward_ceremonies_total{outcome="ok",purpose="step-up"} 1`,
		`stepward_ceremonies_total{outcome="not verified",purpose="sign-in"} 1`,
		`stepward_ceremonies_total{outcome="unavailable",purpose="sign-in"} 1`,
		`stepward_tokens_total{grant="refresh_token"} 1`,
		`stepward_refusals_total{error="invalid_grant"} 1`,
		`stepward_store_seconds_count{outcome="ok",store="postgres"} 2`,
		`stepward_store_seconds_count{outcome="unavailable",store="redis"} 1`,
		`stepward_store_operation_seconds_count{operation="load session",store="postgres"} 2`,
		`stepward_jobs_total{outcome="failed",task="sweep"} 1`,
	)
}

func TestStrangersCannotCreateSeries(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics(telemetry.MetricsConfig{Classes: []string{"payments"}})
	flood := func(n int) {
		for i := range n {
			v := fmt.Sprintf("v%d", i)
			m.Answered(t.Context(), web.Answer{Method: v, Status: 404, Attrs: []slog.Attr{
				slog.String("client", v), slog.String("oauth_error", v), slog.String("grant", v), slog.String("ceremony", v),
				slog.String("step_up", "max_age"), slog.String("class", v),
			}})
		}
	}
	flood(1)
	before := series(scrape(t, m))
	flood(5000)
	if after := series(scrape(t, m)); after != before {
		t.Errorf("%d series, %d before the flood", after, before)
	}
	// Even if a mistake of ours let a stranger's text through as a route, an outcome or a step, it would end.
	for i := range 5000 {
		v := fmt.Sprintf("v%d", i)
		m.Answered(t.Context(), web.Answer{Route: v, Method: "GET", Status: 200, Attrs: []slog.Attr{
			slog.String("ceremony", "sign-in"), slog.String("outcome", v), slog.String("step_up", v),
		}})
		m.Asked("postgres", v, 0, nil)
	}
	if after := series(scrape(t, m)); after > 10_000 {
		t.Errorf("%d series", after)
	}
}

// receiver is a collector of OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*tracepb.Span
	headers http.Header
	answers []int // statuses to give before taking any
}

func newReceiver(t *testing.T, answers ...int) *receiver {
	rec := &receiver{answers: answers}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if len(rec.answers) > 0 {
			w.WriteHeader(rec.answers[0])
			rec.answers = rec.answers[1:]
			return
		}
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(zip)
		var data tracepb.TracesData
		if err = errors.Join(err, proto.Unmarshal(body, &data)); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		rec.headers = r.Header
		for _, resource := range data.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				rec.spans = append(rec.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(rec.Close)
	return rec
}

func newTracer(t *testing.T, rec *receiver, sample float64, join bool, log *slog.Logger) *telemetry.Tracer {
	t.Helper()
	tracer, err := telemetry.NewTracer(t.Context(), telemetry.TracerConfig{
		Export: telemetry.ExportConfig{URL: rec.URL, Headers: http.Header{"Authorization": {"Basic eA=="}}},
		Sample: sample, Join: join, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

const (
	theirTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent = "00-" + theirTrace + "-00f067aa0ba902b7-01"
)

func TestOnlyAProxyThatWeJoinDecidesWhatIsTraced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sample            float64
		join, proxied     bool
		traced, continued bool
	}{
		"a stranger forces nothing":        {0, true, false, false, false},
		"a proxy forces nothing by itself": {0, false, true, false, false},
		"a proxy that is joined decides":   {0, true, true, true, true},
		"a stranger's trace is a link":     {1, true, false, true, false},
	} {
		rec := newReceiver(t)
		tracer := newTracer(t, rec, c.sample, c.join, nil)
		r := httptest.NewRequest("GET", "/login?code=SECRET", nil)
		r.Header.Set("Traceparent", traceparent)
		r.Header.Set("Tracestate", "vendor=SECRET")
		r.Header.Set("Baggage", "user=SECRET")
		ctx, id := tracer.Request(r, c.proxied)
		tracer.Answered(ctx, web.Answer{Route: "GET /login", Method: "GET", Status: 200})
		if err := tracer.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		switch {
		case (id != "") != c.traced || len(rec.spans) != map[bool]int{true: 1}[c.traced]:
			t.Errorf("%s: trace %q, %d spans", name, id, len(rec.spans))
		case c.traced && (id == theirTrace) != c.continued:
			t.Errorf("%s: trace %s", name, id)
		case c.traced && !c.continued && (len(rec.spans[0].Links) != 1 || fmt.Sprintf("%x", rec.spans[0].Links[0].TraceId) != theirTrace):
			t.Errorf("%s: links %v", name, rec.spans[0].Links)
		}
		if text := fmt.Sprint(rec.spans); !c.continued && strings.Contains(text, "SECRET") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestSpansHangTogetherAndGoOn(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, http.StatusServiceUnavailable) // it is asked again
	tracer := newTracer(t, rec, 1, false, nil)
	var sent string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r.Header.Get("Traceparent") }))
	defer other.Close()

	ctx, id := tracer.Request(httptest.NewRequest("POST", "/oauth2/token", nil), false)
	_, done := tracer.Ask(ctx, "redis", "take, put")
	done(fmt.Errorf("secret: %w", idp.ErrUnavailable))
	r, err := http.NewRequestWithContext(ctx, "GET", other.URL+"/jwks?SECRET", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tracer.Fetch(http.DefaultTransport).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	tracer.Answered(ctx, web.Answer{Route: "POST /oauth2/token", Status: 503, Attrs: []slog.Attr{slog.String("error", "SECRET")}})
	if _, done := tracer.Ask(context.Background(), "redis", "get"); done != nil { // nobody is traced: no span
		done(nil)
	}
	if err := tracer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	names := map[string]*tracepb.Span{}
	for _, s := range rec.spans {
		names[s.Name] = s
		if fmt.Sprintf("%x", s.TraceId) != id {
			t.Errorf("%s is in another trace", s.Name)
		}
	}
	root := names["POST /oauth2/token"]
	if len(rec.spans) != 3 || root == nil || names["take, put"] == nil || names["fetch"] == nil ||
		string(names["take, put"].ParentSpanId) != string(root.SpanId) {
		t.Fatalf("spans: %v", rec.spans)
	}
	if names["take, put"].Status.Message != "unavailable" || strings.Contains(strings.ToLower(fmt.Sprint(rec.spans)), "secret") {
		t.Errorf("spans: %v", rec.spans)
	}
	if !strings.HasPrefix(sent, "00-"+id+"-") || !strings.HasSuffix(sent, "-01") {
		t.Errorf("traceparent of the fetch: %q", sent)
	}
	if rec.headers.Get("Authorization") != "Basic eA==" {
		t.Errorf("headers: %v", rec.headers)
	}
}

func TestALostCollectorIsOneLine(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, 400, 400, 400)
	var log strings.Builder
	tracer := newTracer(t, rec, 1, false, slog.New(slog.NewTextHandler(&log, nil)))
	for range 4 {
		ctx, _ := tracer.Request(httptest.NewRequest("GET", "/", nil), false)
		tracer.Answered(ctx, web.Answer{Status: 200})
		if err := tracer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(log.String(), "traces are lost") != 1 || strings.Count(log.String(), "collector is back") != 1 || len(rec.spans) != 1 {
		t.Errorf("%d spans, log:\n%s", len(rec.spans), log.String())
	}
}
