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

	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/pubkey"
	"github.com/stepward/stepward/internal/web"
)

const (
	// A key set stays current for as long as its server says, within these bounds.
	minFresh, usualFresh, maxFresh = time.Minute, 10 * time.Minute, time.Hour
	// A key that is not in the set triggers a new fetch at most once a minute, because anybody can invent a kid.
	refetchAfter = time.Minute
	// retryAfter is the pause after a failed fetch.
	retryAfter = 10 * time.Second
	// keysHold is how long keys stay in use that cannot be fetched again.
	keysHold    = 6 * time.Hour
	maxKeySet   = 64 << 10 // bytes
	maxKeySets  = 1024
	jwkSetTypes = "application/jwk-set+json, application/json"
)

// keySets caches the key sets at jwks_uri. Clients with the same jwks_uri share an entry.
type keySets struct {
	outbound *outbound.Client
	flights  singleflight.Group // by URI
	mu       sync.Mutex
	sets     map[string]*keySet // by URI
}

type keySet struct {
	keys     []jose.JSONWebKey
	used     time.Time // last use
	loaded   time.Time // last successful fetch; zero: never
	stale    time.Time // when the keys are to be fetched again
	retry    time.Time // no fetch before this time
	anew     time.Time // no fetch for an unknown key before this time
	fetching int       // number of callers that wait for a fetch
}

// keys returns the keys at an address, and whether they were fetched just now. With anew, the keys returned before did
// not fit: after a rotation, a client names a key that we have not seen yet (OIDC Core §10.1.1). Concurrent callers
// share one fetch.
func (s *keySets) keys(
	ctx context.Context, address string, anew bool,
) (keys []jose.JSONWebKey, fetched bool, err error) {
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
		return nil, fetched, cmp.Or(err, errors.New("jwks_uri failed a moment ago"))
	}
	return set.keys, fetched, nil // the previous keys, if the fetch failed
}

// set returns the entry of an address. The caller must hold s.mu.
func (s *keySets) set(address string) *keySet {
	if set := s.sets[address]; set != nil {
		return set
	}
	if len(s.sets) >= maxKeySets {
		var idle string
		for other, set := range s.sets { // cheap compared to a fetch
			if idle == "" || set.used.Before(s.sets[idle].used) {
				idle = other
			}
		}
		delete(s.sets, idle) // callers waiting for it keep their pointer
	}
	set := &keySet{}
	s.sets[address] = set
	return set
}

// fetch waits for the fetch of an address, shared by all callers.
func (s *keySets) fetch(ctx context.Context, address string, set *keySet) error {
	_, err := share(ctx, &s.flights, address, func(ctx context.Context) (any, error) {
		return nil, s.load(ctx, address, set)
	})
	if err != nil && !errors.Is(err, ctx.Err()) {
		web.Note(ctx, slog.Any("jwks_error", err))
		return fmt.Errorf("jwks_uri: %w", err)
	}
	return err
}

// share waits for a fetch that all callers with this key share. The fetch continues when one of them goes away, because
// others may wait.
func share[T any](
	ctx context.Context, flights *singleflight.Group, key string, fetch func(context.Context) (T, error),
) (got T, err error) {
	done := flights.DoChan(key, func() (_ any, err error) {
		defer func() {
			if p := recover(); p != nil { // it runs in its own goroutine, where a panic would end the process
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return fetch(context.WithoutCancel(ctx))
	})
	select {
	case result := <-done:
		if result.Err == nil {
			got, _ = result.Val.(T)
		}
		return got, result.Err
	case <-ctx.Done():
		return got, ctx.Err()
	}
}

// load fetches the keys and stores them, or the failure.
func (s *keySets) load(ctx context.Context, address string, set *keySet) error {
	var keys []jose.JSONWebKey
	got, err := s.outbound.Get(ctx, address, jwkSetTypes, maxKeySet)
	if err == nil {
		keys, err = pubkey.Published(got.Body)
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
