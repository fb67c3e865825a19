// Package clientcache remembers clients for some seconds, so that a request costs no round trip for its client.
package clientcache

import (
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// Replicas see a change within 5 seconds (design §7): this TTL, and a second for the read.
const ttl = 4 * time.Second

// size bounds each half of the cache.
const size = 1024

// A Cache remembers clients, and unknown IDs, for ttl. They are kept apart, so that a flood of made-up IDs
// cannot push out the clients.
type Cache struct {
	mu         sync.Mutex
	generation uint64 // counts this process's own writes
	known      map[string]cachedClient
	unknown    map[string]cachedClient
}

type cachedClient struct {
	client *idp.Client // nil: unknown
	until  time.Time
}

// New returns an empty cache.
func New() *Cache {
	return &Cache{known: map[string]cachedClient{}, unknown: map[string]cachedClient{}}
}

// Get returns the cached answer. If known is false, ask the store and put the answer with this generation.
func (c *Cache) Get(id string, now time.Time) (client *idp.Client, known bool, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, half := range []map[string]cachedClient{c.known, c.unknown} {
		if entry, ok := half[id]; ok && now.Before(entry.until) {
			return entry.client, true, c.generation
		}
	}
	return nil, false, c.generation
}

// Last returns the client as it was last seen, if its entry expired less than within ago.
func (c *Cache) Last(id string, within time.Duration, now time.Time) (*idp.Client, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.known[id]
	return entry.client, ok && now.Before(entry.until.Add(within))
}

// Put caches the store's answer, unless this process has written since it asked: the answer may be the old one.
func (c *Cache) Put(id string, client *idp.Client, generation uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	delete(c.known, id)
	delete(c.unknown, id)
	half := c.known
	if client == nil {
		half = c.unknown
	}
	if len(half) >= size {
		clear(half) // costs one read each, once in a while; keeping an order of use would cost on every hit
	}
	half[id] = cachedClient{client, now.Add(ttl)}
}

func (c *Cache) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	delete(c.known, id)
	delete(c.unknown, id)
}

// ForgetAll drops all clients, as Forget does.
func (c *Cache) ForgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.known)
	clear(c.unknown)
}
