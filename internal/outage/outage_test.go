package outage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/outage"
)

func TestAnOutageIsTwoLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := outage.New(slog.New(slog.NewTextHandler(&log, nil)), "redis")
		told := 0
		lines := func() (said []string) {
			for line := range strings.Lines(log.String()) {
				_, line, _ = strings.Cut(line, "level=")
				said = append(said, strings.TrimSpace(line))
			}
			told += len(said)
			log.Reset()
			return said
		}
		broken := errors.New("connection refused")
		w.Answered(time.Now())
		begin := time.Now()
		time.Sleep(time.Second)
		for range 100 {
			w.Failed(begin, broken)
			time.Sleep(100 * time.Millisecond)
			w.Answered(time.Now()) // of another connection
		}
		if d := cmp.Diff([]string{`ERROR msg="store is away" store=redis error="connection refused"`}, lines()); d != "" {
			t.Error(d)
		}
		late := time.Now()
		time.Sleep(time.Second)
		w.Answered(time.Now())
		w.Failed(late, broken) // asked before it came back
		w.Answered(time.Now())
		if d := cmp.Diff([]string{`WARN msg="store is back" store=redis away=11s failed=100`}, lines()); d != "" {
			t.Error(d)
		}
		t.Logf("counted: %d lines for an outage of 101 failures", told)
		w.Failed(time.Now(), broken)
		if len(lines()) != 1 {
			t.Error("the next outage is not told")
		}
	})
}
