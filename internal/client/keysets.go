package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/web"
)

const (
	// A key set is taken for current as long as its server says, within these bounds.
	minFresh, usualFresh, maxFresh = time.Minute, 10 * time.Minute, time.Hour
	// A key that is not in the set is a reason to fetch it again once a minute: anybody can make up a kid.
	refetchAfter = time.Minute
	// retryAfter is how long nothing is fetched after a fetch that failed.
	retryAfter = 10 * time.Second
	// keysHold is how long keys that cannot be fetched again go on working.
	keysHold    = 6 * time.Hour
	maxKeySet   = 64 << 10 // bytes
	maxKeySets  = 1024
	jwkSetTypes = "application/jwk-set+json, application/json"
)

// keySets remembers what clients publish at their jwks_uri. Two clients with the same address share what is there.
type keySets struct {
	outbound *outbound.Client
	flights  singleflight.Group // by address
	mu       sync.Mutex
	sets     map[string]*keySet // by address
}

type keySet struct {
	keys     []jose.JSONWebKey
	used     time.Time // when somebody asked last
	loaded   time.Time // when keys were fetched; zero: never
	stale    time.Time // from then on they are to be fetched again
	retry    time.Time // before that nothing is fetched
	anew     time.Time // before that nothing is fetched because of an unknown key
	fetching int       // how many callers wait for a fetch
}

// keys returns the keys at an address, and whether they were fetched just now. anew says that those returned before did not do:
// a client that has rotated its keys names one that we have not seen (OIDC Core §10.1.1). However many callers wait for a
// fetch, there is one.
func (s *keySets) keys(ctx context.Context, address string, anew bool) (keys []jose.JSONWebKey, fetched bool, err error) {
	now := time.Now()
	s.mu.Lock()
	set := s.set(address)
	set.used = now
	switch {
	case set.fetching > 0:
		fetched = anew || !now.Before(set.stale)
	case !anew && now.Before(set.stale), anew && now.Before(set.anew), now.Before(set.retry):
	default:
		fetched = true
		if anew {
			set.anew = now.Add(refetchAfter)
		}
	}
	if fetched {
		set.fetching++
	}
	s.mu.Unlock()
	if fetched {
		err = s.fetch(ctx, address, set)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fetched {
		set.fetching--
	}
	if set.loaded.IsZero() || now.After(set.loaded.Add(keysHold)) {
		return nil, fetched, cmp.Or(err, errors.New("jwks_uri gave no keys a moment ago"))
	}
	return set.keys, fetched, nil // of before, if the fetch failed
}

// set returns the entry of an address. The caller holds s.mu.
func (s *keySets) set(address string) *keySet {
	if set := s.sets[address]; set != nil {
		return set
	}
	if len(s.sets) >= maxKeySets {
		var idle string
		for other, set := range s.sets { // a fetch costs more than this
			if idle == "" || set.used.Before(s.sets[idle].used) {
				idle = other
			}
		}
		delete(s.sets, idle) // whoever waits for it holds the entry itself
	}
	set := &keySet{}
	s.sets[address] = set
	return set
}

// fetch waits for the one fetch of an address. The fetch goes on when its caller goes away, because others may wait.
func (s *keySets) fetch(ctx context.Context, address string, set *keySet) error {
	done := s.flights.DoChan(address, func() (_ any, err error) {
		defer func() {
			if p := recover(); p != nil { // it has a goroutine of its own, where it would end the process
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return nil, s.load(context.WithoutCancel(ctx), address, set)
	})
	select {
	case got := <-done:
		if got.Err != nil {
			web.Note(ctx, slog.Any("jwks_error", got.Err))
			return fmt.Errorf("jwks_uri: %w", got.Err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load fetches the keys and remembers them, or that they cannot be had.
func (s *keySets) load(ctx context.Context, address string, set *keySet) error {
	var keys []jose.JSONWebKey
	got, err := s.outbound.Get(ctx, address, jwkSetTypes, maxKeySet)
	if err == nil {
		keys, err = idp.PublishedKeys(got.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err != nil {
		set.retry = now.Add(retryAfter)
		return err
	}
	set.keys, set.loaded = keys, now
	set.stale = now.Add(min(max(cmp.Or(got.MaxAge, usualFresh), minFresh), maxFresh))
	return nil
}
