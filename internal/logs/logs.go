// Package logs writes the lines of a log together: a line for each request would otherwise cost a system call each.
package logs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// delay is the longest time that a line waits. A crash loses the lines of this time, but no warning or error.
	delay = 50 * time.Millisecond
	// full is the size in bytes at which nothing waits.
	full = 16 << 10
)

// A Writer collects lines for an io.Writer. It is safe for concurrent use.
type Writer struct {
	out     io.Writer
	mu      sync.Mutex
	lines   []byte
	waiting bool // a timer runs
}

// NewWriter returns a Writer to out. Call Flush before the program ends.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Write implements io.Writer. It never fails: nobody reads the error of a log.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line...)
	switch {
	case len(w.lines) >= full:
		w.flush()
	case !w.waiting:
		w.waiting = true
		time.AfterFunc(delay, w.expire)
	}
	return len(line), nil
}

func (w *Writer) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
	w.flush()
}

// Flush writes all lines that wait.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

func (w *Writer) flush() {
	if len(w.lines) > 0 {
		_, _ = w.out.Write(w.lines)
		w.lines = w.lines[:0]
	}
}

// Handler returns a handler like h, which writes to w, but warnings and errors do not wait.
func (w *Writer) Handler(h slog.Handler) slog.Handler { return handler{h, w} }

type handler struct {
	slog.Handler
	w *Writer
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, line slog.Record) error {
	err := h.Handler.Handle(ctx, line)
	if line.Level >= slog.LevelWarn {
		h.w.Flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.w}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name), h.w} }
