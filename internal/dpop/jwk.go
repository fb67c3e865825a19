package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/pubkey"
)

// Algorithms are the signature algorithms of proofs: those that FAPI 2.0 §5.4 allows, for every client.
var Algorithms = []string{idp.ES256, idp.EdDSA, idp.PS256}

// jwk is the key in a proof's header (RFC 7517 §4). The members in the lower half are parsed in order to reject them.
// We parse it ourselves, because go-jose accepts several encodings of one key and ignores private members it does not
// know.
type jwk struct {
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
	N     string `json:"n"`
	E     string `json:"e"`

	D     json.RawMessage `json:"d"`
	P     json.RawMessage `json:"p"`
	Q     json.RawMessage `json:"q"`
	DP    json.RawMessage `json:"dp"`
	DQ    json.RawMessage `json:"dq"`
	QI    json.RawMessage `json:"qi"`
	Other json.RawMessage `json:"oth"`
	K     json.RawMessage `json:"k"`
}

var errKey = errors.New("jwk of the DPoP proof is not a public key for its alg, which must be ES256, EdDSA or PS256")

// open returns a function that verifies signatures by this key, and the key's thumbprint. Each member must have a
// unique encoding.
func (k *jwk) open(alg string) (verify func(input, sig []byte) bool, thumbprint string, err error) {
	for _, private := range []json.RawMessage{k.D, k.P, k.Q, k.DP, k.DQ, k.QI, k.Other, k.K} {
		if private != nil { // RFC 9449 §4.3 item 7
			return nil, "", errors.New("jwk of the DPoP proof contains a private key; " +
				"replace it, because it is no longer secret")
		}
	}
	var public any
	switch {
	case alg == idp.ES256 && k.Type == "EC" && k.Curve == "P-256":
		public, verify, err = k.ec()
	case alg == idp.EdDSA && k.Type == "OKP" && k.Curve == "Ed25519":
		public, verify, err = k.okp()
	case alg == idp.PS256 && k.Type == "RSA":
		public, verify, err = k.rsa()
	default:
		return nil, "", errKey
	}
	if err != nil {
		return nil, "", errKey
	}
	if thumbprint, err = pubkey.Thumbprint(public); err != nil {
		return nil, "", errKey
	}
	return verify, thumbprint, nil
}

func (k *jwk) ec() (any, func(input, sig []byte) bool, error) {
	x, errX := bytesOf(k.X, 32)
	y, errY := bytesOf(k.Y, 32)
	if err := errors.Join(errX, errY); err != nil {
		return nil, nil, err
	}
	// The point is checked to be on the curve.
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, nil, err
	}
	return key, func(input, sig []byte) bool {
		digest := sha256.Sum256(input)
		return len(sig) == 64 &&
			ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}, nil
}

func (k *jwk) okp() (any, func(input, sig []byte) bool, error) {
	key, err := bytesOf(k.X, ed25519.PublicKeySize)
	if err != nil {
		return nil, nil, err
	}
	return ed25519.PublicKey(key), func(input, sig []byte) bool { return ed25519.Verify(key, input, sig) }, nil
}

func (k *jwk) rsa() (any, func(input, sig []byte) bool, error) {
	n, errN := bytesOf(k.N, 0)
	e, errE := bytesOf(k.E, 0)
	if err := errors.Join(errN, errE); err != nil {
		return nil, nil, err
	}
	if len(n) > 512 || len(e) > 4 || n[0] == 0 || e[0] == 0 { // RFC 7518 §6.3.1: no leading zeros
		return nil, nil, errKey
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if !pubkey.CheapToVerify(key) {
		return nil, nil, errKey
	}
	return key, func(input, sig []byte) bool {
		digest := sha256.Sum256(input)
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, options) == nil
	}, nil
}

// bytesOf decodes a member of a key. It must not be empty, and must have this length unless length is 0.
func bytesOf(member string, length int) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(member)
	if err != nil || len(b) == 0 || length != 0 && len(b) != length {
		return nil, errKey
	}
	// The decoder skips line breaks, which would give the key a second encoding.
	if base64.RawURLEncoding.EncodedLen(len(b)) != len(member) {
		return nil, errKey
	}
	return b, nil
}
