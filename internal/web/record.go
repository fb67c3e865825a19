package web

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A record is the one line a request leaves in the log. It holds the path and the route, never the query, cookies or
// bodies: those carry codes, tokens and names.
type record struct {
	http.ResponseWriter
	id      string
	address string
	begin   time.Time
	status  int
	bytes   int64
	machine bool // on the protocol chain: answered in JSON unless a page is asked for

	mu    sync.Mutex
	route string
	attrs []slog.Attr
}

type recordKey struct{}

func newRecord(w http.ResponseWriter, r *http.Request, machine bool) *record {
	// 80 random bits: short enough to read out on the telephone, too many to meet twice.
	id := strings.ToLower(rand.Text()[:16])
	return &record{ResponseWriter: w, id: id, address: addressOf(r), begin: time.Now(), machine: machine}
}

func recordOf(ctx context.Context) (*record, bool) {
	rec, ok := ctx.Value(recordKey{}).(*record)
	return rec, ok
}

// Note adds attributes to the record of the request in ctx; without one it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if rec, ok := recordOf(ctx); ok {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.attrs = append(rec.attrs, attrs...)
	}
}

// RequestID returns the id of the request in ctx; "" outside of one.
func RequestID(ctx context.Context) string {
	if rec, ok := recordOf(ctx); ok {
		return rec.id
	}
	return ""
}

// noteRoute keeps the pattern the innermost mux found. It reads it from the very request that was passed on: any copy
// made on the way hides it.
func noteRoute(r *http.Request) {
	if rec, ok := recordOf(r.Context()); ok {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.route = r.Pattern
	}
}

func (rec *record) write(ctx context.Context, log *slog.Logger, r *http.Request) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	status := max(rec.status, http.StatusOK) // net/http says 200 for a handler that says nothing
	level := slog.LevelInfo
	// A 503 is a store that is away, which the store tells once.
	if status >= 500 && status != http.StatusServiceUnavailable && !errors.Is(ctx.Err(), context.Canceled) { // the client has gone, and took what we were doing with it
		level = slog.LevelError
	}
	attrs := append([]slog.Attr{
		slog.String("request_id", rec.id),
		slog.String("method", bounded(r.Method, 16)),
		slog.String("route", rec.route),
		slog.String("path", bounded(r.URL.Path, 200)),
		slog.Int("status", status),
		slog.Int64("bytes", rec.bytes),
		slog.Duration("took", time.Since(rec.begin)),
		slog.String("address", rec.address),
	}, rec.attrs...)
	log.LogAttrs(context.WithoutCancel(ctx), level, "request", attrs...)
}

func stackAttr(stack []byte) slog.Attr { return slog.String("stack", bounded(string(stack), 4<<10)) }

// bounded cuts s to at most n bytes of valid UTF-8.
func bounded(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

// WriteHeader implements http.ResponseWriter.
func (rec *record) WriteHeader(status int) {
	if rec.status == 0 && status >= 200 { // 1xx are not the answer yet
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (rec *record) Write(b []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(b)
	rec.bytes += int64(n)
	return n, err
}

// Unwrap serves http.ResponseController.
func (rec *record) Unwrap() http.ResponseWriter { return rec.ResponseWriter }
