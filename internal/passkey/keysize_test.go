package passkey_test

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// oversized is a public key without a private key. None is needed: attestation none has no signature.
type oversized struct{ key rsa.PublicKey }

func (o oversized) Public() crypto.PublicKey { return &o.key }
func (oversized) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}

func rsaOf(bits uint, e int) oversized {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return oversized{rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: e}}
}

// Verifying one signature with 240,000 bits costs most of a minute; 100,000 fit into a response.
func TestAnExpensiveKeyIsNotRegistered(t *testing.T) {
	for name, row := range map[string]struct {
		key  oversized
		good bool
	}{
		"100,000 bits":    {rsaOf(100_000, 65537), false},
		"4,104 bits":      {rsaOf(4104, 65537), false},
		"1,024 bits":      {rsaOf(1024, 65537), false},
		"a huge exponent": {rsaOf(2048, 1<<31-1), false},
		"exponent 3":      {rsaOf(2048, 3), false},
		"2,048 bits":      {rsaOf(2048, 65537), true},
		"4,096 bits":      {rsaOf(4096, 65537), true},
	} {
		h := newHouse(t)
		a := passkeytest.New(origin)
		a.Algorithm = passkeytest.RS256
		a.NewKey = func(int) (crypto.Signer, error) { return row.key, nil }
		ada := h.newUser("ada")
		cer, options, err := h.NewRegistration(t.Context(), ada, nil, browser)
		if err != nil {
			t.Fatal(err)
		}
		response, err := a.Create(options)
		if err != nil {
			t.Fatal(err)
		}
		k, err := h.FinishRegistration(t.Context(), cer.ID, browser, ada, response, time.Now())
		if (err == nil) != row.good || !row.good && (!errors.Is(err, passkey.ErrRefused) || !strings.Contains(err.Error(), "public key")) {
			t.Errorf("%s: %v", name, err)
		}
		if row.good {
			continue
		}
		// A row stored before this check existed is rejected as well, before any verification.
		good := passkeytest.New(origin)
		k = h.register(ada, good)
		if k.PublicKey, err = a.Passkeys[0].COSE(); err != nil {
			t.Fatal(err)
		}
		h.keys = append(h.keys[:len(h.keys)-1], k)
		if _, err := h.signIn(good); !errors.Is(err, passkey.ErrRefused) || !strings.Contains(err.Error(), "public key") {
			t.Errorf("%s, stored: %v", name, err)
		}
	}
}

func TestUnknownTransportsAreDropped(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(origin)
	a.Transports = []string{"internal", strings.Repeat("x", 1000), "hybrid", "internal", "ble", "nfc", "usb", "smart-card", "cable"}
	k := h.register(h.newUser("ada"), a)
	if got := strings.Join(k.Transports, " "); got != "internal hybrid ble nfc usb smart-card" {
		t.Errorf("transports %q", got)
	}
}
