package pubkey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stepward/stepward/internal/pubkey"
)

func TestOnlyKeysThatAreCheapToVerifyAreAccepted(t *testing.T) {
	point := func(curve elliptic.Curve, offBy int64) *ecdsa.PublicKey {
		p := curve.Params()
		//lint:ignore SA1019 nothing else makes a point that is off its curve
		return &ecdsa.PublicKey{Curve: curve, X: p.Gx, Y: new(big.Int).Add(p.Gy, big.NewInt(offBy))}
	}
	modulus := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for name, row := range map[string]struct {
		key  any
		good bool
	}{
		"RSA 2048":            {&rsa.PublicKey{N: modulus(2048), E: 65537}, true},
		"RSA 4096":            {&rsa.PublicKey{N: modulus(4096), E: 65537}, true},
		"RSA 2047":            {&rsa.PublicKey{N: modulus(2047), E: 65537}, false},
		"RSA 4097":            {&rsa.PublicKey{N: modulus(4097), E: 65537}, false},
		"RSA 240,000":         {&rsa.PublicKey{N: modulus(240_000), E: 65537}, false},
		"a huge exponent":     {&rsa.PublicKey{N: modulus(2048), E: 1<<31 - 1}, false},
		"exponent 3":          {&rsa.PublicKey{N: modulus(2048), E: 3}, false},
		"no modulus":          {&rsa.PublicKey{E: 65537}, false},
		"P-256":               {point(elliptic.P256(), 0), true},
		"P-384":               {point(elliptic.P384(), 0), true},
		"P-521":               {point(elliptic.P521(), 0), true},
		"P-224":               {point(elliptic.P224(), 0), false},
		"beside the curve":    {point(elliptic.P256(), 1), false},
		"Ed25519":             {make(ed25519.PublicKey, 32), true},
		"Ed25519 of 31 bytes": {make(ed25519.PublicKey, 31), false},
		"Ed25519 of 1 MB":     {make(ed25519.PublicKey, 1<<20), false},
		"a secret":            {[]byte("secret"), false},
		"nothing":             {nil, false},
	} {
		if pubkey.CheapToVerify(row.key) != row.good {
			t.Errorf("%s: accepted %v", name, !row.good)
		}
	}
}
