package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/pubkey"
)

// jwkOf returns the public half of a key as a JWK (RFC 7517), with its thumbprint as kid.
func jwkOf(alg string, public crypto.PublicKey) (jose.JSONWebKey, error) {
	kid, err := pubkey.Thumbprint(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	k := jose.JSONWebKey{Key: public, Use: "sig", Algorithm: alg, KeyID: kid}
	if !k.IsPublic() { // never publish a private key
		return jose.JSONWebKey{}, fmt.Errorf("not a public key: %T", public)
	}
	return k, nil
}

// newPrivateKey creates a key for one of our algorithms.
func newPrivateKey(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case PS256, RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("no algorithm %q", alg)
	}
}
