package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/store/storetest"
)

func TestAServerSeesHowFullItsEphemeralStoreIs(t *testing.T) {
	var log bytes.Buffer
	for name, c := range map[string]struct {
		environ []string
		short   bool
	}{
		"embedded":                     {[]string{"STEPWARD_DATA_DIR=" + t.TempDir()}, false},
		"Redis without maxmemory":      {production(t, storetest.PostgresURL(t)), false},
		"Redis above the ceiling of 1": {append(production(t, storetest.PostgresURL(t)), "STEPWARD_EPHEMERAL_CEILING=1"), true},
	} {
		s := newServer(t, slog.New(slog.NewTextHandler(&log, nil)), append(c.environ, "STEPWARD_ISSUER=http://localhost:8080")...)
		for range 2 { // is told once
			if err := s.measureRoom(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s.room.Short() != c.short {
			t.Errorf("%s: short %v, want %v", name, s.room.Short(), c.short)
		}
	}
	if n := strings.Count(log.String(), "half full"); n != 1 {
		t.Errorf("told %d times: %s", n, log.String())
	}
}
