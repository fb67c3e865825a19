package pubkey

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms are those that clients may sign with.
var Algorithms = []string{ES256, EdDSA, PS256, RS256}

// MaxKeys limits the keys of a set, because verifying a signature may try all of them.
const MaxKeys = 10

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

// Published reads a JWK Set that a client publishes. It skips keys that the client could not register, because the
// set may have other readers too (RFC 7517 §5), and returns the first MaxKeys of the rest.
func Published(document []byte) ([]jose.JSONWebKey, error) {
	texts, err := keysIn(document)
	if err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, text := range texts {
		if key, ok := readKey(text); ok && Fault(key) == "" && len(keys) < MaxKeys {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Registered reads a JWK Set that a client registers, and passes over the keys that are for something else as
// Published does. What it cannot pass over it leaves for the client's faults to tell: private keys, which nobody should
// have sent, and all keys if none can be used.
func Registered(document []byte) (*jose.JSONWebKeySet, error) {
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
		fault := Fault(key)
		usable = usable || fault == ""
		if fault == "" || !key.IsPublic() {
			told = append(told, key)
		}
	}
	if !usable {
		told = all
	}
	if len(told) == 0 && len(texts) > 0 {
		return nil, errors.New("no key in it is for signatures with " + strings.Join(Algorithms, ", "))
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

// Fault describes what is wrong with one key; "" if nothing.
func Fault(key jose.JSONWebKey) string {
	if key.Key != nil && !key.IsPublic() {
		return "is private or symmetric; register only the public key and keep the private key secret"
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && (k.N.BitLen() < MinRSABits || k.N.BitLen() > MaxRSABits) {
		return fmt.Sprintf("is RSA with %d bits; %d to %d are allowed", k.N.BitLen(), MinRSABits, MaxRSABits)
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && k.E != RSAExponent {
		return fmt.Sprintf("is RSA with the exponent %d; %d is required", k.E, RSAExponent)
	}
	signs := func(alg string) bool { return SignsWith(key, alg) }
	if !key.Valid() || !CheapToVerify(key.Key) || !slices.ContainsFunc(Algorithms, signs) {
		return "is not for signatures with " + strings.Join(Algorithms, ", ")
	}
	return ""
}
