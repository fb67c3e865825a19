package sender

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// noncePeriod is how long each nonce is given out. It is accepted for one more period, so that a nonce given out just
// before the end still works.
const noncePeriod = 2 * time.Minute

// nonces makes the nonces of DPoP proofs, which prevent proofs from being made in advance (RFC 9449 §8, §11.2). A nonce
// is a MAC of its period: the same for all clients, known to every replica, stored nowhere. Replay is prevented by jti,
// not by the nonce.
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

// current returns the nonce to give out now.
func (n nonces) current(now time.Time) string { return n.of(period(now)) }

// fresh reports whether a nonce is the current one, the previous one, or the next one, which a replica with a fast
// clock may have given out.
func (n nonces) fresh(nonce string, now time.Time) bool {
	at, ok := period(now), 0
	for _, p := range []int64{at, at - 1, at + 1} {
		ok |= subtle.ConstantTimeCompare([]byte(nonce), []byte(n.of(p)))
	}
	return ok == 1
}
