package web

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A record is the log line of a request. It contains the path and the route, but never the query, cookies or bodies,
// which contain codes, tokens and names.
type record struct {
	http.ResponseWriter
	life    lifetime
	id      [1]string // as a header has it
	trace   string
	address string
	network netip.Addr // see networkOf
	begin   time.Time
	status  int
	bytes   int64
	policy  int64 // version; 0: none is stored
	machine bool  // on the protocol chain: errors are JSON unless a page is requested

	certificates []*x509.Certificate // of the connection, on the protocol chain

	mu    sync.Mutex
	route string
	attrs []slog.Attr
	asked string // languages that the application wants
	saved string // the user's language
}

type recordKey struct{}

// An Answer is what metrics and traces learn about an answered request: never its path, query or body.
type Answer struct {
	RequestID string
	Route     string // the pattern that matched; "": none
	Method    string // as the client wrote it
	Status    int
	Took      time.Duration
	Attrs     []slog.Attr // of the log record: see [Note]
}

const requestIDHeader = "X-Request-Id"

// saneID reports whether a proxy's request ID may go into logs, events and error pages.
func saneID(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// newRecord returns the record of a request whose context is made from outer. Call life.end when it is answered.
func newRecord(outer context.Context, w http.ResponseWriter, r *http.Request, machine bool) *record {
	rec := &record{ResponseWriter: w, id: [1]string{newRequestID()}, begin: time.Now(), machine: machine}
	rec.address, rec.network = addressOf(r)
	rec.life.Context, rec.life.record, rec.life.deadline = outer, rec, rec.begin.Add(MaxTime)
	return rec
}

var idLetters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newRequestID returns 80 random bits: short enough to read out on the phone, and unique in practice.
func newRequestID() string {
	var bits [10]byte
	_, _ = rand.Read(bits[:]) // never fails
	return idLetters.EncodeToString(bits[:])
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
		return rec.id[0]
	}
	return ""
}

// PolicyVersion returns the version of the policy under which the request in ctx is answered; 0 if none is stored.
func PolicyVersion(ctx context.Context) int64 {
	if rec, ok := recordOf(ctx); ok {
		return rec.policy
	}
	return 0
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

func (rec *record) write(ctx context.Context, s *Shell, r *http.Request) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	now := time.Now()
	took := now.Sub(rec.begin)
	status := max(rec.status, http.StatusOK) // net/http sends 200 if the handler sets no status
	level := slog.LevelInfo
	// A 503 means that a store is unavailable, which is logged once for the store.
	// the client is gone, and its cancellation stopped our work
	if status >= 500 && status != http.StatusServiceUnavailable && !errors.Is(ctx.Err(), context.Canceled) {
		level = slog.LevelError
	}
	if log := s.log.Handler(); log.Enabled(ctx, level) {
		line := slog.NewRecord(now, level, "request", 0) // no handler of ours shows the place in the code
		var room [20]slog.Attr
		attrs := append(room[:0],
			slog.String("request_id", rec.id[0]),
			slog.String("method", bounded(r.Method, 16)),
			slog.String("route", rec.route),
			slog.String("path", bounded(r.URL.Path, 200)),
			slog.Int("status", status),
			slog.Int64("bytes", rec.bytes),
			slog.Duration("took", took),
			slog.String("address", rec.address),
		)
		attrs = append(attrs, rec.attrs...)
		if rec.policy > 0 {
			attrs = append(attrs, slog.Int64("policy", rec.policy))
		}
		if rec.trace != "" {
			attrs = append(attrs, slog.String("trace_id", rec.trace))
		}
		line.AddAttrs(attrs...)
		_ = log.Handle(ctx, line) // as log/slog does
	}
	if s.config.Answered != nil {
		s.config.Answered(ctx, Answer{
			RequestID: rec.id[0], Route: rec.route, Method: r.Method, Status: status, Took: took, Attrs: rec.attrs,
		})
	}
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
	if status == http.StatusTooManyRequests && rec.Header().Get("Retry-After") == "" {
		rec.Header().Set("Retry-After", "60") // every 429 passes here, also one whose writer did not set the header
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
