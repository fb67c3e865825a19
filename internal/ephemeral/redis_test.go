package ephemeral_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

func openRedis(t *testing.T, url string) *ephemeral.Redis {
	t.Helper()
	s, err := ephemeral.OpenRedis(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRedisKeepsTheContract(t *testing.T) {
	url := ephemeraltest.StartRedis(t, "--databases", "64").URL
	var database atomic.Int64 // one server for all cases, to each its own database
	ephemeraltest.Run(t, func(t *testing.T) ephemeral.Store {
		return openRedis(t, fmt.Sprintf("%s?db=%d", url, database.Add(1)))
	})
}

func TestRedisThatDiesInTheMiddleIsUnavailable(t *testing.T) {
	server := ephemeraltest.StartRedis(t)
	s := openRedis(t, server.URL)
	b := ephemeral.NewBucket[string](s, "x", time.Minute)
	if err := b.Put(t.Context(), "a", "v"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	put, err := b.PutOp("b", "v", 0)
	if err != nil {
		t.Fatal(err)
	}
	take := b.TakeOp("a")
	for name, err := range map[string]error{"several": s.Do(t.Context(), take, put), "one": s.Do(t.Context(), take), "ping": s.Ping(t.Context())} {
		if !errors.Is(err, idp.ErrUnavailable) || errors.Is(err, idp.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if take.Found || take.Result != nil {
		t.Error("a dead server gave a result")
	}
	if _, err := b.Get(t.Context(), "a"); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
}

func TestRedisThatEvictsIsRefused(t *testing.T) {
	url := ephemeraltest.StartRedis(t, "--maxmemory-policy", "allkeys-lru").URL
	if _, err := ephemeral.OpenRedis(t.Context(), url); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("evicting server: %v", err)
	}
}

func TestRedisThatHidesItsConfigIsTaken(t *testing.T) {
	openRedis(t, ephemeraltest.StartRedis(t, "--rename-command", "CONFIG", "").URL)
}

func TestRedisURLErrorsShowNoPassword(t *testing.T) {
	for _, url := range []string{"redis://:hunter2@host:port", "http://:hunter2@host", "redis://:hunter2@host/x", "redis://:hunter2@ho st", "unix://"} {
		_, err := ephemeral.OpenRedis(t.Context(), url)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestRedisThatIsNotThereIsUnavailable(t *testing.T) {
	began := time.Now()
	if _, err := ephemeral.OpenRedis(t.Context(), "unix:///nonexistent/socket"); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v to say so", took)
	}
}
