package token

import (
	"crypto/sha256"
	"sync"

	"github.com/stepward/stepward/internal/keys"
)

// maxVerified is the number of tokens cached for one set of keys. Beyond it, tokens are verified each time.
const maxVerified = 8192

// verified caches the claims of access tokens whose signature was verified with one set of keys. A resource server asks
// about the same token many times, and most of the cost is the signature: opening a known token takes 1 µs of CPU
// instead of 89. The cache is emptied when the keys are read again (every few seconds), so tokens of a withdrawn key
// stop working. Expiry, revocation and the state of the user are never cached.
type verified struct {
	mu     sync.RWMutex
	set    *keys.Set
	claims map[[sha256.Size]byte]AccessClaims
}

// open returns the claims of an access token that set verifies. They are shared, so callers must not change them.
func (v *verified) open(set *keys.Set, token string) (AccessClaims, error) {
	sum := sha256.Sum256([]byte(token))
	v.mu.RLock()
	c, known := v.claims[sum]
	known = known && v.set == set
	v.mu.RUnlock()
	if known {
		return c, nil
	}
	return v.verify(set, token, sum)
}

func (v *verified) verify(set *keys.Set, token string, sum [sha256.Size]byte) (AccessClaims, error) {
	var c AccessClaims
	if err := set.Open(keys.TypeAccessToken, token, &c); err != nil {
		return AccessClaims{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.set != set {
		v.set, v.claims = set, map[[sha256.Size]byte]AccessClaims{}
	}
	if len(v.claims) < maxVerified {
		v.claims[sum] = c
	}
	return c, nil
}
