// Package dpoptest makes valid and invalid DPoP proofs for tests.
package dpoptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// A Key signs proofs, as a client does.
type Key struct {
	Algorithm string
	private   crypto.Signer
}

// New makes a key for ES256, EdDSA, PS256 or RS256.
func New(alg string) Key {
	var private crypto.Signer
	var err error
	switch alg {
	case idp.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case idp.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case idp.PS256, idp.RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("no algorithm %q", alg)
	}
	if err != nil {
		panic(err)
	}
	return Key{alg, private}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWK returns the public key.
func (k Key) JWK() map[string]any {
	switch public := k.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, X, Y
		if err != nil {
			panic(err)
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	default:
		key := public.(*rsa.PublicKey)
		return map[string]any{"kty": "RSA", "n": b64(key.N.Bytes()), "e": "AQAB"}
	}
}

// Thumbprint returns the RFC 7638 thumbprint. All members of JWK are required ones.
func (k Key) Thumbprint() string {
	text, err := json.Marshal(k.JWK()) // sorted by name
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return b64(sum[:])
}

// Header and Claims are changes to a proof. A nil value removes a member.
type (
	Header map[string]any
	Claims map[string]any
)

// Proof makes a proof for a request, with the changes applied.
func (k Key) Proof(method, uri string, change ...any) string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	header := map[string]any{"typ": "dpop+jwt", "alg": k.Algorithm, "jwk": k.JWK()}
	claims := map[string]any{"jti": b64(id), "htm": method, "htu": uri, "iat": time.Now().Unix()}
	for _, c := range change {
		switch c := c.(type) {
		case Header:
			maps.Copy(header, c)
		case Claims:
			maps.Copy(claims, c)
		}
	}
	for _, m := range []map[string]any{header, claims} {
		maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	}
	return k.Sign(header, claims)
}

// Hash returns the change that sets ath for an access token.
func Hash(accessToken string) Claims {
	sum := sha256.Sum256([]byte(accessToken))
	return Claims{"ath": b64(sum[:])}
}

// Sign makes a compact JWS of any header and claims with the key's algorithm.
func (k Key) Sign(header, claims any) string {
	h, errH := json.Marshal(header)
	c, errC := json.Marshal(claims)
	if errH != nil || errC != nil {
		panic(fmt.Sprint(errH, errC))
	}
	return k.SignRaw(h, c)
}

// SignRaw is Sign for bytes that need not be JSON.
func (k Key) SignRaw(header, claims []byte) string {
	input := b64(header) + "." + b64(claims)
	return input + "." + b64(k.signature([]byte(input)))
}

func (k Key) signature(input []byte) []byte {
	digest := sha256.Sum256(input)
	var sig []byte
	var err error
	switch private := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, failed := ecdsa.Sign(rand.Reader, private, digest[:])
		if failed != nil {
			panic(failed)
		}
		sig = make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
	case ed25519.PrivateKey:
		sig = ed25519.Sign(private, input)
	case *rsa.PrivateKey:
		if k.Algorithm == idp.PS256 {
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			sig, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], options)
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
		}
	}
	if err != nil {
		panic(err)
	}
	return sig
}
