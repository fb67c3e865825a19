package pubkey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/pubkey"
)

func TestExpensiveKeysAreNotRegistered(t *testing.T) {
	rsaOf := func(bits uint, e int) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: e}
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		key  any
		good bool
	}{
		"RSA of 2048 bits":   {rsaOf(2048, 65537), true},
		"RSA of 4096 bits":   {rsaOf(4096, 65537), true},
		"RSA of 4104 bits":   {rsaOf(4104, 65537), false},
		"RSA of 1024 bits":   {rsaOf(1024, 65537), false},
		"a huge exponent":    {rsaOf(2048, 1<<31-1), false},
		"the exponent 3":     {rsaOf(2048, 3), false},
		"P-224":              {&small.PublicKey, false},
		"Ed25519 of 32":      {ed25519.PublicKey(make([]byte, 32)), true},
		"Ed25519 of 31":      {ed25519.PublicKey(make([]byte, 31)), false},
		"nothing":            {nil, false},
		"a key that is text": {"key", false},
	} {
		if pubkey.CheapToVerify(row.key) != row.good {
			t.Errorf("%s: %v", name, !row.good)
		}
		if fault := pubkey.Fault(jose.JSONWebKey{Key: row.key}); (fault == "") != row.good {
			t.Errorf("%s: fault %q", name, fault)
		}
	}
}
