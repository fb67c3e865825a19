package token

import (
	"crypto/sha256"
	"sync"

	"github.com/stepward/stepward/internal/keys"
)

// maxVerified bounds how many tokens are remembered for one reading of the keys; beyond it, tokens are verified each time.
const maxVerified = 8192

// verified remembers the claims of access tokens whose signature was checked against one reading of the keys. A resource
// server asks about the same token many times, and the signature is most of what an answer costs. It is emptied with the next
// reading (a few seconds later), so a key that leaves the ring takes its tokens along. Expiry, revocation and the user's
// state are never remembered.
type verified struct {
	mu     sync.RWMutex
	set    *keys.Set
	claims map[[sha256.Size]byte]AccessClaims
}

// open returns the claims of an access token that set verifies. They are shared: read them only.
func (v *verified) open(set *keys.Set, token string) (AccessClaims, error) {
	sum := sha256.Sum256([]byte(token))
	v.mu.RLock()
	c, known := v.claims[sum]
	known = known && v.set == set
	v.mu.RUnlock()
	if known {
		return c, nil
	}
	c = AccessClaims{}
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
