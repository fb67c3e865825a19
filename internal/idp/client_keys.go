package idp

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/pubkey"
)

// Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = pubkey.ES256
	EdDSA = pubkey.EdDSA
	PS256 = pubkey.PS256
	RS256 = pubkey.RS256
)

// AssertionAlgorithms are the algorithms that clients may sign assertions with; a client policy may allow fewer.
var AssertionAlgorithms = []string{ES256, EdDSA, PS256, RS256}

// maxClientKeys limits a client's keys, because authenticating the client may try all of them.
const maxClientKeys = 10

// SignsWith reports whether a registered key can verify signatures of this algorithm: its type and curve fit (RFC 7518
// §3, RFC 8037 §3.1), and its own use and alg members do not exclude it.
func SignsWith(key jose.JSONWebKey, alg string) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch k := key.Key.(type) {
	case *ecdsa.PublicKey:
		return alg == ES256 && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == EdDSA
	case *rsa.PublicKey:
		return alg == PS256 || alg == RS256
	default:
		return false
	}
}

// keyFaults describes what is wrong with the client's keys and its use of them.
func (c Client) keyFaults() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var keys []jose.JSONWebKey
	if c.JWKS != nil {
		keys = c.JWKS.Keys
	}
	if len(keys) > maxClientKeys {
		fault("jwks has more than %d keys", maxClientKeys)
		return faults
	}
	for i, key := range keys {
		if reason := keyFault(key); reason != "" {
			fault("jwks key %d %s", i+1, reason)
		}
	}
	if c.JWKSURI != "" {
		if !fetchable(c.JWKSURI) || strings.Contains(c.JWKSURI, "#") {
			fault("jwks_uri must be an https URL, without user and fragment, of at most 2048 bytes")
		}
		if c.JWKS != nil { // RFC 7591 §2
			fault("jwks and jwks_uri exclude each other")
		}
	}
	alg := c.AuthAlg
	if alg != "" && !slices.Contains(AssertionAlgorithms, alg) {
		fault("token_endpoint_auth_signing_alg must be one of %s", strings.Join(AssertionAlgorithms, ", "))
		return faults
	}
	if c.AuthMethod == AuthMethodSelfSigned && len(keys) == 0 && c.JWKSURI == "" {
		fault("jwks or jwks_uri is needed for token_endpoint_auth_method self_signed_tls_client_auth: " +
			"the keys of its certificates")
	}
	if c.AuthMethod != AuthMethodPrivateKey {
		if alg != "" {
			fault("token_endpoint_auth_signing_alg is only for private_key_jwt")
		}
		return faults
	}
	fits := func(key jose.JSONWebKey) bool {
		return slices.ContainsFunc(AssertionAlgorithms, func(a string) bool {
			return (alg == "" || a == alg) && SignsWith(key, a)
		})
	}
	switch {
	case c.JWKSURI != "":
	case len(keys) == 0:
		fault("jwks or jwks_uri is needed for token_endpoint_auth_method private_key_jwt")
	case len(faults) == 0 && !slices.ContainsFunc(keys, fits):
		fault("token_endpoint_auth_signing_alg %s fits no key of jwks", alg)
	}
	return faults
}

// fetchable reports whether the provider may fetch from uri.
func fetchable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && len(uri) <= 2048 && u.Scheme == "https" && plainHost(u) && ascii(uri) && u.User == nil
}

// PublishedKeys reads a JWK Set that a client publishes. It skips keys that the client could not register, because the
// set may have other readers too (RFC 7517 §5), and returns the first maxClientKeys of the rest.
func PublishedKeys(document []byte) ([]jose.JSONWebKey, error) {
	texts, err := keysIn(document)
	if err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, text := range texts {
		if key, ok := readKey(text); ok && keyFault(key) == "" && len(keys) < maxClientKeys {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// RegisteredKeys reads a JWK Set that a client registers, and passes over the keys that are for something else as
// PublishedKeys does. What it cannot pass over it leaves for [Client.Faults] to tell: private keys, which nobody should
// have sent, and all keys if none can be used.
func RegisteredKeys(document []byte) (*jose.JSONWebKeySet, error) {
	texts, err := keysIn(document)
	if err != nil {
		return nil, err
	}
	all, told, usable := []jose.JSONWebKey{}, []jose.JSONWebKey{}, false
	for _, text := range texts {
		key, ok := readKey(text)
		if !ok {
			continue
		}
		all = append(all, key)
		fault := keyFault(key)
		usable = usable || fault == ""
		if fault == "" || !key.IsPublic() {
			told = append(told, key)
		}
	}
	if !usable {
		told = all
	}
	if len(told) == 0 && len(texts) > 0 {
		return nil, errors.New("no key in it is for signatures with " + strings.Join(AssertionAlgorithms, ", "))
	}
	return &jose.JSONWebKeySet{Keys: told}, nil
}

// keysIn returns the members of a JWK Set.
func keysIn(document []byte) ([]json.RawMessage, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil || set.Keys == nil {
		return nil, errors.New("not a JWK set")
	}
	return set.Keys, nil
}

// readKey reads one key of a set. It is not ok if its kind is not known here, or if its key_ops say that it is not for
// verifying (RFC 7517 §4.3). Certificates beside it are not read: they prove nothing here, and can be as large as the
// set.
func readKey(text json.RawMessage) (key jose.JSONWebKey, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return key, false
	}
	if list, has := members["key_ops"]; has {
		var ops []string
		if json.Unmarshal(list, &ops) != nil || !slices.Contains(ops, "verify") {
			return key, false
		}
	}
	for _, name := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
		delete(members, name)
	}
	text, err := json.Marshal(members)
	return key, err == nil && key.UnmarshalJSON(text) == nil
}

// keyFault describes what is wrong with one key; "" if nothing.
func keyFault(key jose.JSONWebKey) string {
	if key.Key != nil && !key.IsPublic() {
		return "is private or symmetric; register only the public key and keep the private key secret"
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && (k.N.BitLen() < pubkey.MinRSABits || k.N.BitLen() > pubkey.MaxRSABits) {
		return fmt.Sprintf("is RSA with %d bits; %d to %d are allowed", k.N.BitLen(), pubkey.MinRSABits, pubkey.MaxRSABits)
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && k.E != pubkey.RSAExponent {
		return fmt.Sprintf("is RSA with the exponent %d; %d is required", k.E, pubkey.RSAExponent)
	}
	signs := func(alg string) bool { return SignsWith(key, alg) }
	if !key.Valid() || !pubkey.CheapToVerify(key.Key) || !slices.ContainsFunc(AssertionAlgorithms, signs) {
		return "is not for signatures with " + strings.Join(AssertionAlgorithms, ", ")
	}
	return ""
}
