package passkey_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// The cost of a ceremony. Compare with BenchmarkVerify, the cost of its signature alone.

func BenchmarkVerify(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkNewSignIn(b *testing.B) {
	h := newHouse(b)
	for b.Loop() {
		cer, _, err := h.NewSignIn("the-interaction", browser)
		if err != nil {
			b.Fatal(err)
		}
		h.SignInOptions(cer.Challenge)
	}
}

func BenchmarkFinishAssertion(b *testing.B) {
	h := newHouse(b)
	ada, a := h.newUser("ada"), passkeytest.New(origin)
	a.Algorithm = passkeytest.ES256
	k := h.register(ada, a)
	cer, op, err := h.NewSignIn("the-interaction", browser)
	if err != nil {
		b.Fatal(err)
	}
	op.Found, op.Result = true, op.Value // as if taken
	response := h.get(a, h.SignInOptions(cer.Challenge))
	find := func(context.Context, []byte, []byte) (idp.Passkey, idp.User, error) { return k, ada, nil }
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		taken, err := h.FromOp(op)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.FinishAssertion(b.Context(), taken, browser, response, now, find); err != nil {
			b.Fatal(err)
		}
	}
}
