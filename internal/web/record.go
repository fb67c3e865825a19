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

// A record is the log line of a request. It contains the path and the route, but never the query, cookies or bodies,
// which contain codes, tokens and names.
type record struct {
	http.ResponseWriter
	id      string
	address string
	begin   time.Time
	status  int
	bytes   int64
	machine bool // on the protocol chain: errors are JSON unless a page is requested

	mu    sync.Mutex
	route string
	attrs []slog.Attr
	asked string // languages that the application wants
	saved string // the user's language
}

type recordKey struct{}

func newRecord(w http.ResponseWriter, r *http.Request, machine bool) *record {
	// 80 random bits: short enough to read out on the phone, and unique in practice.
	id := strings.ToLower(rand.Text()[:16])
	return &record{ResponseWriter: w, id: id, address: addressOf(r), begin: time.Now(), machine: machine}
}

func recordOf(ctx context.Context) (*record, bool) {
	rec, ok := ctx.Value(recordKey{}).(*record)
	return rec, ok
}

// Note adds attributes to the log record of the request in ctx, if there is one.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if rec, ok := recordOf(ctx); ok {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.attrs = append(rec.attrs, attrs...)
	}
}

// RequestID returns the ID of the request in ctx, or "".
func RequestID(ctx context.Context) string {
	if rec, ok := recordOf(ctx); ok {
		return rec.id
	}
	return ""
}

// noteRoute records the pattern found by the innermost mux. It must get the very request that was passed on, because a
// copy hides the pattern.
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
	status := max(rec.status, http.StatusOK) // net/http sends 200 if the handler sets no status
	level := slog.LevelInfo
	// A 503 means that a store is unavailable, which is logged once for the store.
	// the client is gone, and its cancellation stopped our work
	if status >= 500 && status != http.StatusServiceUnavailable && !errors.Is(ctx.Err(), context.Canceled) {
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

// bounded truncates s to at most n bytes of valid UTF-8.
func bounded(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

// WriteHeader implements http.ResponseWriter.
func (rec *record) WriteHeader(status int) {
	if rec.status == 0 && status >= 200 { // 1xx is not the final response
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

// Unwrap lets http.ResponseController find the ResponseWriter.
func (rec *record) Unwrap() http.ResponseWriter { return rec.ResponseWriter }
