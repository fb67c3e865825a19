package ephemeral

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stepward/stepward/internal/idp"
)

// Check writes an entry and reads it back, because a server that answers PING may still take no writes. It returns nil,
// or an *idp.StoreFault that says what is wrong.
func Check(ctx context.Context, s Store) error {
	value := rand.Text()
	put := &Op{Verb: Put, Key: "check:" + value, Value: []byte(value), TTL: 10 * time.Second}
	get := &Op{Verb: Get, Key: put.Key}
	err := s.Do(ctx, put, get)
	switch {
	case err != nil:
		return faultOf(err)
	case string(get.Result) != value:
		return &idp.StoreFault{Word: "wrong", Text: "what was written was not read back"}
	}
	return nil
}

// redisFaults are what Redis says first in an error, and what it means.
var redisFaults = map[string]idp.StoreFault{
	"READONLY":    {Word: "standby", Text: "a replica of Redis answers; redis-url must name the primary"},
	"MASTERDOWN":  {Word: "standby", Text: "a replica of Redis answers that has lost its primary"},
	"OOM":         {Word: "full", Text: "Redis has used its maxmemory"},
	"MISCONF":     {Word: "read_only", Text: "Redis cannot save to its disk and takes no writes"},
	"NOREPLICAS":  {Word: "read_only", Text: "Redis has too few replicas and takes no writes (min-replicas-to-write)"},
	"MOVED":       cluster,
	"ASK":         cluster,
	"CROSSSLOT":   cluster,
	"CLUSTERDOWN": cluster,
	"LOADING":     {Word: "down", Text: "Redis is loading its data"},
	"BUSY":        {Word: "down", Text: "Redis is busy with somebody's script"},
	"NOAUTH":      {Word: "refused", Text: "Redis asks for a password"},
	"WRONGPASS":   {Word: "refused", Text: "Redis refuses the user or password of redis-url"},
	"NOPERM":      {Word: "refused", Text: "Redis forbids its user a command that is needed"},
}

var cluster = idp.StoreFault{
	Word: "cluster",
	Text: "redis-url names a node of a Redis Cluster, which is not supported: use a single server, " +
		"or a proxy that is one to its clients",
}

func faultOf(err error) *idp.StoreFault {
	fault := idp.StoreFault{Word: "down", Text: "it does not answer"}
	if said, ok := errors.AsType[redis.Error](err); ok {
		word, _, _ := strings.Cut(strings.TrimPrefix(said.Error(), "ERR "), " ")
		fault = idp.StoreFault{Word: "wrong", Text: "Redis answers with an error"}
		if known, ok := redisFaults[word]; ok {
			fault = known
		}
	}
	if said, ok := errors.AsType[*sqlite.Error](err); ok {
		fault = idp.StoreFault{Word: "wrong", Text: "ephemeral.db cannot be used"}
		switch said.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			fault = idp.StoreFault{Word: "full", Text: "the disk of ephemeral.db is full"}
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			fault = idp.StoreFault{Word: "read_only", Text: "ephemeral.db cannot be written"}
		}
	}
	fault.Err = err
	return &fault
}

// checkCluster refuses a node of a Redis Cluster: its answers would be MOVED for most keys. Where INFO is forbidden,
// the first entry that lies elsewhere says so (see Check).
func (s *Redis) checkCluster(ctx context.Context) error {
	info, err := s.client.Info(ctx, "cluster").Result()
	if err == nil && strings.Contains(info, "cluster_enabled:1") {
		return errors.New(cluster.Text)
	}
	return nil
}
