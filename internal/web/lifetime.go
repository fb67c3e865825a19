package web

import (
	"context"
	"sync"
	"time"
)

// A lifetime is the context of a request: it carries the record, and ends after [MaxTime], or with the connection. A
// timer costs more than everything else in the chain, and many requests use no store, so it starts when somebody first
// asks for the end. It is safe for concurrent use.
type lifetime struct {
	context.Context // of the connection
	record          *record
	deadline        time.Time

	mu     sync.Mutex
	timed  context.Context // with the timer; nil: not started
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (l *lifetime) Deadline() (time.Time, bool) {
	if outer, ok := l.Context.Deadline(); ok && outer.Before(l.deadline) {
		return outer, true
	}
	return l.deadline, true
}

// Done implements context.Context. It starts the timer.
func (l *lifetime) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timed == nil {
		l.timed, l.cancel = context.WithDeadline(l.Context, l.deadline)
	}
	return l.timed.Done()
}

// Err implements context.Context.
func (l *lifetime) Err() error {
	inner := l.inner()
	if err := inner.Err(); err != nil || inner != l.Context || time.Now().Before(l.deadline) {
		return err
	}
	return context.DeadlineExceeded
}

// Value implements context.Context. Once the timer runs, package context finds it here, and needs no goroutine for the
// contexts that are made from this one.
func (l *lifetime) Value(key any) any {
	if key == (recordKey{}) {
		return l.record
	}
	return l.inner().Value(key)
}

func (l *lifetime) inner() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timed == nil {
		return l.Context
	}
	return l.timed
}

// over is a context that has ended.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// end ends the context, as the function of context.WithDeadline does.
func (l *lifetime) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timed == nil {
		l.timed = over
		return
	}
	l.cancel()
}
