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
	if k := back.JWKS.Keys[0]; !key.PublicKey.Equal(k.Key) || k.KeyID != "k" || !SignsWith(k, "ES256") {
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

const (
	publishedKey = `{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	privateKey   = `{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}`
)

func TestUnusablePublishedKeysAreSkipped(t *testing.T) {
	for text, want := range map[string]int{
		`{"keys":[` + publishedKey + `]}`: 1, `{"keys":[]}`: 0,
		`{"keys":[{"kty":"unheard of"},1,null,` + privateKey + `,{"kty":"oct","k":"AAAA"},` + publishedKey + `]}`: 1,
		`{"keys":[` + strings.Repeat(publishedKey+",", 11) + publishedKey + `]}`:                                  10,
		``: -1, `{}`: -1, `[]`: -1, `{"keys":null}`: -1, `{"keys":{}}`: -1, `<html>`: -1,
	} {
		keys, err := PublishedKeys([]byte(text))
		if want < 0 && err == nil || want >= 0 && (err != nil || len(keys) != want) {
			t.Errorf("%.60s: %d keys, %v", text, len(keys), err)
		}
	}
}

func TestOfARegisteredSetTheUsableKeysCount(t *testing.T) {
	const (
		other   = `{"kty":"EC","crv":"P-256","use":"enc","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
		wraps   = `{"kty":"EC","crv":"P-256","key_ops":["deriveKey"],"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
		checks  = `{"kty":"EC","crv":"P-256","key_ops":["verify"],"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
		unheard = `{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"},{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`
	)
	certified := strings.Replace(publishedKey, `{`, `{"x5c":["AAAA","`+strings.Repeat("A", 4096)+`"],"x5t":"AAAA",`, 1)
	for name, row := range map[string]struct {
		keys string
		want int    // keys; -1: an error
		told string // by Faults, of a client that signs with them
	}{
		"one":                                 {publishedKey, 1, ""},
		"for encryption besides":              {other + "," + publishedKey, 1, ""},
		"of kinds that are unheard of":        {unheard + "," + publishedKey, 1, ""},
		"for something else by key_ops":       {wraps + "," + checks, 1, ""},
		"for something else by key_ops only":  {wraps, -1, ""},
		"for encryption only":                 {other, 1, "is not for signatures"},
		"of unheard kinds only":               {`{"kty":"AKP","alg":"x","pub":"AAAA"}`, -1, ""},
		"a private one besides":               {publishedKey + "," + privateKey, 2, "is private"},
		"a secret besides":                    {publishedKey + `,{"kty":"oct","k":"AAAA"}`, 2, "is private or symmetric"},
		"with certificates that are not read": {certified, 1, ""},
		"twelve":                              {strings.Repeat(publishedKey+",", 11) + publishedKey, 12, "more than 10"},
		"none":                                {"", 0, "jwks or jwks_uri is needed"},
	} {
		set, err := RegisteredKeys([]byte(`{"keys":[` + row.keys + `]}`))
		if row.want < 0 {
			if err == nil {
				t.Errorf("%s: taken", name)
			}
			continue
		}
		if err != nil || len(set.Keys) != row.want {
			t.Errorf("%s: %v, %v", name, set, err)
			continue
		}
		if text, err := json.Marshal(set); err != nil || strings.Contains(string(text), "x5") {
			t.Errorf("%s: %v %s", name, err, text)
		}
		c := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodPrivateKey, JWKS: set}
		if faults := strings.Join(c.Faults(Policy{}), ";"); (faults == "") != (row.told == "") || !strings.Contains(faults, row.told) {
			t.Errorf("%s: %s", name, faults)
		}
	}
	for _, text := range []string{``, `[]`, `{}`, `{"keys":{}}`} {
		if _, err := RegisteredKeys([]byte(text)); err == nil {
			t.Errorf("%s: taken", text)
		}
	}
	if keys, err := PublishedKeys([]byte(`{"keys":[` + wraps + `,` + certified + `]}`)); err != nil || len(keys) != 1 || len(keys[0].Certificates) > 0 {
		t.Errorf("published: %v %v", keys, err)
	}
}

func FuzzPublishedKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[` + publishedKey + `]}`))
	f.Add([]byte(`{"keys":[` + privateKey + `,{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, _ := PublishedKeys(document)
		for _, key := range keys {
			if keyFault(key) != "" {
				t.Errorf("%+v was accepted", key)
			}
		}
		if len(keys) > maxClientKeys {
			t.Errorf("%d keys", len(keys))
		}
	})
}
