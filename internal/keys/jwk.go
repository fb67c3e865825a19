package keys

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
	"math/big"
)

// jwk is a public key as JSON (RFC 7517). It has no field for a private part, so none can leave.
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid,omitempty"`
}

// jwkOf returns the public half of a key, with its thumbprint as kid.
func jwkOf(alg string, public crypto.PublicKey) (jwk, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	var k jwk
	// members are those the thumbprint is made of, in the order of RFC 7638 §3.2 (RFC 8037 §2 for OKP).
	var members any
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, X, Y
		if err != nil || len(point) != 65 {
			return jwk{}, fmt.Errorf("not a P-256 key: %w", err)
		}
		k = jwk{Kty: "EC", Crv: "P-256", X: b64(point[1:33]), Y: b64(point[33:])}
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		}{k.Crv, k.Kty, k.X, k.Y}
	case ed25519.PublicKey:
		k = jwk{Kty: "OKP", Crv: "Ed25519", X: b64(key)}
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
		}{k.Crv, k.Kty, k.X}
	case *rsa.PublicKey:
		k = jwk{Kty: "RSA", N: b64(key.N.Bytes()), E: b64(big.NewInt(int64(key.E)).Bytes())}
		members = struct {
			E   string `json:"e"`
			Kty string `json:"kty"`
			N   string `json:"n"`
		}{k.E, k.Kty, k.N}
	default:
		return jwk{}, fmt.Errorf("no JWK for %T", public)
	}
	text, err := json.Marshal(members)
	if err != nil {
		return jwk{}, fmt.Errorf("thumbprint: %w", err)
	}
	sum := sha256.Sum256(text)
	k.Use, k.Alg, k.Kid = "sig", alg, b64(sum[:])
	return k, nil
}

// newPrivateKey makes a key for an algorithm of ours.
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
