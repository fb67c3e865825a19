package sender

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// noncePeriod is how long a nonce is the one that is given out. It is taken for that long again, so that none is refused
// that has just been given.
const noncePeriod = 2 * time.Minute

// nonces are those that DPoP proofs carry, so that nobody can make proofs ahead for a time to come (RFC 9449 §8, §11.2). A
// nonce is a MAC of its period: the same for all clients, known to every replica and stored nowhere. That a proof comes
// once is for its jti to say.
type nonces struct{ key []byte }

func newNonces(secret []byte) nonces {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("dpop nonces"))
	return nonces{mac.Sum(nil)}
}

func (n nonces) of(period int64) string {
	mac := hmac.New(sha256.New, n.key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(period)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func period(now time.Time) int64 { return now.Unix() / int64(noncePeriod/time.Second) }

// current is the nonce to give out.
func (n nonces) current(now time.Time) string { return n.of(period(now)) }

// fresh reports whether a nonce is the current one, the one before, or the next, which a replica whose clock is ahead may
// have given.
func (n nonces) fresh(nonce string, now time.Time) bool {
	at, ok := period(now), 0
	for _, p := range []int64{at, at - 1, at + 1} {
		ok |= subtle.ConstantTimeCompare([]byte(nonce), []byte(n.of(p)))
	}
	return ok == 1
}
