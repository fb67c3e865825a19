package ephemeraltest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A RedisSet is several temporary servers that belong together: a cluster, or a primary with its replica and Sentinels.
type RedisSet struct {
	URL   string // redis://…
	Nodes []*RedisServer
}

// StartCluster starts a cluster of three primaries and, with replicas, a replica for each, which takes over after about
// two seconds. args are passed to every redis-server.
func StartCluster(t testing.TB, replicas bool, args ...string) *RedisSet {
	t.Helper()
	n := 3
	if replicas {
		n = 6
	}
	ports, set := FreePorts(t, 2*n), &RedisSet{}
	for i := range n {
		set.Nodes = append(set.Nodes, StartRedis(t, append([]string{
			"--bind", "127.0.0.1", "--port", ports[i], "--cluster-enabled", "yes", "--cluster-port", ports[n+i],
			"--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no",
		}, args...)...))
	}
	var clients []*redis.Client
	for i, node := range set.Nodes {
		client := node.Client(t)
		clients = append(clients, client)
		if i > 0 {
			run(t, clients[0], "cluster", "meet", "127.0.0.1", ports[i], ports[n+i])
		}
	}
	const slots = 16384
	for i := range 3 {
		run(t, clients[i], "cluster", "addslotsrange", slots*i/3, slots*(i+1)/3-1)
	}
	know := fmt.Sprintf("cluster_known_nodes:%d\r", n)
	for _, client := range clients {
		eventually(t, func() bool {
			return strings.Contains(client.ClusterInfo(context.Background()).Val(), know)
		})
	}
	for i := 3; i < n; i++ {
		run(t, clients[i], "cluster", "replicate", clients[i-3].ClusterMyID(context.Background()).Val())
	}
	for i, client := range clients {
		eventually(t, func() bool {
			info := client.ClusterInfo(context.Background()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") &&
				(i < 3 || linked(client))
		})
	}
	set.URL = "redis://127.0.0.1:" + ports[0] + "?addr=127.0.0.1:" + ports[1] + "&addr=127.0.0.1:" + ports[2]
	return set
}

// StartSentinels starts a primary, its replica (Nodes, in this order) and three Sentinels, which replace the primary
// after about two seconds.
func StartSentinels(t testing.TB) *RedisSet {
	t.Helper()
	ports := FreePorts(t, 5)
	set := &RedisSet{Nodes: []*RedisServer{
		StartRedis(t, "--bind", "127.0.0.1", "--port", ports[0]),
		StartRedis(t, "--bind", "127.0.0.1", "--port", ports[1], "--replicaof", "127.0.0.1 "+ports[0]),
	}}
	replica := set.Nodes[1].Client(t)
	eventually(t, func() bool { return linked(replica) })
	var sentinels []*redis.Client
	for _, port := range ports[2:] {
		config := filepath.Join(t.TempDir(), "sentinel.conf") // a Sentinel rewrites it
		text := fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 2\nsentinel down-after-milliseconds main 500\n"+
			"sentinel failover-timeout main 3000\n", ports[0])
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinel := startSentinel(t, config, "--bind", "127.0.0.1", "--port", port)
		sentinels = append(sentinels, sentinel.Client(t))
	}
	for _, sentinel := range sentinels {
		eventually(t, func() bool {
			info := sentinel.Info(context.Background(), "sentinel").Val()
			return strings.Contains(info, "slaves=1,sentinels=3")
		})
	}
	set.URL = "redis://127.0.0.1:" + ports[2] + "?master_name=main&addr=127.0.0.1:" + ports[3] +
		"&addr=127.0.0.1:" + ports[4]
	return set
}

// linked reports whether a replica follows its primary.
func linked(replica *redis.Client) bool {
	return strings.Contains(replica.Info(context.Background(), "replication").Val(), "master_link_status:up")
}

func run(t testing.TB, client *redis.Client, args ...any) {
	t.Helper()
	if err := client.Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func eventually(t testing.TB, happens func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happens(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the servers do not find each other within 30 s")
		}
	}
}

// FreePorts returns ports that nobody listens on now.
func FreePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}
