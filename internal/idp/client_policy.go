package idp

import (
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/pubkey"
)

// ClientPolicy names a set of rules for clients.
type ClientPolicy string

const (
	PolicyStandard   ClientPolicy = "standard"   // for every current application
	PolicyCompatible ClientPolicy = "compatible" // standard, but old confidential clients may omit PKCE
	PolicyFAPI2      ClientPolicy = "fapi2"      // FAPI 2.0 Security Profile Final
)

// Rules lists what a client policy permits. The zero value is the strictest, and applies to clients with an unknown
// policy. Rules that hold for every client, such as one-minute codes and exact redirect URIs, are not listed.
type Rules struct {
	// WithoutPKCE lets a confidential client omit PKCE. Public clients may not, and the plain method is never accepted.
	WithoutPKCE bool
	// WithoutPush accepts authorization requests that were not pushed (RFC 9126).
	WithoutPush bool
	// SharedSecrets lets the client authenticate with a client_secret.
	SharedSecrets bool
	// Public lets the client skip authentication.
	Public bool
	// BearerTokens allows access tokens that are not bound to a key.
	BearerTokens bool
	// WithoutNonce accepts DPoP proofs without our nonce (RFC 9449 §8).
	WithoutNonce bool
	// RS256 allows RS256 for client assertions and ID tokens.
	RS256 bool
	// AudienceLists allows aud of client assertions to be an array, or the URL of the token endpoint or of the endpoint
	// that receives it, as in OIDC Core §9 and RFC 9126 §2. Otherwise it must be the issuer, as a string (RFC 7523bis).
	AudienceLists bool
	// UndatedRequests accepts signed requests without exp and nbf (FAPI 2.0 Message Signing §5.3.1 requires both).
	UndatedRequests bool
	// Rotation issues a new refresh token with every use (RFC 9700 §4.14.2). For a client that authenticates, rotation
	// adds only the risk of losing tokens (FAPI 2.0 §5.3.2.1).
	Rotation bool
	// LocalRedirects allows redirect URIs with http on a loopback host or with a private-use scheme (RFC 8252 §7).
	LocalRedirects bool
	// Devices allows the device grant. An attacker can trick a person into confirming the attacker's code (RFC 8628
	// §5.4), which the attacker model of FAPI 2.0 does not accept.
	Devices bool
	// AccessTTL is the maximum lifetime of access tokens; zero: as configured.
	AccessTTL time.Duration
}

// rules holds the rules of each policy. A test compares it with the table in docs/integrate/register.md.
var rules = map[ClientPolicy]Rules{
	PolicyStandard: {
		WithoutPush: true, SharedSecrets: true, Public: true, BearerTokens: true, WithoutNonce: true, RS256: true,
		AudienceLists: true, UndatedRequests: true, Rotation: true, LocalRedirects: true, Devices: true,
	},
	PolicyCompatible: {
		WithoutPKCE: true, WithoutPush: true, SharedSecrets: true, Public: true, BearerTokens: true, WithoutNonce: true,
		RS256: true, AudienceLists: true, UndatedRequests: true, Rotation: true, LocalRedirects: true, Devices: true,
	},
	PolicyFAPI2: {AccessTTL: 10 * time.Minute},
}

// Policies are the names of all policies.
var Policies = []ClientPolicy{PolicyStandard, PolicyCompatible, PolicyFAPI2}

// Rules returns the rules of the client's policy.
func (c Client) Rules() Rules {
	r, known := rules[c.Policy]
	if !known {
		r.AccessTTL = rules[PolicyFAPI2].AccessTTL
	}
	return r
}

// NeedsPKCE reports whether the client's authorization requests must carry a code_challenge.
func (c Client) NeedsPKCE() bool { return c.Public() || !c.Rules().WithoutPKCE }

// MustPush reports whether the client's authorization requests must be pushed (RFC 9126 §6).
func (c Client) MustPush() bool { return c.RequirePAR || !c.Rules().WithoutPush }

// policyFaults describes where the registration violates the client's policy.
func (c Client) policyFaults() (faults []string) {
	if !slices.Contains(Policies, c.Policy) {
		return []string{"policy must be standard, compatible or fapi2, not \"" + string(c.Policy) + "\""}
	}
	for _, check := range policyChecks {
		for _, fault := range check(c, c.Rules()) {
			faults = append(faults, fault+" under policy "+string(c.Policy))
		}
	}
	return faults
}

// policyChecks are the rules that depend on the client's policy.
var policyChecks = []func(c Client, r Rules) []string{
	func(c Client, r Rules) []string {
		return when(c.Public() && !r.Public, "token_endpoint_auth_method must not be none")
	},
	func(c Client, r Rules) []string {
		return when(sharedSecret(c.AuthMethod) && !r.SharedSecrets,
			"token_endpoint_auth_method must not be one with a shared secret")
	},
	func(c Client, r Rules) (faults []string) {
		for _, alg := range []named{
			{"token_endpoint_auth_signing_alg", c.AuthAlg},
			{"id_token_signed_response_alg", c.IDTokenAlg},
			{"request_object_signing_alg", c.RequestObjectAlg},
			{"authorization_signed_response_alg", c.ResponseAlg},
		} {
			faults = append(faults, when(alg.value == RS256 && !r.RS256, alg.name+" must not be RS256")...)
		}
		return faults
	},
	func(c Client, r Rules) []string {
		if c.AuthMethod != AuthMethodPrivateKey || r.RS256 || c.JWKS == nil || len(c.JWKS.Keys) == 0 {
			return nil
		}
		other := func(alg string) bool { return alg != RS256 }
		signs := slices.ContainsFunc(c.JWKS.Keys, func(key jose.JSONWebKey) bool {
			return slices.ContainsFunc(AssertionAlgorithms, func(alg string) bool {
				return other(alg) && pubkey.SignsWith(key, alg)
			})
		})
		return when(!signs, "jwks needs a key that is not for RS256")
	},
	func(c Client, r Rules) []string {
		return when(c.has(GrantDeviceCode) && !r.Devices, "grant_types must not be "+GrantDeviceCode)
	},
	func(c Client, r Rules) []string {
		local := slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !strings.HasPrefix(uri, "https://") })
		return when(local && !r.LocalRedirects, "redirect_uris must be https")
	},
}

// when returns the sentence if the rule is broken.
func when(broken bool, sentence string) []string {
	if broken {
		return []string{sentence}
	}
	return nil
}
