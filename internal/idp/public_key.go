package idp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
)

// Limits of RSA keys that others give us to verify with. The cost of verifying grows with the square of the modulus and
// with the length of the exponent: one signature under 240,000 bits and e = 2³¹-1 takes most of a minute.
const (
	minRSABits  = 2048 // RFC 7518 §3.3
	maxRSABits  = 4096
	rsaExponent = 65537
)

// CheapToVerify reports whether we verify signatures with a public key: RSA of 2048 to 4096 bits with the exponent
// 65537, a point on P-256, P-384 or P-521, or Ed25519. It costs nothing; call it before any verification.
func CheapToVerify(public any) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return k.N != nil && k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits && k.E == rsaExponent
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return false
		}
		_, err := k.ECDH() // rejects points off the curve
		return err == nil
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	default:
		return false
	}
}
