package logs_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/logs"
)

// A file counts what is written to it.
type file struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (f *file) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	return f.text.Write(b)
}

func (f *file) expect(t *testing.T, lines, writes int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := strings.Count(f.text.String(), "\n"); n != lines || f.writes != writes {
		t.Errorf("%d lines in %d writes, want %d in %d", n, f.writes, lines, writes)
	}
}

func open() (*file, *logs.Writer, *slog.Logger) {
	f := &file{}
	w := logs.NewWriter(f)
	return f, w, slog.New(w.Handler(slog.NewTextHandler(w, nil)))
}

func TestLinesAreWrittenTogetherAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, w, log := open()
		for range 3 {
			log.Info("request")
		}
		f.expect(t, 0, 0)
		time.Sleep(100 * time.Millisecond)
		f.expect(t, 3, 1)
		log.Info("later")
		time.Sleep(100 * time.Millisecond)
		f.expect(t, 4, 2)
		log.Info("last")
		w.Flush()
		f.expect(t, 5, 3)
		time.Sleep(time.Second)
		f.expect(t, 5, 3)
	})
}

func TestWarningsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, log := open()
		log.Info("request")
		log.With("a", "b").Warn("store is away")
		f.expect(t, 2, 1)
		log.WithGroup("g").Error("request")
		f.expect(t, 3, 2)
		if text := f.text.String(); !strings.Contains(strings.SplitN(text, "\n", 2)[0], "level=INFO") {
			t.Errorf("out of order: %s", text)
		}
	})
}

func TestLinesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, log := open()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 1000 {
					log.Info("request", "path", strings.Repeat("x", 100))
				}
			})
		}
		all.Wait()
		f.mu.Lock()
		if f.text.Len() < 1000*1000 {
			t.Errorf("%d bytes are written", f.text.Len())
		}
		f.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := strings.Count(f.text.String(), "msg=request path=xxx"); n != 8000 {
			t.Errorf("%d lines are whole", n)
		}
	})
}
