package ephemeral_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

// In each of these states but the last, PING is answered.
func TestAStoreThatRejectsWritesIsReportedWithTheReason(t *testing.T) {
	var named, pinged int
	defer func() {
		t.Logf("counted: %d faults of Redis named, of 5; PING sees %d of them", named, 5-pinged)
	}()
	for want, change := range map[string]func(*redis.Client, *ephemeraltest.RedisServer) error{
		"full": func(c *redis.Client, _ *ephemeraltest.RedisServer) error {
			return c.ConfigSet(t.Context(), "maxmemory", "1").Err()
		},
		"standby": func(c *redis.Client, _ *ephemeraltest.RedisServer) error {
			return c.ReplicaOf(t.Context(), "127.0.0.1", "1").Err()
		},
		"read_only": func(c *redis.Client, _ *ephemeraltest.RedisServer) error {
			return c.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err()
		},
		"refused": func(c *redis.Client, _ *ephemeraltest.RedisServer) error {
			return c.Do(t.Context(), "acl", "setuser", "default", "-set").Err()
		},
		"down": func(_ *redis.Client, s *ephemeraltest.RedisServer) error {
			s.Stop()
			return nil
		},
	} {
		t.Run(want, func(t *testing.T) {
			server := ephemeraltest.StartRedis(t)
			s := openRedis(t, server.URL)
			if err := ephemeral.Check(t.Context(), s); err != nil {
				t.Fatalf("a good server: %v", err)
			}
			opt, err := redis.ParseURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(opt)
			defer client.Close()
			if err := change(client, server); err != nil {
				t.Fatal(err)
			}
			ping := s.Ping(t.Context())
			if (ping == nil) != (want != "down") {
				t.Errorf("ping: %v", ping)
			}
			if ping == nil {
				pinged++
			}
			err = ephemeral.Check(t.Context(), s)
			fault, ok := errors.AsType[*idp.StoreFault](err)
			if !ok || fault.Word != want || !errors.Is(err, idp.ErrUnavailable) {
				t.Errorf("check: %v", err)
				return
			}
			named++
		})
	}
}

// Redis goes on answering reads, and rejects writes until its file can be written again.
func TestARedisWhoseDiskIsFullIsReportedAndComesBack(t *testing.T) {
	t.Parallel()
	server := ephemeraltest.StartRedisOnASmallDisk(t)
	s := openRedis(t, server.URL)
	things := ephemeral.NewBucket[string](s, "thing", time.Hour)
	if err := things.Put(t.Context(), "before", "v"); err != nil {
		t.Fatal(err)
	}
	becomes := func(what string, is func(error) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			err := ephemeral.Check(t.Context(), s)
			if is(err) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	server.FillDisk()
	becomes("full", func(err error) bool {
		fault, ok := errors.AsType[*idp.StoreFault](err)
		return ok && fault.Word == "read_only" && strings.Contains(fault.Text, "disk") && errors.Is(err, idp.ErrUnavailable)
	})
	if err := things.Put(t.Context(), "meanwhile", "v"); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("a write while the disk is full: %v", err)
	}
	if v, err := things.Take(t.Context(), "before"); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("taken while that cannot be kept: %q %v", v, err)
	}
	server.FreeDisk()
	becomes("free", func(err error) bool { return err == nil })
	if v, err := things.Take(t.Context(), "before"); err != nil || v != "v" {
		t.Errorf("an entry of before: %q %v", v, err)
	}
}

// A Redis that was restarted answers LOADING until it has read its file.
func TestARedisThatLoadsItsDataIsReportedAndComesBack(t *testing.T) {
	t.Parallel()
	server := ephemeraltest.StartRedis(t, "--appendonly", "yes", "--enable-debug-command", "yes", "--key-load-delay", "300")
	s := openRedis(t, server.URL)
	client := server.Client(t)
	pipe := client.Pipeline()
	for i := range 5000 { // while it loads, it answers after each 1024 commands
		pipe.Set(t.Context(), fmt.Sprint("stepward:x:", i), "v", time.Hour)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	client.Do(t.Context(), "debug", "crash-and-recover")
	said := map[string]bool{}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := ephemeral.Check(t.Context(), s)
		if err == nil && said["Redis is loading its data"] {
			break
		}
		if fault, ok := errors.AsType[*idp.StoreFault](err); ok {
			said[fault.Text] = true
			if fault.Word != "down" || !errors.Is(err, idp.ErrUnavailable) {
				t.Fatalf("%+v", fault)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("it said %v, and in the end %v", said, err)
		}
	}
	get := &ephemeral.Op{Verb: ephemeral.Get, Key: "x:4999"}
	if err := s.Do(t.Context(), get); err != nil || !get.Found {
		t.Errorf("an entry of before: %v %v", get.Found, err)
	}
}

func TestTheEmbeddedStoreIsCheckedByAWrite(t *testing.T) {
	s := ephemeraltest.Open(t)
	if err := ephemeral.Check(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if fault, ok := errors.AsType[*idp.StoreFault](ephemeral.Check(t.Context(), s)); !ok || fault.Word != "down" {
		t.Errorf("a closed store: %v", fault)
	}
}

func TestANodeOfAClusterBehindASocketIsRejectedWithAnExplanation(t *testing.T) {
	port := fmt.Sprint(20000 + time.Now().UnixNano()%20000)
	url := ephemeraltest.StartRedis(t, "--cluster-enabled", "yes", "--port", port).URL
	_, err := ephemeral.OpenRedis(t.Context(), url, nil)
	if err == nil || !strings.Contains(err.Error(), "Redis Cluster") {
		t.Errorf("a cluster: %v", err)
	}
}

func TestNothingIsUsedUpIfTheResultCannotBeStored(t *testing.T) {
	t.Parallel()
	server := ephemeraltest.StartRedis(t)
	s := openRedis(t, server.URL)
	opt, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	defer client.Close()
	things := ephemeral.NewBucket[string](s, "thing", time.Minute)
	op := func(verb ephemeral.Verb, key string) *ephemeral.Op {
		return &ephemeral.Op{Verb: verb, Key: key, Value: []byte(`"new"`), Old: []byte(`"v"`), Member: "m", TTL: time.Minute}
	}
	put := func() *ephemeral.Op { return op(ephemeral.Put, "answer:a") }
	for name, setting := range map[string][2]string{"full": {"maxmemory", "1"}, "read-only": {"min-replicas-to-write", "1"}} {
		for what, ops := range map[string][]*ephemeral.Op{
			"take, put":    {op(ephemeral.Take, "thing:a"), put()},
			"put, take":    {put(), op(ephemeral.Take, "thing:a")},
			"delete, put":  {op(ephemeral.Delete, "thing:a"), put()},
			"take, claim":  {op(ephemeral.Take, "thing:a"), op(ephemeral.Claim, "answer:a")},
			"claim, put":   {op(ephemeral.Claim, "mark:a"), put()},
			"remove, put":  {op(ephemeral.Remove, "index:a"), put()},
			"take, 2 puts": {op(ephemeral.Take, "thing:a"), put(), op(ephemeral.Put, "answer:b")},
		} {
			if err := s.Do(t.Context(), op(ephemeral.Add, "index:a")); err != nil {
				t.Fatal(err)
			}
			if err := things.Put(t.Context(), "a", "v"); err != nil {
				t.Fatal(err)
			}
			if err := client.ConfigSet(t.Context(), setting[0], setting[1]).Err(); err != nil {
				t.Fatal(err)
			}
			err := s.Do(t.Context(), ops...)
			if !errors.Is(err, idp.ErrUnavailable) || strings.Contains(err.Error(), "EXECABORT") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if err := client.ConfigSet(t.Context(), setting[0], "0").Err(); err != nil {
				t.Fatal(err)
			}
			mark, members := op(ephemeral.Get, "mark:a"), op(ephemeral.Members, "index:a")
			if err := s.Do(t.Context(), mark, members); err != nil || mark.Found || len(members.Members) != 1 {
				t.Errorf("%s, %s: the mark is there: %v; members %q; %v", name, what, mark.Found, members.Members, err)
			}
			if v, err := things.Get(t.Context(), "a"); err != nil || v != "v" {
				t.Errorf("%s, %s: what was to be taken: %q %v", name, what, v, err)
			}
		}
	}
}
