package provider

import (
	"crypto/sha256"
	"sync"
)

// maxVerified bounds how many tokens a reading of the keys remembers; beyond it tokens are verified each time.
const maxVerified = 8192

// verified remembers what access tokens say whose signature was checked against one reading of the keys: a resource server
// asks about the same token many times, and the signature is most of what an answer costs. It lives as long as that
// reading (keyCacheTTL), so a key that leaves the ring takes what it vouched for along. Expiry, revocation and the user's
// state are never remembered.
type verified struct {
	mu     sync.RWMutex
	claims map[[sha256.Size]byte]accessClaims
}

// openAccess is open for access tokens. What it returns is shared: read it only.
func (r *ring) openAccess(token string) (accessClaims, error) {
	sum := sha256.Sum256([]byte(token))
	r.verified.mu.RLock()
	c, known := r.verified.claims[sum]
	r.verified.mu.RUnlock()
	if known {
		return c, nil
	}
	if err := r.open(typAccessToken, token, &c); err != nil {
		return accessClaims{}, err
	}
	r.verified.mu.Lock()
	defer r.verified.mu.Unlock()
	if r.verified.claims == nil {
		r.verified.claims = map[[sha256.Size]byte]accessClaims{}
	}
	if len(r.verified.claims) < maxVerified {
		r.verified.claims[sum] = c
	}
	return c, nil
}
