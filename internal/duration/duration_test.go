package duration_test

import (
	"testing"
	"time"

	"github.com/stepward/stepward/internal/duration"
)

func TestDurationsAreWrittenShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Hour: "10h",
		90 * time.Minute: "1h30m", 100 * time.Millisecond: "100ms", 9600 * time.Hour: "9600h",
	} {
		if got := duration.Short(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
