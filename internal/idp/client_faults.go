package idp

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
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

// GrantTypes are all of them.
var GrantTypes = []string{GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials, GrantDeviceCode, GrantTokenExchange}

// SignsIn reports whether a grant begins with a person who signs in.
func SignsIn(grant string) bool { return grant == GrantAuthorizationCode || grant == GrantDeviceCode }

// IDTokenAlgorithms are the algorithms ID tokens may be signed with.
var IDTokenAlgorithms = []string{"ES256", "EdDSA", "PS256", "RS256"}

// Faults returns what is wrong with a registration, each as a sentence that begins with the metadata's name; nil if it
// can be stored. It is the one gate for clients from the command line, the admin API and dynamic registration.
func (c Client) Faults(p Policy) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }

	if c.ID == "" || len(c.ID) > 128 || strings.IndexFunc(c.ID, func(r rune) bool { return r <= 0x20 || r > 0x7e }) >= 0 {
		fault("client_id must be 1 to 128 visible ASCII characters")
	}
	if name, ok := NormalizeName(c.Name); !ok || name != c.Name {
		fault("client_name must be 1 to 80 characters for people to read")
	}
	faults = append(faults, c.policyFaults()...)
	if c.Native && c.Policy == PolicyCompatible {
		fault("policy compatible is not for native clients: without PKCE any application on the device can use their codes") // RFC 8252 §8.1
	}
	switch c.AuthMethod {
	case AuthMethodNone, AuthMethodPrivateKey, AuthMethodSelfSigned:
	case AuthMethodTLS:
		if reason := c.CertificateName.fault(); reason != "" {
			fault("%s", reason)
		}
	case AuthMethodBasic, AuthMethodPost:
		if len(c.Secrets) == 0 {
			fault("token_endpoint_auth_method %s needs a secret", c.AuthMethod)
		}
	default:
		fault("token_endpoint_auth_method must be client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth or none, not %q", c.AuthMethod)
	}
	if c.AuthMethod != AuthMethodTLS && c.CertificateName != (CertificateName{}) {
		fault("tls_client_auth_* is for token_endpoint_auth_method tls_client_auth alone")
	}
	faults = append(faults, c.keyFaults()...)
	faults = append(faults, c.requestFaults()...)
	faults = append(faults, c.subjectFaults()...)
	if c.Public() && c.ResourceServer {
		fault("resource_server must authenticate; none will not do")
	}
	for _, grant := range c.GrantTypes {
		if !slices.Contains(GrantTypes, grant) {
			fault("grant_types %q is not supported; use %s", grant, strings.Join(GrantTypes, ", "))
		}
	}
	if slices.Contains(c.GrantTypes, GrantClientCredentials) {
		if c.Public() {
			fault("grant_types client_credentials is for clients that authenticate themselves; none will not do") // RFC 6749 §4.4
		}
		if c.AccessFormat == FormatOpaque {
			fault("access_token_format must be jwt for grant_types client_credentials: such a token is stored nowhere")
		}
		if !slices.ContainsFunc(c.Scopes, p.ForMachines) {
			fault("scope needs at least one for grant_types client_credentials that has no action class and is not about a user")
		}
	}
	if slices.Contains(c.GrantTypes, GrantTokenExchange) {
		if c.Public() {
			fault("grant_types token-exchange is for clients that authenticate themselves; none will not do")
		}
		if c.AccessFormat == FormatOpaque {
			fault("access_token_format must be jwt for grant_types token-exchange: an exchanged token is stored nowhere")
		}
	}
	if slices.Contains(c.GrantTypes, GrantAuthorizationCode) && len(c.RedirectURIs) == 0 {
		fault("redirect_uris needs at least one for the authorization_code grant")
	}
	if c.RequirePAR && !slices.Contains(c.GrantTypes, GrantAuthorizationCode) {
		fault("require_pushed_authorization_requests needs the authorization_code grant")
	}
	if len(c.RedirectURIs) > 50 || len(c.PostLogoutRedirectURIs) > 50 {
		fault("redirect_uris and post_logout_redirect_uris are limited to 50 each")
	}
	for _, uri := range c.RedirectURIs {
		if reason := redirectFault(uri, c.Native); reason != "" {
			fault("redirect_uris %q %s", uri, reason)
		}
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		if reason := redirectFault(uri, c.Native); reason != "" {
			fault("post_logout_redirect_uris %q %s", uri, reason)
		}
	}
	faults = append(faults, c.logoutFaults()...)
	for name, uri := range map[string]string{"client_uri": c.URI, "logo_uri": c.LogoURI, "policy_uri": c.PolicyURI, "tos_uri": c.TOSURI} {
		if u, err := url.Parse(uri); uri != "" && (err != nil || !webURL(u) || len(uri) > maxURI) {
			fault("%s must be an https URL", name)
		}
	}
	if c.InitiateLoginURI != "" && !fetchable(c.InitiateLoginURI) {
		fault("initiate_login_uri must be an https URL")
	}
	if len(c.SoftwareID) > 255 || len(c.SoftwareVersion) > 255 {
		fault("software_id and software_version are limited to 255 bytes each")
	}
	if c.Dynamic && (c.FirstParty || c.ResourceServer) {
		fault("dynamic clients can be neither first_party nor resource_server")
	}
	for _, scope := range c.Scopes {
		if _, known := p.Scopes[scope]; !known {
			fault("scope %q is not configured", scope)
		}
	}
	faults = append(faults, c.accessFaults(p)...)
	for _, acr := range append(slices.Clone(c.DefaultACRValues), c.MinimumACR) {
		if _, _, known := p.Resolve(acr); acr != "" && !known {
			fault("acr %q is neither phr, phrh nor one of acr-aliases", acr)
		}
	}
	if c.DefaultMaxAge != nil && *c.DefaultMaxAge < 0 {
		fault("default_max_age must not be negative")
	}
	for name, alg := range map[string]string{
		"id_token_signed_response_alg": c.IDTokenAlg, "userinfo_signed_response_alg": c.UserInfoAlg, "introspection_signed_response_alg": c.IntrospectionAlg,
	} {
		if alg != "" && !slices.Contains(IDTokenAlgorithms, alg) {
			fault("%s must be one of %s", name, strings.Join(IDTokenAlgorithms, ", "))
		}
	}
	if c.AccessFormat != "" && c.AccessFormat != FormatJWT && c.AccessFormat != FormatOpaque {
		fault("access_token_format must be jwt or opaque")
	}
	return faults
}

// accessFaults says what is wrong with the resources and the types of details that a client registers.
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

// redirectFault says what is wrong with a redirect URI; "" if nothing: https anywhere, http on a loopback host, and
// private-use schemes with a dot for native applications (RFC 8252 §7); never a fragment (RFC 6749 §3.1.2).
func redirectFault(uri string, native bool) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || !u.IsAbs() || len(uri) > maxURI || !utf8.ValidString(uri):
		return "is not an absolute URI of at most 2048 bytes"
	case strings.Contains(uri, "#"):
		return "has a fragment"
	case strings.Contains(uri, "*"):
		return "has a wildcard; every redirect URI is registered exactly"
	case u.User != nil:
		return "has user information"
	case webURL(u):
		return ""
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
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Hostname()))
}

// Loopback reports whether host names this machine: localhost, 127.0.0.0/8 or ::1.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
