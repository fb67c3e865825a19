package idp

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/directory"
)

// Grant types a client may be registered for.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
)

// maxURI bounds every URI of a registration, in bytes.
const maxURI = 2048

// GrantTypes are all supported grant types.
var GrantTypes = []string{
	GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials, GrantDeviceCode, GrantTokenExchange,
}

// SignsIn reports whether the grant starts with a person signing in.
func SignsIn(grant string) bool { return grant == GrantAuthorizationCode || grant == GrantDeviceCode }

// IDTokenAlgorithms are the algorithms ID tokens may be signed with.
var IDTokenAlgorithms = []string{ES256, EdDSA, PS256, RS256}

// Faults returns what is wrong with a registration, each a sentence that begins with the name of the member; nil if it
// can be stored. It validates clients from the command line, the admin API and dynamic registration alike.
func (c Client) Faults(p Policy) (faults []string) {
	for _, check := range clientChecks {
		faults = append(faults, check.faults(c, p)...)
	}
	return faults
}

// A clientCheck is one rule for registrations.
type clientCheck struct {
	name   string
	faults func(c Client, p Policy) []string
}

// rule returns a check that reports one sentence if broken.
func rule(name, sentence string, broken func(c Client, p Policy) bool) clientCheck {
	return clientCheck{name, func(c Client, p Policy) []string {
		if broken(c, p) {
			return []string{sentence}
		}
		return nil
	}}
}

// each returns a check that runs fault on every value; fault returns "" for a valid one.
func each[V any](name string, values func(c Client) []V, fault func(c Client, p Policy, v V) string) clientCheck {
	return clientCheck{name, func(c Client, p Policy) (faults []string) {
		for _, v := range values(c) {
			if sentence := fault(c, p, v); sentence != "" {
				faults = append(faults, sentence)
			}
		}
		return faults
	}}
}

// clientChecks are all rules for registrations, in the order in which they are reported.
var clientChecks = []clientCheck{
	rule("id", "client_id must be 1 to 128 visible ASCII characters", func(c Client, _ Policy) bool {
		invisible := func(r rune) bool { return r <= 0x20 || r > 0x7e }
		return c.ID == "" || len(c.ID) > 128 || strings.ContainsFunc(c.ID, invisible)
	}),
	rule("name", "client_name must be 1 to 80 printable characters, none of them invisible",
		func(c Client, _ Policy) bool {
			name, ok := NormalizeClientName(c.Name)
			return !ok || name != c.Name
		}),
	{"policy", func(c Client, _ Policy) []string { return c.policyFaults() }},
	rule("native", // RFC 8252 §8.1
		"policy compatible is not for native clients: without PKCE any application on the device can use their codes",
		func(c Client, _ Policy) bool { return c.Native && c.Policy == PolicyCompatible }),
	{"authentication", func(c Client, _ Policy) []string { return c.authenticationFaults() }},
	{"keys", func(c Client, _ Policy) []string { return c.keyFaults() }},
	{"requests", func(c Client, _ Policy) []string { return c.requestFaults() }},
	{"subject", func(c Client, _ Policy) []string { return c.subjectFaults() }},
	rule("resource_server", "resource_server must authenticate; token_endpoint_auth_method none is not allowed",
		func(c Client, _ Policy) bool { return c.Public() && c.ResourceServer }),
	each("grants", func(c Client) []string { return c.GrantTypes }, func(_ Client, _ Policy, grant string) string {
		if slices.Contains(GrantTypes, grant) {
			return ""
		}
		return fmt.Sprintf("grant_types %q is not supported; use %s", grant, strings.Join(GrantTypes, ", "))
	}),
	rule("machine", // RFC 6749 §4.4
		"grant_types client_credentials requires client authentication; token_endpoint_auth_method none is not allowed",
		func(c Client, _ Policy) bool { return c.has(GrantClientCredentials) && c.Public() }),
	rule("machine_format",
		"access_token_format must be jwt for grant_types client_credentials, because its tokens are not stored",
		func(c Client, _ Policy) bool { return c.has(GrantClientCredentials) && c.AccessFormat == FormatOpaque }),
	rule("machine_scope",
		"grant_types client_credentials needs a scope that has no action class and is not about a user",
		func(c Client, p Policy) bool {
			return c.has(GrantClientCredentials) && !slices.ContainsFunc(c.Scopes, p.ForMachines)
		}),
	rule("exchange",
		"grant_types token-exchange requires client authentication; token_endpoint_auth_method none is not allowed",
		func(c Client, _ Policy) bool { return c.has(GrantTokenExchange) && c.Public() }),
	rule("exchange_format",
		"access_token_format must be jwt for grant_types token-exchange, because its tokens are not stored",
		func(c Client, _ Policy) bool { return c.has(GrantTokenExchange) && c.AccessFormat == FormatOpaque }),
	rule("redirect_uri", "redirect_uris needs at least one for the authorization_code grant",
		func(c Client, _ Policy) bool { return c.has(GrantAuthorizationCode) && len(c.RedirectURIs) == 0 }),
	rule("par", "require_pushed_authorization_requests needs the authorization_code grant", func(c Client, _ Policy) bool {
		return c.RequirePAR && !c.has(GrantAuthorizationCode)
	}),
	rule("redirect_count", "redirect_uris and post_logout_redirect_uris are limited to 50 each",
		func(c Client, _ Policy) bool { return len(c.RedirectURIs) > 50 || len(c.PostLogoutRedirectURIs) > 50 }),
	each("redirect_uris", func(c Client) []string { return c.RedirectURIs }, func(c Client, _ Policy, uri string) string {
		return about("redirect_uris", uri, redirectFault(uri, c.Native))
	}),
	each("post_logout_redirect_uris", func(c Client) []string {
		return c.PostLogoutRedirectURIs
	}, func(c Client, _ Policy, uri string) string {
		return about("post_logout_redirect_uris", uri, redirectFault(uri, c.Native))
	}),
	{"logout", Client.logoutFaults},
	each("pages", func(c Client) []named {
		return []named{{"client_uri", c.URI}, {"logo_uri", c.LogoURI}, {"policy_uri", c.PolicyURI}, {"tos_uri", c.TOSURI}}
	}, func(_ Client, _ Policy, page named) string {
		if u, err := url.Parse(page.value); page.value == "" || err == nil && webURL(u) && ascii(page.value) &&
			len(page.value) <= maxURI {
			return ""
		}
		return page.name + " must be an https URL"
	}),
	rule("initiate_login_uri", "initiate_login_uri must be an https URL", func(c Client, _ Policy) bool {
		return c.InitiateLoginURI != "" && !fetchable(c.InitiateLoginURI)
	}),
	rule("software", "software_id and software_version are limited to 255 bytes each", func(c Client, _ Policy) bool {
		return len(c.SoftwareID) > 255 || len(c.SoftwareVersion) > 255
	}),
	rule("dynamic", "dynamic clients can be neither first_party nor resource_server", func(c Client, _ Policy) bool {
		return c.Dynamic && (c.FirstParty || c.ResourceServer)
	}),
	each("scope", func(c Client) []string { return c.Scopes }, func(_ Client, p Policy, scope string) string {
		if _, known := p.Scopes[scope]; known {
			return ""
		}
		return fmt.Sprintf("scope %q is not configured", scope)
	}),
	{"access", func(c Client, p Policy) []string { return c.accessFaults(p) }},
	each("acr", func(c Client) []string {
		return append(slices.Clone(c.DefaultACRValues), c.MinimumACR)
	}, func(_ Client, p Policy, acr string) string {
		if _, _, known := p.Resolve(acr); acr == "" || known {
			return ""
		}
		return fmt.Sprintf("acr %q is neither phr, phrh nor one of acr-aliases", acr)
	}),
	rule("max_age", "default_max_age must not be negative", func(c Client, _ Policy) bool {
		return c.DefaultMaxAge != nil && *c.DefaultMaxAge < 0
	}),
	each("algorithms", func(c Client) []named {
		return []named{
			{"id_token_signed_response_alg", c.IDTokenAlg},
			{"userinfo_signed_response_alg", c.UserInfoAlg},
			{"introspection_signed_response_alg", c.IntrospectionAlg},
		}
	}, func(_ Client, _ Policy, alg named) string {
		if alg.value == "" || slices.Contains(IDTokenAlgorithms, alg.value) {
			return ""
		}
		return alg.name + " must be one of " + strings.Join(IDTokenAlgorithms, ", ")
	}),
	each("id_token_claims", func(c Client) []string { return c.IDTokenClaims },
		func(_ Client, p Policy, scope string) string {
			if _, known := p.Scopes[scope]; slices.Contains(ClaimScopes, scope) ||
				known && !slices.Contains(StandardScopes, scope) { // a claim that an admin defined may be released by it
				return ""
			}
			return fmt.Sprintf("id_token_claims %q is not a scope with claims; use %s", scope, strings.Join(ClaimScopes, ", "))
		}),
	{"release", func(c Client, _ Policy) []string {
		return directory.ReleaseFaults(c.AllowedGroups, c.GroupsClaim, c.ClaimMappings)
	}},
	rule("format", "access_token_format must be jwt or opaque", func(c Client, _ Policy) bool {
		return c.AccessFormat != "" && c.AccessFormat != FormatJWT && c.AccessFormat != FormatOpaque
	}),
}

// named is a metadata member with its value.
type named struct{ name, value string }

// about returns the sentence for a faulty value of a list; "" if there is no fault.
func about(name, value, reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf("%s %q %s", name, value, reason)
}

func (c Client) has(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// authenticationFaults describes what the client lacks for its authentication method.
func (c Client) authenticationFaults() (faults []string) {
	switch c.AuthMethod {
	case AuthMethodNone, AuthMethodPrivateKey, AuthMethodSelfSigned:
	case AuthMethodTLS:
		if reason := c.CertificateName.fault(); reason != "" {
			faults = append(faults, reason)
		}
	case AuthMethodBasic, AuthMethodPost:
		if len(c.Secrets) == 0 {
			faults = append(faults, fmt.Sprintf("token_endpoint_auth_method %s needs a secret", c.AuthMethod))
		}
	default:
		faults = append(faults, fmt.Sprintf("token_endpoint_auth_method must be client_secret_basic, client_secret_post, "+
			"private_key_jwt, "+
			"tls_client_auth, self_signed_tls_client_auth or none, not %q", c.AuthMethod))
	}
	if c.AnySecretMethod && !sharedSecret(c.AuthMethod) {
		faults = append(faults, "any_secret_method is for clients with a client_secret alone")
	}
	if c.AuthMethod != AuthMethodTLS && c.CertificateName != (CertificateName{}) {
		faults = append(faults, "tls_client_auth_* is only for token_endpoint_auth_method tls_client_auth")
	}
	return faults
}

// accessFaults describes what is wrong with the resources and detail types of the client.
func (c Client) accessFaults(p Policy) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for name, uris := range map[string][]string{"resources": c.Resources, "serves": c.Serves} {
		for _, uri := range uris {
			if _, known := p.Resources[uri]; !known {
				fault("%s %q is not configured", name, uri)
			}
		}
	}
	if len(c.Serves) > 0 && !c.ResourceServer {
		fault("serves is for a resource_server")
	}
	for _, name := range c.DetailTypes {
		if _, known := p.DetailTypes[name]; !known {
			fault("authorization_details_types %q is not configured", name)
		}
	}
	return faults
}

// UsableRedirect reports whether a client may register a redirect URI.
func UsableRedirect(uri string, native bool) bool { return redirectFault(uri, native) == "" }

// redirectFault describes what is wrong with a redirect URI; "" if nothing. It allows https, http on a loopback host,
// and for native applications private-use schemes with a dot (RFC 8252 §7), but never a fragment (RFC 6749 §3.1.2).
func redirectFault(uri string, native bool) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || !u.IsAbs() || len(uri) > maxURI || !utf8.ValidString(uri):
		return "is not an absolute URI of at most 2048 bytes"
	case !ascii(uri):
		return "has characters that are not ASCII: write the host as an A-label (xn--…) and percent-encode the rest"
	case strings.Contains(uri, "#"):
		return "has a fragment"
	case strings.Contains(uri, "*"):
		return "has a wildcard; every redirect URI is registered exactly"
	case u.User != nil:
		return "has user information"
	case webURL(u):
		return ""
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !plainHost(u):
		return "has a host or port that does not exist"
	case u.Scheme == "http":
		return "is http on a host that is not this machine; use https"
	case u.Scheme == "https":
		return "has no host"
	case native && strings.Contains(u.Scheme, "."):
		return ""
	case native:
		return "has a scheme without a dot; use a reversed domain name, such as com.example.app:/callback"
	default:
		return "has a scheme that only native clients may use"
	}
}

// webURL reports whether u is https with a host, or http on a loopback host.
func webURL(u *url.URL) bool {
	return plainHost(u) && (u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Hostname()))
}

// Loopback reports whether host names this machine: localhost, 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
