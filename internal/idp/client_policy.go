package idp

import (
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ClientPolicy names a row of the table of what a client must do.
type ClientPolicy string

const (
	PolicyStandard   ClientPolicy = "standard"   // sound for every application of today
	PolicyCompatible ClientPolicy = "compatible" // standard, but for confidential clients of old software
	PolicyFAPI2      ClientPolicy = "fapi2"      // FAPI 2.0 Security Profile Final
)

// Rules is a row of the table: what a policy permits. The zero value is the strictest, which is what a client with a policy
// that nobody knows gets. What holds for every client, such as codes of a minute and exact redirect URIs, is no column.
type Rules struct {
	// WithoutPKCE lets a confidential client leave PKCE out. Public clients may not, and plain is never taken.
	WithoutPKCE bool
	// WithoutPush lets authorization requests come through the browser whole, instead of by PAR (RFC 9126).
	WithoutPush bool
	// SharedSecrets lets the client authenticate with a client_secret.
	SharedSecrets bool
	// Public lets the client not authenticate at all.
	Public bool
	// BearerTokens lets access tokens be bound to no key of the client's.
	BearerTokens bool
	// WithoutNonce lets DPoP proofs leave out the nonce that we give (RFC 9449 §8).
	WithoutNonce bool
	// RS256 lets client assertions and ID tokens be signed with RS256.
	RS256 bool
	// AudienceLists lets aud of client assertions be an array, or the address of the token endpoint or of the endpoint it is sent
	// to, as OIDC Core §9 and RFC 9126 §2 had it.
	// Otherwise it is the issuer, as a string (RFC 7523bis).
	AudienceLists bool
	// UndatedRequests lets signed requests come without exp and nbf (FAPI 2.0 Message Signing §5.3.1 wants both).
	UndatedRequests bool
	// Rotation gives a new refresh token with every use (RFC 9700 §4.14.2). Where tokens are bound to a client that
	// authenticates it would only lose them (FAPI 2.0 §5.3.2.1).
	Rotation bool
	// LocalRedirects lets redirect URIs be http on a loopback host, or of a private-use scheme (RFC 8252 §7).
	LocalRedirects bool
	// Devices lets a person answer for a device that is elsewhere, which whoever sends them a code can abuse (RFC 8628 §5.4):
	// not what the attacker model of FAPI 2.0 puts up with.
	Devices bool
	// AccessTTL is the longest that access tokens live; zero: as long as is configured.
	AccessTTL time.Duration
}

// rules is the table. docs/integrate/register.md has the same one, held together by a test.
var rules = map[ClientPolicy]Rules{
	PolicyStandard: {
		WithoutPush: true, SharedSecrets: true, Public: true, BearerTokens: true, WithoutNonce: true, RS256: true, AudienceLists: true,
		UndatedRequests: true, Rotation: true, LocalRedirects: true, Devices: true,
	},
	PolicyCompatible: {
		WithoutPKCE: true, WithoutPush: true, SharedSecrets: true, Public: true, BearerTokens: true, WithoutNonce: true, RS256: true,
		AudienceLists: true, UndatedRequests: true, Rotation: true, LocalRedirects: true, Devices: true,
	},
	PolicyFAPI2: {AccessTTL: 10 * time.Minute},
}

// Policies are the names of all policies.
var Policies = []ClientPolicy{PolicyStandard, PolicyCompatible, PolicyFAPI2}

// Rules is the row of the client's policy.
func (c Client) Rules() Rules {
	r, known := rules[c.Policy]
	if !known {
		r.AccessTTL = rules[PolicyFAPI2].AccessTTL
	}
	return r
}

// NeedsPKCE reports whether the client's authorization requests have to carry a code_challenge.
func (c Client) NeedsPKCE() bool { return c.Public() || !c.Rules().WithoutPKCE }

// Pushes reports whether the client's authorization requests have to come by PAR (RFC 9126 §6).
func (c Client) Pushes() bool { return c.RequirePAR || !c.Rules().WithoutPush }

// policyFaults says where the registration is not within the client's policy.
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
		return when(sharedSecret(c.AuthMethod) && !r.SharedSecrets, "token_endpoint_auth_method must not be one with a shared secret")
	},
	func(c Client, r Rules) (faults []string) {
		for _, alg := range []named{
			{"token_endpoint_auth_signing_alg", c.AuthAlg},
			{"id_token_signed_response_alg", c.IDTokenAlg},
			{"request_object_signing_alg", c.RequestObjectAlg},
			{"authorization_signed_response_alg", c.ResponseAlg},
		} {
			faults = append(faults, when(alg.value == "RS256" && !r.RS256, alg.name+" must not be RS256")...)
		}
		return faults
	},
	func(c Client, r Rules) []string {
		if c.AuthMethod != AuthMethodPrivateKey || r.RS256 || c.JWKS == nil || len(c.JWKS.Keys) == 0 {
			return nil
		}
		signs := slices.ContainsFunc(c.JWKS.Keys, func(key jose.JSONWebKey) bool {
			return slices.ContainsFunc(AssertionAlgorithms, func(alg string) bool { return alg != "RS256" && SignsWith(key, alg) })
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
