package telemetry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// ExportConfig says where traces go.
type ExportConfig struct {
	URL     string // of the collector: /v1/traces is added
	Headers http.Header
}

const (
	exportTime  = 10 * time.Second // for one batch, retries included
	exportTries = 3
)

// A collector sends spans with OTLP over HTTP. It is ours, because OpenTelemetry's brings gRPC along: 69 packages and
// 2.2 MB that is not used here.
type collector struct {
	url     string
	headers http.Header
	client  *http.Client
	log     *slog.Logger
	away    atomic.Bool
}

func newCollector(c ExportConfig, log *slog.Logger) *collector {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the headers are secret
	return &collector{
		url: c.URL + "/v1/traces", headers: c.Headers, log: cmp.Or(log, slog.Default()),
		client: &http.Client{Timeout: exportTime, CheckRedirect: stay},
	}
}

// Start implements otlptrace.Client.
func (c *collector) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. Spans that the collector does not take are lost. The log has one line when
// that begins, and one when it ends.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	// TracesData is on the wire what ExportTraceServiceRequest is: one field, repeated ResourceSpans.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(body) // to memory: cannot fail
	_ = zip.Close()
	err = c.send(ctx, packed.Bytes())
	switch {
	case err == nil && c.away.CompareAndSwap(true, false):
		c.log.Warn("the trace collector is back")
	case err != nil && c.away.CompareAndSwap(false, true):
		c.log.Error("traces are lost: the collector does not take them", "error", err)
	}
	return nil
}

// send posts a batch, and again while the collector asks for it (OTLP §Failures).
func (c *collector) send(ctx context.Context, body []byte) error {
	for try := 1; ; try++ {
		wait, err := c.post(ctx, body)
		if err == nil || wait < 0 || try == exportTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(max(wait, time.Duration(try)*500*time.Millisecond)):
		}
	}
}

// post returns how long to wait before trying again; negative: never.
func (c *collector) post(ctx context.Context, body []byte) (wait time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, errors.New("the address cannot be used")
	}
	r.Header = c.headers.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("User-Agent", "Stepward")
	resp, err := c.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return time.Duration(min(seconds, 10)) * time.Second, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return -1, fmt.Errorf("it answered %d", resp.StatusCode)
}
