package ephemeral_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

func TestARedisClusterKeepsTheContract(t *testing.T) {
	t.Parallel()
	cluster := ephemeraltest.StartCluster(t, false)
	var nodes []*redis.Client
	for _, node := range cluster.Nodes {
		nodes = append(nodes, node.Client(t))
	}
	ephemeraltest.RunInTurn(t, func(t *testing.T) ephemeral.Store {
		for _, node := range nodes {
			if err := node.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		return openRedis(t, cluster.URL)
	})
	t.Run("one address is enough", func(t *testing.T) {
		first, _, _ := strings.Cut(cluster.URL, "?")
		s := openRedis(t, first)
		for i := range 100 {
			if err := ephemeral.Check(t.Context(), s); err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
		}
	})
	t.Run("a slot moves while the store is in use", func(t *testing.T) { slotMoves(t, openRedis(t, cluster.URL), nodes) })
}

// slotMoves moves the slots of 200 entries, first by halves (ASK), then wholly (MOVED), under counts.
func slotMoves(t *testing.T, s ephemeral.Store, nodes []*redis.Client) {
	count := func(i, want int64) {
		op := &ephemeral.Op{Verb: ephemeral.Count, Key: fmt.Sprint("n:", i), TTL: time.Minute}
		take := &ephemeral.Op{Verb: ephemeral.Take, Key: fmt.Sprint("taken:", i)}
		put := &ephemeral.Op{Verb: ephemeral.Put, Key: take.Key, Value: []byte("v"), TTL: time.Minute}
		if err := s.Do(t.Context(), op); err != nil || op.N != want {
			t.Fatalf("count %d is %d, want %d; %v", i, op.N, want, err)
		}
		if err := s.Do(t.Context(), put, take); err != nil || !take.Found {
			t.Fatalf("taken %v; %v", take.Found, err)
		}
	}
	moved := 0
	for i := range int64(30) {
		count(i, 1)
		key := fmt.Sprintf("stepward:n:{%d}", i)
		slot := nodes[0].ClusterKeySlot(t.Context(), key).Val()
		from, to := nodes[0], nodes[1]
		if slot >= 16384/3 {
			continue
		}
		moved++
		for _, move := range [][]any{
			{to, "importing", from}, {from, "migrating", to},
		} {
			other := move[2].(*redis.Client).ClusterMyID(t.Context()).Val()
			if err := move[0].(*redis.Client).Do(t.Context(), "cluster", "setslot", slot, move[1], other).Err(); err != nil {
				t.Fatal(err)
			}
		}
		port := to.ConfigGet(t.Context(), "port").Val()["port"]
		if err := from.Migrate(t.Context(), "127.0.0.1", port, key, 0, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		count(i, 2)
		id := to.ClusterMyID(t.Context()).Val()
		for _, node := range nodes {
			if err := node.Do(t.Context(), "cluster", "setslot", slot, "node", id).Err(); err != nil {
				t.Fatal(err)
			}
		}
		count(i, 3)
	}
	if moved == 0 {
		t.Error("no slot was moved")
	}
}

// spread returns keys of this bucket on two nodes, in the order of nodes.
func spread(t *testing.T, nodes []*redis.Client, bucket string) (first, second string) {
	t.Helper()
	for i := 0; first == "" || second == ""; i++ {
		key := fmt.Sprint(bucket, ":", i)
		slot := nodes[0].ClusterKeySlot(t.Context(), fmt.Sprintf("stepward:%s:{%d}", bucket, i)).Val()
		switch {
		case slot < 16384/3:
			first = key
		case slot < 16384*2/3:
			second = key
		}
	}
	return first, second
}

func TestInAClusterNothingIsUsedUpIfTheResultCannotBeStored(t *testing.T) {
	t.Parallel()
	cluster := ephemeraltest.StartCluster(t, false)
	s := openRedis(t, cluster.URL)
	var nodes []*redis.Client
	for _, node := range cluster.Nodes {
		nodes = append(nodes, node.Client(t))
	}
	here, there := spread(t, nodes, "thing")
	op := func(verb ephemeral.Verb, key string) *ephemeral.Op {
		return &ephemeral.Op{Verb: verb, Key: key, Value: []byte("v"), Old: []byte("v"), Member: "m", TTL: time.Minute}
	}
	for what, ops := range map[string][]*ephemeral.Op{
		"take, put":       {op(ephemeral.Take, here), op(ephemeral.Put, there)},
		"delete, claim":   {op(ephemeral.Delete, here), op(ephemeral.Claim, there)},
		"take, get, add":  {op(ephemeral.Take, here), op(ephemeral.Get, there), op(ephemeral.Add, "i"+there)},
		"put, take":       {op(ephemeral.Put, there), op(ephemeral.Take, here)},
		"swap, put":       {op(ephemeral.Swap, here), op(ephemeral.Put, there)},
		"take, put, here": {op(ephemeral.Take, here), op(ephemeral.Put, there), op(ephemeral.Put, here)},
	} {
		if err := s.Do(t.Context(), op(ephemeral.Put, here)); err != nil {
			t.Fatal(err)
		}
		if err := nodes[1].ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
			t.Fatal(err)
		}
		err := s.Do(t.Context(), ops...)
		if !errors.Is(err, idp.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("%s: %v", what, err)
		}
		if err := nodes[1].ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
			t.Fatal(err)
		}
		get := op(ephemeral.Get, here)
		if err := s.Do(t.Context(), get); err != nil || !get.Found {
			t.Errorf("%s: used up; %v", what, err)
		}
	}

	// Entries of one secret are on one node, so they change together.
	code := here[len("thing:"):]
	if err := s.Do(t.Context(), op(ephemeral.Put, "code:"+code)); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), op(ephemeral.Take, "code:"+code), op(ephemeral.Claim, "used:"+code)); err == nil {
		t.Error("a full node claims")
	}
	used, most, err := s.Used(t.Context())
	if err != nil || used < 1000 || most != 1 {
		t.Errorf("of the fullest node %d bytes of %d are used, %v", used, most, err)
	}
	if err := nodes[0].ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if get := op(ephemeral.Get, "code:"+code); s.Do(t.Context(), get) != nil || !get.Found {
		t.Error("the code is used up")
	}
}

// A node that is busy runs the command later, when the client no longer waits for the response.
func TestLostResponsesOfAClusterAreNotRetried(t *testing.T) {
	t.Parallel()
	cluster := ephemeraltest.StartCluster(t, false, "--enable-debug-command", "yes")
	s := openRedis(t, cluster.URL+"&read_timeout=100ms")
	nodes := []*redis.Client{cluster.Nodes[0].Client(t)}
	impatient := *nodes[0].Options()
	impatient.ReadTimeout, impatient.MaxRetries = 50*time.Millisecond, -1
	watch := redis.NewClient(&impatient)
	defer watch.Close()
	key, elsewhere := spread(t, nodes, "n")
	count := &ephemeral.Op{Verb: ephemeral.Count, Key: key, TTL: time.Minute}
	also := &ephemeral.Op{Verb: ephemeral.Put, Key: elsewhere, TTL: time.Minute}
	again := &ephemeral.Op{Verb: ephemeral.Claim, Key: "claim" + key[1:], TTL: time.Minute}
	for i, ops := range [][]*ephemeral.Op{{count}, {count, also}, {also, count, again}} {
		if err := s.Do(t.Context(), &ephemeral.Op{Verb: ephemeral.Delete, Key: again.Key}); err != nil {
			t.Fatal(err)
		}
		var busy sync.WaitGroup
		busy.Go(func() { nodes[0].Do(t.Context(), "debug", "sleep", "1.5") })
		for watch.Ping(t.Context()).Err() == nil { // until it is asleep
		}
		if err := s.Do(t.Context(), ops...); !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("a busy node: %v", err)
		}
		busy.Wait()
		if err := s.Do(t.Context(), count); err != nil || count.N != int64(2*i+2) {
			t.Errorf("the count is %d, %v", count.N, err)
		}
	}
}

// outageOf calls fail under load. It returns how long after it the last call failed, and how many did.
func outageOf(t *testing.T, s ephemeral.Store, fail func()) (out time.Duration, failed int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var last time.Time
	began := time.Now()
	deadline := began.Add(30 * time.Second)
	for i := range 4 {
		wg.Go(func() {
			good := time.Now() // since when every call has succeeded
			for n := 0; time.Since(good) < 4*time.Second && time.Now().Before(deadline); n++ {
				op := &ephemeral.Op{
					Verb: ephemeral.Put, Key: fmt.Sprintf("x:%d-%d", i, n), Value: []byte("v"), TTL: time.Minute,
				}
				if err := s.Do(t.Context(), op); err != nil {
					if !errors.Is(err, idp.ErrUnavailable) {
						t.Error(err)
					}
					good = time.Now()
					mu.Lock()
					last, failed = good, failed+1
					mu.Unlock()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	fail()
	wg.Wait()
	if failed > 0 {
		out = last.Sub(began)
	}
	return out, failed
}

func TestAStoreIsBackAfterAFailover(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() *ephemeraltest.RedisSet{
		"Sentinel": func() *ephemeraltest.RedisSet { return ephemeraltest.StartSentinels(t) },
		"cluster":  func() *ephemeraltest.RedisSet { return ephemeraltest.StartCluster(t, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := start()
			s := openRedis(t, set.URL)
			out, failed := outageOf(t, s, set.Nodes[0].Stop)
			t.Logf("counted: out for %v, %d calls failed", out, failed)
			if failed == 0 || out > 8*time.Second {
				t.Errorf("out for %v, %d calls failed", out, failed)
			}
			if err := ephemeral.Check(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSentinelKeepsTheContract(t *testing.T) {
	t.Parallel()
	set := ephemeraltest.StartSentinels(t)
	primary := set.Nodes[0].Client(t)
	ephemeraltest.RunInTurn(t, func(t *testing.T) ephemeral.Store {
		if err := primary.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return openRedis(t, set.URL)
	})
}

func TestURLsOfSetsAreChecked(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h?master_name=":                    "master_name is empty",
		"redis://:hunter2@h/1?addr=other:1":         "no database but 0",
		"redis://:hunter2@h?addr=other":             "addr",
		"redis://:hunter2@h?master_name=m&addr=x":   "addr",
		"redis://:hunter2@h?addr=h:1&no_such=1":     "no_such",
		"redis://:hunter2@h?sslrootcert=/x":         "rediss://",
		"rediss://:hunter2@h?sslrootcert=/no/such":  "sslrootcert",
		"rediss://:hunter2@h?sslcert=/x":            "belong together",
		"rediss://:hunter2@h?sslrootcert=/dev/null": "no certificate",
	} {
		err := ephemeral.CheckURL(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
