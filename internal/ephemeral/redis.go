package ephemeral

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/stepward/stepward/internal/outage"
)

// redisPrefix separates our keys from others on the same server.
const redisPrefix = "stepward:"

// Scripts, where no single command is atomic enough. Each uses one key, so Redis Cluster could run it. They are sent
// with EVAL rather than EVALSHA: hashing 200 bytes costs the server less than a microsecond, and after a NOSCRIPT in
// the middle of a pipeline, a retry would run out of order. Times are the server's, so the clocks of replicas need not
// agree.
const (
	swapScript = `if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end
redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1`

	// INCR alone would count forever if the window ended before our PEXPIRE.
	countScript = `local n=redis.call('INCR',KEYS[1]) if n==1 then redis.call('PEXPIRE',KEYS[1],ARGV[1]) end return n`

	clock = `local t=redis.call('TIME') local now=t[1]*1000+math.floor(t[2]/1000) `

	// An index is a sorted set by expiry. The whole set expires with its last member.
	addScript = clock + `redis.call('ZREMRANGEBYSCORE',KEYS[1],'-inf',now) redis.call('ZADD',KEYS[1],now+ARGV[2],ARGV[1])
local all=redis.call('ZRANGE',KEYS[1],0,-1,'WITHSCORES') redis.call('PEXPIREAT',KEYS[1],all[#all])
local members={} for i=1,#all,2 do members[#members+1]=all[i] end return members`

	membersScript = clock + `return redis.call('ZRANGEBYSCORE',KEYS[1],'('..now,'+inf')`
)

// Redis is the Store of the production profile. Any number of replicas share one server, the primary of a set that
// Sentinels watch, or a cluster.
type Redis struct {
	client  *redis.Client        // nil for a cluster
	cluster *redis.ClusterClient // nil without
	trips   atomic.Int64
	log     *slog.Logger
	watch   *outage.Watch
	form
}

// Log implements Store.
func (s *Redis) Log() *slog.Logger { return s.log }

var _ Store = (*Redis)(nil)

// OpenRedis connects to redis://, rediss:// (TLS) or unix:///path?db=1; with master_name, to the primary that the
// Sentinels at host and addr name; with addr, or if the server is a node of one, to a cluster. It rejects a server that
// evicts entries when its memory is full, because without an evicted replay mark or counter, an attack succeeds. Where
// CONFIG and INFO are forbidden, this cannot be checked and a warning is logged.
func OpenRedis(ctx context.Context, rawURL string, log *slog.Logger) (*Redis, error) {
	to, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	silence()
	s := &Redis{log: cmp.Or(log, slog.Default())}
	s.watch = outage.New(s.log, "redis")
	s.connect(to)
	if to.single != nil && s.isCluster(ctx) {
		_ = s.Close()
		if to, err = clusterAt(rawURL); err != nil {
			return nil, err
		}
		s.connect(to)
	}
	if err := s.checkPolicy(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Redis) connect(to *target) {
	s.client, s.cluster = nil, nil
	switch {
	case to.cluster != nil:
		s.cluster = redis.NewClusterClient(to.cluster)
	case to.sentinel != nil:
		s.client = redis.NewFailoverClient(to.sentinel)
	default:
		s.client = redis.NewClient(to.single)
	}
}

// silence stops go-redis from printing errors that it returns anyway.
var silence = sync.OnceFunc(logging.Disable)

// each calls f for the server, or for every primary of the cluster at once.
func (s *Redis) each(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	if s.cluster != nil {
		return s.cluster.ForEachMaster(ctx, f)
	}
	return f(ctx, s.client)
}

func (s *Redis) checkPolicy(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	if err := s.checkCommands(ctx); err != nil {
		return err
	}
	return s.each(ctx, func(ctx context.Context, node *redis.Client) error {
		policy, err := policyOf(ctx, node)
		_, refused := errors.AsType[redis.Error](err)
		switch {
		case refused || err == nil && policy == "":
			s.log.WarnContext(ctx, "cannot read redis maxmemory-policy; make sure it is noeviction", "error", err)
		case err != nil:
			return unavailable(err)
		case policy != "noeviction":
			return fmt.Errorf("redis evicts entries when memory is full (maxmemory-policy is %q): set it to noeviction, "+
				"or use a separate server for stepward", policy)
		}
		return nil
	})
}

// policyOf returns the maxmemory-policy of a node; "" if it does not say. Hosted servers forbid CONFIG, and tell it in
// INFO.
func policyOf(ctx context.Context, node *redis.Client) (string, error) {
	config, err := node.ConfigGet(ctx, "maxmemory-policy").Result()
	if _, refused := errors.AsType[redis.Error](err); err != nil && !refused {
		return "", err
	}
	if policy := config["maxmemory-policy"]; policy != "" {
		return policy, nil
	}
	info, infoErr := node.InfoMap(ctx, "memory").Result()
	if policy := info["Memory"]["maxmemory_policy"]; policy != "" {
		return policy, nil
	}
	return "", cmp.Or(err, infoErr)
}

// Do implements Store.
func (s *Redis) Do(ctx context.Context, ops ...*Op) error {
	if err := check(ops); err != nil || len(ops) == 0 {
		return err
	}
	s.trips.Add(1)
	begin := time.Now()
	return s.note(ctx, begin, s.send(ctx, ops))
}

// note reports to the watch whether the server answered a call started at begin, and returns err unchanged.
func (s *Redis) note(ctx context.Context, begin time.Time, err error) error {
	if err == nil {
		s.watch.Answered(begin)
	} else if ctx.Err() == nil {
		s.watch.Failed(begin, err)
	}
	return err
}

func (s *Redis) send(ctx context.Context, ops []*Op) error {
	switch {
	case s.cluster != nil:
		return s.sendStages(ctx, ops)
	case len(ops) == 1:
		cmd := command(ctx, ops[0], redisPrefix+ops[0].Key)
		_ = s.client.Process(ctx, cmd) // the command has its error
		return answer(ops[0], cmd)
	case usesUp(ops):
		return s.run(ctx, s.client.TxPipeline(), ops)
	}
	return s.run(ctx, s.client.Pipeline(), ops)
}

// run sends ops in one pipeline and sets their results.
func (s *Redis) run(ctx context.Context, pipe redis.Pipeliner, ops []*Op) error {
	cmds := make([]redis.Cmder, len(ops))
	for i, op := range ops {
		if s.cluster != nil {
			cmds[i] = command(ctx, op, clusterKey(op.Key))
			_ = pipe.Process(ctx, once{cmds[i]})
		} else {
			cmds[i] = command(ctx, op, redisPrefix+op.Key)
			_ = pipe.Process(ctx, cmds[i])
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	var failed error
	for i, op := range ops {
		err := answer(op, cmds[i])
		if failed == nil || err != nil && redis.HasErrorPrefix(failed, "EXECABORT") { // it does not contain the reason
			failed = err
		}
	}
	return failed
}

// usesUp reports whether ops remove something and also store something. These run as a MULTI: a server that is full or
// rejects writes refuses the storing command when it is queued, and so runs none of them.
func usesUp(ops []*Op) bool {
	takes, stores := 0, 0
	for _, op := range ops {
		switch op.Verb {
		case Take, Delete, Remove:
			takes++
		case Claim, Swap:
			takes++
			stores++
		case Put, Count, Add:
			stores++
		}
	}
	return takes > 0 && stores > 0 && takes+stores > 1
}

// command returns the command that runs an op under this key.
func command(ctx context.Context, op *Op, key string) redis.Cmder {
	ttl := op.TTL.Milliseconds()
	switch op.Verb {
	case Put:
		return redis.NewStatusCmd(ctx, "set", key, op.Value, "px", ttl)
	case Get:
		return redis.NewStringCmd(ctx, "get", key)
	case Take:
		return redis.NewStringCmd(ctx, "getdel", key)
	case Claim:
		return redis.NewStatusCmd(ctx, "set", key, op.Value, "nx", "px", ttl)
	case Swap:
		return redis.NewIntCmd(ctx, "eval", swapScript, 1, key, op.Old, op.Value, ttl)
	case Delete:
		return redis.NewIntCmd(ctx, "del", key)
	case Count:
		return redis.NewIntCmd(ctx, "eval", countScript, 1, key, ttl)
	case Add:
		return redis.NewStringSliceCmd(ctx, "eval", addScript, 1, key, op.Member, ttl)
	case Members:
		return redis.NewStringSliceCmd(ctx, "eval", membersScript, 1, key)
	case Remove:
		return redis.NewIntCmd(ctx, "zrem", key, op.Member)
	}
	panic("ephemeral: verb missed by check")
}

// answer sets the results of an op.
func answer(op *Op, cmd redis.Cmder) error {
	err := cmd.Err()
	if errors.Is(err, redis.Nil) {
		return nil // no entry, or a lost claim
	}
	if err != nil {
		return unavailable(err)
	}
	switch cmd := cmd.(type) {
	case *redis.StringCmd:
		op.Found = true
		op.Result, err = cmd.Bytes()
		return err
	case *redis.IntCmd:
		switch op.Verb {
		case Count:
			op.N = cmd.Val()
		case Swap, Delete:
			op.Found = cmd.Val() == 1
		}
	case *redis.StringSliceCmd:
		if len(cmd.Val()) > 0 {
			op.Members = cmd.Val()
		}
	case *redis.StatusCmd:
		op.Found = op.Verb == Claim
	}
	return nil
}

// RoundTrips implements Store.
func (s *Redis) RoundTrips() int64 { return s.trips.Load() }

// Ping implements Store. In a cluster, every primary must answer.
func (s *Redis) Ping(ctx context.Context) error {
	begin := time.Now()
	err := s.each(ctx, func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() })
	if err != nil {
		err = unavailable(err)
	}
	return s.note(ctx, begin, err)
}

// Now implements Store. In a cluster, the time is the clock of one node.
func (s *Redis) Now(ctx context.Context) (time.Time, error) {
	begin, node := time.Now(), s.client
	var now time.Time
	var err error
	if s.cluster != nil {
		node, err = s.cluster.MasterForKey(ctx, redisPrefix)
	}
	if err == nil {
		now, err = node.Time(ctx).Result()
	}
	if err != nil {
		return time.Time{}, s.note(ctx, begin, unavailable(err))
	}
	return now.UTC(), s.note(ctx, begin, nil)
}

// Used implements Store. In a cluster, it is about the node that is fullest: an entry cannot go to another one.
func (s *Redis) Used(ctx context.Context) (used, most int64, err error) {
	begin := time.Now()
	var mu sync.Mutex
	var wrong error
	err = s.each(ctx, func(ctx context.Context, node *redis.Client) error {
		info, err := node.InfoMap(ctx, "memory").Result()
		if err != nil {
			return err
		}
		memory := info["Memory"]
		u, err := strconv.ParseInt(memory["used_memory"], 10, 64)
		m, _ := strconv.ParseInt(memory["maxmemory"], 10, 64) // hosted servers may hide it
		mu.Lock()
		defer mu.Unlock()
		wrong = errors.Join(wrong, err)
		if fuller(u, m, used, most) {
			used, most = u, m
		}
		return nil
	})
	if err != nil {
		return 0, 0, s.note(ctx, begin, unavailable(err))
	}
	if wrong != nil {
		return 0, 0, fmt.Errorf("used_memory: %w", wrong)
	}
	return used, most, s.note(ctx, begin, nil)
}

// fuller reports whether a node with so many bytes used of so many allowed is fuller than another. Nodes without a
// limit are less full than any with one.
func fuller(used, most, usedElse, mostElse int64) bool {
	if most == 0 || mostElse == 0 {
		return most > 0 || mostElse == 0 && used > usedElse
	}
	return float64(used)/float64(most) > float64(usedElse)/float64(mostElse)
}

// pool returns the state of the connections and how many there may be (cluster: to each node).
func (s *Redis) pool() (*redis.PoolStats, int) {
	if s.cluster == nil {
		return s.client.PoolStats(), s.client.Options().PoolSize
	}
	return s.cluster.PoolStats(), s.cluster.Options().PoolSize
}

// Close implements Store.
func (s *Redis) Close() error {
	if s.cluster != nil {
		return s.cluster.Close()
	}
	return s.client.Close()
}
