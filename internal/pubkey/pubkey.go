// Package pubkey says which public keys we verify signatures with, and names them by their thumbprints.
package pubkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1): those that we sign and verify with.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA"
	PS256 = "PS256"
	RS256 = "RS256"
)

// Thumbprint returns the SHA-256 thumbprint of a public key (RFC 7638 §3) in base64url.
func Thumbprint(public any) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// Limits of RSA keys that others give us to verify with. The cost of verifying grows with the square of the modulus and
// with the length of the exponent: one signature under 240,000 bits and e = 2³¹-1 takes most of a minute.
const (
	MinRSABits  = 2048 // RFC 7518 §3.3
	MaxRSABits  = 4096
	RSAExponent = 65537
)

// CheapToVerify reports whether we verify signatures with a public key: RSA of 2048 to 4096 bits with the exponent
// 65537, a point on P-256, P-384 or P-521, or Ed25519. It costs nothing; call it before any verification.
func CheapToVerify(public any) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return k.N != nil && k.N.BitLen() >= MinRSABits && k.N.BitLen() <= MaxRSABits && k.E == RSAExponent
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
