package keystest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

// NewKey returns a private key for a JWS algorithm: ES256, EdDSA, PS256 or RS256.
func NewKey(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case idp.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case idp.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Sign returns the JWS signature of input (RFC 7518 §3), whatever header input begins with.
func Sign(t testing.TB, alg string, key crypto.Signer, input []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(input)
	var sig []byte
	var err error
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, failed := ecdsa.Sign(rand.Reader, k, digest[:])
		if err = failed; err == nil {
			sig = make([]byte, 64)
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, input)
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == idp.PS256 {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		sig, err = k.Sign(rand.Reader, digest[:], opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}
