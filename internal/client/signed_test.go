package client

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/keys/keystest"
)

func TestPS256RequiresASaltAsLongAsTheHash(t *testing.T) { // RFC 7518 §3.5
	private := keystest.NewKey(t, keys.PS256).(*rsa.PrivateKey)
	key := jose.JSONWebKey{Key: private.Public(), KeyID: "1"}
	enc := base64.RawURLEncoding.EncodeToString
	input := enc([]byte(`{"alg":"PS256","kid":"1"}`)) + "." + enc([]byte(`{"iss":"acme"}`))
	sum := sha256.Sum256([]byte(input))
	for salt, want := range map[int]bool{32: true, 0: false, 20: false, 31: false, 33: false, 222: false} {
		options := &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}
		if salt == 0 { // which rsa takes for "as long as fits"
			options.SaltLength = rsa.PSSSaltLengthAuto
		}
		signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], options)
		check(t, err)
		token, err := ParseSigned(input+"."+enc(signature), maxAssertion, &struct{}{})
		check(t, err)
		if got := verifies(key, token); got != want {
			t.Errorf("a salt of %d bytes: %v", salt, got)
		}
		if token, err = ParseSigned(input+"."+enc(append(signature, 0)), maxAssertion, &struct{}{}); err == nil && verifies(key, token) {
			t.Error("a longer signature")
		}
	}
}

// The length limit bounds what a header costs, and nothing in it is trusted.
func TestCertificatesInAHeaderAreIgnored(t *testing.T) {
	key := keystest.NewKey(t, "ES256")
	private := keystest.NewKey(t, "RS256").(*rsa.PrivateKey)
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Set(private.N), 40_000, 1), E: 1<<31 - 1}
	chain := []string{certified(t, private, huge)}
	if len(chain[0]) < 5000 {
		t.Fatalf("a small certificate: %d", len(chain[0]))
	}
	header, err := json.Marshal(map[string]any{"alg": "ES256", "x5c": chain})
	check(t, err)
	enc := base64.RawURLEncoding.EncodeToString
	input := enc(header) + "." + enc([]byte(`{"iss":"acme"}`))
	begin := time.Now()
	token, err := ParseSigned(input+"."+enc(keystest.Sign(t, "ES256", key, []byte(input))), 16<<10, &struct{}{})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("reading it took %v", took)
	}
	if err == nil && verifies(jose.JSONWebKey{Key: huge}, token) {
		t.Error("an unregistered key verifies")
	}
	if _, err := ParseSigned(strings.Repeat("A", maxAssertion+1), maxAssertion, &struct{}{}); err == nil {
		t.Error("longer than the bound")
	}
}

// certified is a certificate of a key, as in x5c.
func certified(t *testing.T, issuer crypto.Signer, of crypto.PublicKey) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, of, issuer)
	check(t, err)
	return base64.StdEncoding.EncodeToString(der)
}
