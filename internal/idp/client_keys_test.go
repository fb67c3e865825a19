package idp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/pubkey"
)

func TestAClientRegistersPublicSigningKeysOnly(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bits := func(n uint) *rsa.PublicKey { // not a real key, but of the right length
		return &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), int(n)-1, 1), E: 65537}
	}
	ec := jose.JSONWebKey{Key: &p256.PublicKey}
	for _, row := range []struct {
		name string
		alg  string
		keys []jose.JSONWebKey
		want string // part of the only fault; "": no fault
	}{
		{"P-256", "", []jose.JSONWebKey{ec}, ""},
		{"Ed25519", "EdDSA", []jose.JSONWebKey{{Key: edwards, Use: "sig"}}, ""},
		{"RSA", "PS256", []jose.JSONWebKey{{Key: bits(2048)}}, ""},
		{"ten", "", slices.Repeat([]jose.JSONWebKey{ec}, 10), ""},
		{"the algorithm of the second key", "PS256", []jose.JSONWebKey{ec, {Key: bits(3072), Algorithm: "PS256"}}, ""},
		{"none", "", nil, "jwks_uri is needed"},
		{"eleven", "", slices.Repeat([]jose.JSONWebKey{ec}, 11), "more than 10"},
		{"a private EC key", "", []jose.JSONWebKey{ec, {Key: p256}}, "key 2 is private"},
		{"a shared secret", "", []jose.JSONWebKey{{Key: make([]byte, 32)}}, "key 1 is private or symmetric"},
		{"RSA of 2047 bits", "", []jose.JSONWebKey{{Key: bits(2047)}}, "2047 bits"},
		{"RSA of 16384 bits", "", []jose.JSONWebKey{{Key: bits(16384)}}, "16384 bits"},
		{"P-384", "", []jose.JSONWebKey{{Key: &p384.PublicKey}}, "is not for signatures"},
		{"for encryption", "", []jose.JSONWebKey{{Key: &p256.PublicKey, Use: "enc"}}, "is not for signatures"},
		{"alg of another key type", "", []jose.JSONWebKey{{Key: &p256.PublicKey, Algorithm: "RS256"}}, "is not for signatures"},
		{"empty", "", []jose.JSONWebKey{{}}, "is not for signatures"},
		{"no key for the algorithm", "PS256", []jose.JSONWebKey{ec}, "PS256 fits no key"},
		{"unsupported algorithm", "HS256", []jose.JSONWebKey{ec}, "token_endpoint_auth_signing_alg must be one of"},
	} {
		c := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodPrivateKey, AuthAlg: row.alg, JWKS: &jose.JSONWebKeySet{Keys: row.keys}}
		faults := c.Faults(Policy{})
		if row.want == "" && faults != nil || row.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], row.want)) {
			t.Errorf("%s: %q", row.name, faults)
		}
	}
	c := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodNone, AuthAlg: "ES256"}
	if faults := c.Faults(Policy{}); len(faults) != 1 || !strings.Contains(faults[0], "only for private_key_jwt") {
		t.Errorf("auth_signing_alg without private_key_jwt: %q", faults)
	}
}

func TestKeysOfAClientSurviveStorage(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Client{JWKS: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Use: "sig", Algorithm: "ES256"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var back Client
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if k := back.JWKS.Keys[0]; !key.PublicKey.Equal(k.Key) || k.KeyID != "k" || !pubkey.SignsWith(k, "ES256") {
		t.Errorf("got %+v", k)
	}
}

func TestAClientPublishesItsKeysInsteadOfRegisteringThem(t *testing.T) {
	for uri, want := range map[string]string{
		"https://acme.example/keys": "", "https://acme.example:8443/keys?a=b": "",
		"http://acme.example/keys": "jwks_uri must be", "http://localhost/keys": "jwks_uri must be", "acme.example/keys": "jwks_uri must be",
		"https:///keys": "jwks_uri must be", "https://me@acme.example/keys": "jwks_uri must be", "https://acme.example/keys#a": "jwks_uri must be",
		"file:///etc/passwd": "jwks_uri must be", "https://acme.example/" + strings.Repeat("a", 2048): "jwks_uri must be",
	} {
		c := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodPrivateKey, JWKSURI: uri}
		faults := c.Faults(Policy{})
		if want == "" && faults != nil || want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)) {
			t.Errorf("%.60s: %q", uri, faults)
		}
	}
	c := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodPrivateKey, JWKSURI: "https://acme.example/keys", JWKS: &jose.JSONWebKeySet{}}
	if faults := c.Faults(Policy{}); len(faults) != 1 || !strings.Contains(faults[0], "exclude each other") {
		t.Errorf("jwks and jwks_uri: %q", faults)
	}
}
