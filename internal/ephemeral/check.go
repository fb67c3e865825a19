package ephemeral

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stepward/stepward/internal/idp"
)

// Check writes an entry and reads it back, because a server that answers PING may still reject writes. It returns nil,
// or an *idp.StoreFault with the reason.
func Check(ctx context.Context, s Store) error {
	value := rand.Text()
	put := &Op{Verb: Put, Key: "check:" + value, Value: []byte(value), TTL: 10 * time.Second}
	get := &Op{Verb: Get, Key: put.Key}
	err := s.Do(ctx, put, get)
	switch {
	case err != nil:
		return faultOf(err)
	case string(get.Result) != value:
		return &idp.StoreFault{Word: "wrong", Text: "an entry could not be read back"}
	}
	return nil
}

// redisFaults maps the first word of a Redis error to its meaning.
var redisFaults = map[string]idp.StoreFault{
	"READONLY":    {Word: "standby", Text: "this is a replica of Redis; redis-url must name the primary"},
	"MASTERDOWN":  {Word: "standby", Text: "this is a replica of Redis that has lost its primary"},
	"OOM":         {Word: "full", Text: "Redis has used its maxmemory"},
	"MISCONF":     {Word: "read_only", Text: "Redis cannot save to its disk and rejects writes"},
	"NOREPLICAS":  {Word: "read_only", Text: "Redis has too few replicas and rejects writes (min-replicas-to-write)"},
	"MOVED":       cluster,
	"ASK":         cluster,
	"CROSSSLOT":   cluster,
	"CLUSTERDOWN": {Word: "down", Text: "a part of the Redis Cluster has no primary"},
	"LOADING":     {Word: "down", Text: "Redis is loading its data"},
	"BUSY":        {Word: "down", Text: "Redis is busy with a script"},
	"NOAUTH":      {Word: "refused", Text: "Redis requires a password"},
	"WRONGPASS":   {Word: "refused", Text: "Redis rejects the user or password in redis-url"},
	"NOPERM":      {Word: "refused", Text: "the user in redis-url lacks permission for a required command"},
}

var cluster = idp.StoreFault{
	Word: "cluster",
	Text: "redis-url names one node of a Redis Cluster that does not say so (INFO is forbidden): add another node " +
		"as addr=host:port to its query",
}

func faultOf(err error) *idp.StoreFault {
	fault := idp.StoreFault{Word: "down", Text: "it does not answer"}
	if said, ok := errors.AsType[redis.Error](err); ok {
		word, _, _ := strings.Cut(strings.TrimPrefix(said.Error(), "ERR "), " ")
		fault = idp.StoreFault{Word: "wrong", Text: "Redis returned an error"}
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

// checkCommands runs every verb once, and says which command or key the user of the URL may not use. Any other fault of
// the server is temporary, and readiness reports it.
func (s *Redis) checkCommands(ctx context.Context) error {
	key := "check:" + rand.Text()
	op := func(verb Verb, kind string) *Op {
		return &Op{Verb: verb, Key: key + kind, Value: []byte("1"), Old: []byte("1"), Member: "1", TTL: 10 * time.Second}
	}
	for _, ops := range [][]*Op{
		{op(Put, "")},
		{op(Get, "")},
		{op(Swap, "")},
		{op(Delete, "")},
		{op(Claim, "")},
		{op(Put, ""), op(Take, "")},
		{op(Count, "-n")},
		{op(Delete, "-n")},
		{op(Add, "-i")},
		{op(Members, "-i")},
		{op(Remove, "-i")},
	} {
		err := s.Do(ctx, ops...)
		if said, ok := errors.AsType[redis.Error](err); ok && redis.HasErrorPrefix(said, "NOPERM") {
			return fmt.Errorf("the user in redis-url needs +@read +@write +@transaction +@connection +@scripting +time "+
				"and ~stepward:*; Redis says: %s", said.Error())
		}
	}
	return nil
}

// isCluster reports whether the server is a node of a Redis Cluster, which answers MOVED for most keys. Where INFO is
// forbidden, the first entry on another node reports it (see Check).
func (s *Redis) isCluster(ctx context.Context) bool {
	info, err := s.client.Info(ctx, "cluster").Result()
	return err == nil && strings.Contains(info, "cluster_enabled:1")
}

// clusterAt returns the cluster that the server at this URL is a node of.
func clusterAt(rawURL string) (*target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "unix" {
		return nil, errors.New("the server is a node of a Redis Cluster, whose nodes are not reached by a socket: " +
			"use redis://host:port")
	}
	query := u.Query()
	query.Set("addr", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379")))
	u.RawQuery = query.Encode()
	return parseURL(u.String())
}
