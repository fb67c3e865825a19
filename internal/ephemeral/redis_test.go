package ephemeral_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

func openRedis(t *testing.T, url string) *ephemeral.Redis {
	t.Helper()
	s, err := ephemeral.OpenRedis(t.Context(), url, nil)
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

func TestRedisThatCrashesIsUnavailable(t *testing.T) {
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

func TestEverythingInRedisExpires(t *testing.T) {
	url := ephemeraltest.RedisURL(t)
	s := openRedis(t, url)
	op := func(verb ephemeral.Verb, key string) *ephemeral.Op {
		return &ephemeral.Op{Verb: verb, Key: key, Member: "m", TTL: time.Minute}
	}
	if err := s.Do(t.Context(), op(ephemeral.Put, "x:a"), op(ephemeral.Put, "x:b"), op(ephemeral.Swap, "x:b"),
		op(ephemeral.Claim, "x:c"), op(ephemeral.Count, "x:n"), op(ephemeral.Count, "x:n"), op(ephemeral.Add, "i:u")); err != nil {
		t.Fatal(err)
	}
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	defer client.Close()
	keys, err := client.Keys(t.Context(), "stepward:*").Result()
	if err != nil || len(keys) != 5 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	for _, key := range keys {
		if ttl, err := client.PTTL(t.Context(), key).Result(); err != nil || ttl <= 0 || ttl > time.Minute {
			t.Errorf("%s lives %v, %v", key, ttl, err)
		}
	}
}

// A command whose response was lost may have run. A retry would turn a Take that won into one that found nothing.
func TestLostRedisResponsesAreNotRetried(t *testing.T) {
	server := ephemeraltest.RedisURL(t)
	proxy, lose := lossyProxy(t, strings.TrimPrefix(server, "unix://"))
	s, direct := openRedis(t, proxy), openRedis(t, server)
	count := &ephemeral.Op{Verb: ephemeral.Count, Key: "x:n", TTL: time.Minute}
	lose.Store(true)
	if err := s.Do(t.Context(), count); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("lost answer: %v", err)
	}
	if err := s.Do(t.Context(), count, &ephemeral.Op{Verb: ephemeral.Get, Key: "x:a"}); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("lost answers: %v", err)
	}
	if err := direct.Do(t.Context(), count); err != nil || count.N != 3 {
		t.Errorf("after two lost answers the count is %d, %v", count.N, err)
	}
	lose.Store(false)
	if err := s.Do(t.Context(), count); err != nil {
		t.Errorf("the store does not recover: %v", err)
	}
}

// lossyProxy forwards to the server at socket. While lose is set, it closes the connection instead of returning the
// response to a script.
func lossyProxy(t *testing.T, socket string) (url string, lose *atomic.Bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	lose = new(atomic.Bool)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			var script atomic.Bool
			go relay(server, client, func(b []byte) bool {
				script.Store(bytes.Contains(b, []byte("eval")))
				return true
			})
			go relay(client, server, func([]byte) bool { return !script.Load() || !lose.Load() })
		}
	}()
	return "redis://" + listener.Addr().String(), lose
}

// relay copies until pass returns false or one side closes, then closes both.
func relay(to, from net.Conn, pass func([]byte) bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !pass(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestRedisThatEvictsIsRefused(t *testing.T) {
	url := ephemeraltest.StartRedis(t, "--maxmemory-policy", "allkeys-lru").URL
	if _, err := ephemeral.OpenRedis(t.Context(), url, nil); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("evicting server: %v", err)
	}
}

func TestRedisWithoutCONFIGIsAccepted(t *testing.T) {
	openRedis(t, ephemeraltest.StartRedis(t, "--rename-command", "CONFIG", "").URL)
}

func TestRedisURLErrorsShowNoPassword(t *testing.T) {
	for _, url := range []string{"redis://:hunter2@host:port", "http://:hunter2@host", "redis://:hunter2@host/x", "redis://:hunter2@ho st", "unix://"} {
		_, err := ephemeral.OpenRedis(t.Context(), url, nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestUnreachableRedisIsUnavailable(t *testing.T) {
	began := time.Now()
	if _, err := ephemeral.OpenRedis(t.Context(), "unix:///nonexistent/socket", nil); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("no server there: %v", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v to say so", took)
	}
}
