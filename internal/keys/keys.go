// Package keys creates, encrypts, rotates and publishes the keys that sign tokens, and signs and verifies JWS.
//
//	created ──▶ next ──▶ active ──▶ retired ──▶ gone
//	             └── published in the JWKS ──┘
//
// All replicas share one [Ring] through the store. Each reads it again every few seconds into an immutable [Set]. The
// private keys are encrypted under the operator's key ([Wrapper]), or held by an ssh-agent ([Agent]).
package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// PublishedFor is how long clients may cache the JWKS (its Cache-Control). If the store is unavailable, the last set is
// published for as long, because clients have it anyway.
const PublishedFor = 15 * time.Minute

// publishWait is how long publishing waits for a reload if there is a cached set.
const publishWait = time.Second

// keyCacheTTL is how long a replica may miss a change of the keys; the design allows 5 seconds.
const keyCacheTTL = 4 * time.Second

// Config says where signing keys are kept and how they age. Zero durations mean the defaults.
type Config struct {
	DB      *store.DB
	Wrapper *Wrapper
	// Agent holds the private keys, which never enter this process. If nil, keys are created here and encrypted by
	// Wrapper. Keys created before the agent was configured stay in use until rotated.
	Agent *Agent
	// Every is how long a key signs: 90 days.
	Every time.Duration
	// Ahead is how long the next key is published before it signs, so that every client has seen it: 7 days, or a quarter
	// of Every if that is less.
	Ahead time.Duration
	// Keep is how long a retired key stays published: 30 days. It must be at least the longest lifetime of a token. It is
	// also how long an expired ID token still works as a hint.
	Keep time.Duration
}

// Ring is the ring of signing keys that all replicas share through the store. Each algorithm has one key that signs
// (active), perhaps one that will sign (next), and those that did (retired). Prepare creates the first keys; without
// it, they are created on first use.
type Ring struct {
	cfg     Config
	loading chan struct{} // contains a token while nobody reloads
	ring    atomic.Pointer[Set]
	offered atomic.Pointer[[]string]

	// Guarded by loading:
	opened   map[string]*Signer // by kid: each is decrypted once
	failed   error              // of the last reload; nil if it succeeded or its caller left
	failedAt time.Time
}

// New returns the ring. It reads nothing yet.
func New(cfg Config) (*Ring, error) {
	if cfg.DB == nil || cfg.Wrapper == nil {
		return nil, errors.New("keys need a store and a key wrapper")
	}
	cfg.Every = cmp.Or(cfg.Every, 90*24*time.Hour)
	cfg.Ahead = cmp.Or(cfg.Ahead, min(7*24*time.Hour, cfg.Every/4))
	cfg.Keep = cmp.Or(cfg.Keep, 30*24*time.Hour)
	if cfg.Ahead >= cfg.Every {
		return nil, errors.New("keys must sign for longer than they are announced ahead")
	}
	k := &Ring{cfg: cfg, opened: map[string]*Signer{}, loading: make(chan struct{}, 1)}
	k.unlock()
	return k, nil
}

// lock waits until nobody else reloads, or until ctx ends. The caller must unlock.
func (k *Ring) lock(ctx context.Context) error {
	select {
	case <-k.loading:
		return nil
	default:
	}
	select {
	case <-k.loading:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for signing keys: %w", ctx.Err())
	}
}

func (k *Ring) unlock() { k.loading <- struct{}{} }

// Set is the ring as read at one time. It is immutable.
type Set struct {
	at       time.Time
	active   map[string]*Signer            // by algorithm
	byHeader map[string]map[string]*Signer // by typ, by encoded header: every published key
	jwks     []byte
}

// Signer returns the active key of an algorithm, and creates the first one. If several replicas create a first key at
// once, the store accepts one (idp.ErrConflict for the others), and all use it.
func (k *Ring) Signer(ctx context.Context, alg string) (*Signer, error) {
	r, err := k.Current(ctx)
	if err != nil {
		return nil, err
	}
	if s := r.active[alg]; s != nil {
		return s, nil
	}
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	defer k.unlock()
	if r, err = k.load(ctx); err != nil { // another replica or request may have created it
		return nil, err
	}
	if r.active[alg] == nil {
		now := time.Now()
		fresh, err := k.make(ctx, alg, idp.KeyActive, now)
		if err != nil {
			return nil, err
		}
		if err := k.cfg.DB.AddSigningKey(ctx, fresh, keyEvent(idp.EventKeyAdded, fresh, now)); err != nil &&
			!errors.Is(err, idp.ErrConflict) {
			return nil, fmt.Errorf("add signing key: %w", err)
		}
		if r, err = k.load(ctx); err != nil {
			return nil, err
		}
	}
	if s := r.active[alg]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no active %s key after making one", alg)
}

// Prepare creates the first key of each announced algorithm. Clients cache the JWKS, so it must contain the key of the
// first token.
func (k *Ring) Prepare(ctx context.Context) error {
	if err := k.loadAgentAlgorithms(ctx); err != nil {
		return err
	}
	if _, err := k.Signer(ctx, ES256); err != nil { // always needed, whatever the agent has
		return err
	}
	for _, alg := range k.Algorithms() {
		if _, err := k.Signer(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}

// JWKS returns the published keys as a JWK Set. While the store is unavailable, it returns the last published keys for
// at most PublishedFor.
func (k *Ring) JWKS(ctx context.Context) ([]byte, error) {
	known := k.ring.Load()
	if known == nil || time.Since(known.at) >= PublishedFor {
		return k.jwks(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	set, err := k.jwks(waiting)
	if errors.Is(err, idp.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return known.jwks, nil
	}
	return set, err
}

func (k *Ring) jwks(ctx context.Context) ([]byte, error) {
	if _, err := k.Signer(ctx, ES256); err != nil {
		return nil, err
	}
	r, err := k.Current(ctx)
	if err != nil {
		return nil, err
	}
	return r.jwks, nil
}

// Current returns the cached set. If it is older than keyCacheTTL, it is read again.
func (k *Ring) Current(ctx context.Context) (*Set, error) {
	if r := k.ring.Load(); r != nil && time.Since(r.at) < keyCacheTTL {
		return r, nil
	}
	asked := time.Now()
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	defer k.unlock()
	if r := k.ring.Load(); r != nil && time.Since(r.at) < keyCacheTTL {
		return r, nil
	}
	// else all waiting callers would time out on the store, one after another
	if k.failed != nil && k.failedAt.After(asked) {
		return nil, k.failed
	}
	return k.load(ctx)
}

// load reads the ring from the store. The caller must hold the lock.
func (k *Ring) load(ctx context.Context) (*Set, error) {
	r, err := k.read(ctx)
	k.failed, k.failedAt = err, time.Now()
	if ctx.Err() != nil { // no evidence about the store
		k.failed = nil
	}
	return r, err
}

func (k *Ring) read(ctx context.Context) (*Set, error) {
	now := time.Now()
	stored, err := k.cfg.DB.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	r := &Set{at: now, active: map[string]*Signer{}, byHeader: map[string]map[string]*Signer{}}
	opened := map[string]*Signer{}
	set := struct {
		Ring []jose.JSONWebKey `json:"keys"`
	}{[]jose.JSONWebKey{}}
	for _, key := range published(stored, now) {
		s := k.opened[key.ID]
		if s == nil {
			if s, err = k.open(key); err != nil {
				return nil, fmt.Errorf("open signing key %s: %w", key.ID, err)
			}
		}
		opened[key.ID] = s
		for typ, header := range s.headers {
			if r.byHeader[typ] == nil {
				r.byHeader[typ] = map[string]*Signer{}
			}
			r.byHeader[typ][header[:len(header)-1]] = s
		}
		public, err := jwkOf(s.alg, s.public)
		if err != nil {
			return nil, fmt.Errorf("publish signing key %s: %w", key.ID, err)
		}
		set.Ring = append(set.Ring, public)
	}
	for _, alg := range Algorithms {
		if key, ok := activeOf(stored, alg); ok {
			r.active[alg] = opened[key.ID]
		}
	}
	if r.jwks, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("publish signing keys: %w", err)
	}
	k.opened = opened
	k.ring.Store(r)
	return r, nil
}

// published returns the keys of the JWKS: all that have not left it.
func published(stored []idp.SigningKey, now time.Time) []idp.SigningKey {
	return slices.DeleteFunc(slices.Clone(stored), func(key idp.SigningKey) bool {
		return key.State == idp.KeyRetired && !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt)
	})
}

// activeOf returns the key that signs. The store allows one for each algorithm.
func activeOf(stored []idp.SigningKey, alg string) (idp.SigningKey, bool) {
	return oldest(stored, alg, idp.KeyActive)
}

func oldest(stored []idp.SigningKey, alg string, state idp.KeyState) (found idp.SigningKey, ok bool) {
	for _, key := range stored {
		if key.Algorithm != alg || key.State != state {
			continue
		}
		if !ok || key.CreatedAt.Before(found.CreatedAt) || key.CreatedAt.Equal(found.CreatedAt) && key.ID < found.ID {
			found, ok = key, true
		}
	}
	return found, ok
}

// make returns a new key: our own, or one of the agent's. Both are stored encrypted, the agent's only with its public
// key: write access to the store must not be enough to publish keys.
func (k *Ring) make(ctx context.Context, alg string, state idp.KeyState, now time.Time) (idp.SigningKey, error) {
	var private crypto.Signer
	var content []byte
	var err error
	if k.cfg.Agent != nil {
		if private, err = k.fromAgent(ctx, alg); err == nil {
			content, err = x509.MarshalPKIXPublicKey(private.Public())
		}
	} else if private, err = newPrivateKey(alg); err == nil {
		content, err = x509.MarshalPKCS8PrivateKey(private)
	}
	if err != nil {
		return idp.SigningKey{}, fmt.Errorf("make %s key: %w", alg, err)
	}
	public, err := jwkOf(alg, private.Public())
	if err != nil {
		return idp.SigningKey{}, err
	}
	key := idp.SigningKey{
		ID: public.KeyID, Algorithm: alg, State: state, Sealed: k.cfg.Wrapper.Seal(content, sealContext(public.KeyID, alg)),
		CreatedAt: now,
	}
	if state == idp.KeyActive {
		key.ActiveAt = now
	}
	return key, nil
}

// open decrypts a stored key.
func (k *Ring) open(key idp.SigningKey) (*Signer, error) {
	content, err := k.cfg.Wrapper.Open(key.Sealed, sealContext(key.ID, key.Algorithm))
	if err != nil {
		return nil, err
	}
	if public, err := x509.ParsePKIXPublicKey(content); err == nil {
		remote, err := newAgentKey(k.cfg.Agent, public)
		if err != nil {
			return nil, err
		}
		return newSigner(key.Algorithm, key.ID, remote), nil
	}
	private, err := x509.ParsePKCS8PrivateKey(content)
	if err != nil {
		return nil, errors.New("not a PKCS #8 key") // the parser's error could quote the key
	}
	s, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a signing key")
	}
	return newSigner(key.Algorithm, key.ID, s), nil
}

func sealContext(kid, alg string) string { return alg + " " + kid }

func keyEvent(kind idp.EventKind, key idp.SigningKey, now time.Time) idp.Event {
	e := idp.NewEvent(kind, "", now)
	e.Detail = map[string]string{"kid": key.ID, "alg": key.Algorithm}
	return e
}
