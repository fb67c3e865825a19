package idp

import (
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
var AssertionAlgorithms = pubkey.Algorithms

// keyFaults describes what is wrong with the client's keys and its use of them.
func (c Client) keyFaults() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var keys []jose.JSONWebKey
	if c.JWKS != nil {
		keys = c.JWKS.Keys
	}
	if len(keys) > pubkey.MaxKeys {
		fault("jwks has more than %d keys", pubkey.MaxKeys)
		return faults
	}
	for i, key := range keys {
		if reason := pubkey.Fault(key); reason != "" {
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
		fault("jwks_uri is needed for token_endpoint_auth_method self_signed_tls_client_auth, or jwks")
	}
	if c.AuthMethod != AuthMethodPrivateKey {
		if alg != "" {
			fault("token_endpoint_auth_signing_alg is only for private_key_jwt")
		}
		return faults
	}
	fits := func(key jose.JSONWebKey) bool {
		return slices.ContainsFunc(AssertionAlgorithms, func(a string) bool {
			return (alg == "" || a == alg) && pubkey.SignsWith(key, a)
		})
	}
	switch {
	case c.JWKSURI != "":
	case len(keys) == 0:
		fault("jwks_uri is needed for token_endpoint_auth_method private_key_jwt, or jwks")
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
