package client

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/pubkey"
)

// clientMetadata is the supported metadata of a client, in requests and responses (RFC 7591 §2, OIDC Dynamic Client
// Registration 1.0 §2).
type clientMetadata struct {
	RedirectURIs           []string            `json:"redirect_uris,omitempty"`
	ResponseTypes          []string            `json:"response_types,omitempty"`
	GrantTypes             []string            `json:"grant_types,omitempty"`
	ApplicationType        string              `json:"application_type,omitempty"`
	Contacts               []string            `json:"contacts,omitempty"`
	Name                   string              `json:"client_name,omitempty"`
	URI                    string              `json:"client_uri,omitempty"`
	LogoURI                string              `json:"logo_uri,omitempty"`
	PolicyURI              string              `json:"policy_uri,omitempty"`
	TOSURI                 string              `json:"tos_uri,omitempty"`
	Scope                  string              `json:"scope,omitempty"`
	JWKS                   *jose.JSONWebKeySet `json:"jwks,omitempty"`
	JWKSURI                string              `json:"jwks_uri,omitempty"`
	AuthMethod             string              `json:"token_endpoint_auth_method,omitempty"`
	AuthAlg                string              `json:"token_endpoint_auth_signing_alg,omitempty"`
	SubjectType            idp.SubjectType     `json:"subject_type,omitempty"`
	SectorIdentifierURI    string              `json:"sector_identifier_uri,omitempty"`
	IDTokenAlg             string              `json:"id_token_signed_response_alg,omitempty"`
	UserInfoAlg            string              `json:"userinfo_signed_response_alg,omitempty"`
	IntrospectionAlg       string              `json:"introspection_signed_response_alg,omitempty"`
	DefaultMaxAge          *int64              `json:"default_max_age,omitempty"` // seconds
	RequireAuthTime        bool                `json:"require_auth_time,omitempty"`
	DefaultACRValues       []string            `json:"default_acr_values,omitempty"`
	InitiateLoginURI       string              `json:"initiate_login_uri,omitempty"`
	PostLogoutRedirectURIs []string            `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string              `json:"backchannel_logout_uri,omitempty"`
	BackchannelSession     bool                `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI  string              `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelSession    bool                `json:"frontchannel_logout_session_required,omitempty"`
	RequirePAR             bool                `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound              bool                `json:"dpop_bound_access_tokens,omitempty"` // RFC 9449 §5.2
	RequireSignedRequest   bool                `json:"require_signed_request_object,omitempty"`
	RequestObjectAlg       string              `json:"request_object_signing_alg,omitempty"`
	RequestURIs            []string            `json:"request_uris,omitempty"`
	ResponseAlg            string              `json:"authorization_signed_response_alg,omitempty"`
	SoftwareID             string              `json:"software_id,omitempty"`
	SoftwareVersion        string              `json:"software_version,omitempty"`
	SoftwareStatement      string              `json:"software_statement,omitempty"`
}

// unencrypted lists members that ask for encryption, which is not supported. If we ignored them, we would send in clear
// what a client expects to be encrypted.
var unencrypted = []string{
	"id_token_encrypted_response_alg", "userinfo_encrypted_response_alg", "request_object_encryption_alg",
	"authorization_encrypted_response_alg", "introspection_encrypted_response_alg",
}

func badMetadata(description string) error {
	return oauth.Refuse("invalid_client_metadata", description)
}

// decodeMetadata converts members to metadata.
func decodeMetadata(members map[string]any) (m clientMetadata, err error) {
	for _, name := range unencrypted {
		if members[name] != nil {
			return m, badMetadata(name + " is not supported: encryption is not available")
		}
	}
	jwks := members["jwks"]
	members = maps.Clone(members)
	delete(members, "jwks")
	text, err := json.Marshal(members)
	if err != nil {
		return m, badMetadata("not JSON")
	}
	err = json.Unmarshal(text, &m)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		name, _, _ := strings.Cut(wrong.Field, ".")
		if name == "redirect_uris" {
			return m, oauth.Refuse("invalid_redirect_uri", "redirect_uris must be an array of strings")
		}
		return m, badMetadata(name + " has the wrong type")
	}
	if err != nil {
		return m, badMetadata("not JSON")
	}
	if jwks == nil {
		return m, nil
	}
	if text, err = json.Marshal(jwks); err == nil {
		m.JWKS, err = pubkey.Registered(text)
	}
	if err != nil {
		return m, badMetadata("jwks is not a JWK set with supported keys")
	}
	return m, nil
}

// usable returns m without the redirect URIs, grants and response types that such a client cannot have, as long as some
// are left: many clients list all that they support, and the response tells them what they got (RFC 7591 §3.2.1). may
// reports whether a grant is possible.
func (m clientMetadata) usable(may func(grant string) bool) clientMetadata {
	m.RedirectURIs = usableOrAll(m.RedirectURIs, func(uri string) bool { return idp.UsableRedirect(uri, true) })
	native := m.native()
	m.PostLogoutRedirectURIs = usableOrAll(m.PostLogoutRedirectURIs, func(uri string) bool {
		return idp.UsableRedirect(uri, native)
	})
	m.ResponseTypes = usableOrAll(m.ResponseTypes, func(v string) bool { return v == "code" })
	grants := usableOrAll(m.GrantTypes, func(grant string) bool {
		return slices.Contains(idp.GrantTypes, grant) && may(grant)
	})
	// a refresh token cannot start a flow
	if slices.ContainsFunc(grants, func(grant string) bool { return grant != idp.GrantRefreshToken }) {
		m.GrantTypes = grants
	}
	return m
}

// usableOrAll returns the values that are ok. If none is, it returns all of them, so that the error names them.
func usableOrAll(values []string, ok func(v string) bool) []string {
	kept := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !ok(v) })
	if len(kept) == 0 {
		return values
	}
	return kept
}

// native reports whether the rules for native applications apply: on a redirect URI without https, any program on the
// machine may receive the response.
func (m clientMetadata) native() bool {
	local := slices.ContainsFunc(m.RedirectURIs, func(uri string) bool { return !strings.HasPrefix(uri, "https://") })
	return m.ApplicationType == "native" || local
}

// apply returns c with the client-controlled fields replaced by m. scopes are those the client may have.
func (m clientMetadata) apply(c idp.Client, scopes []string) (idp.Client, error) {
	c.RedirectURIs, c.PostLogoutRedirectURIs, c.Contacts = m.RedirectURIs, m.PostLogoutRedirectURIs, m.Contacts
	c.URI, c.LogoURI, c.PolicyURI, c.TOSURI = m.URI, m.LogoURI, m.PolicyURI, m.TOSURI
	c.InitiateLoginURI = m.InitiateLoginURI
	c.JWKS, c.JWKSURI, c.AuthMethod, c.AuthAlg = m.JWKS, m.JWKSURI, m.AuthMethod, m.AuthAlg
	c.SubjectType, c.SectorIdentifierURI, c.IDTokenAlg = m.SubjectType, m.SectorIdentifierURI, m.IDTokenAlg
	c.UserInfoAlg, c.IntrospectionAlg = m.UserInfoAlg, m.IntrospectionAlg
	c.BackchannelLogoutURI, c.BackchannelLogoutSessionRequired = m.BackchannelLogoutURI, m.BackchannelSession
	c.FrontchannelLogoutURI, c.FrontchannelLogoutSessionRequired = m.FrontchannelLogoutURI, m.FrontchannelSession
	c.GrantTypes, c.DefaultACRValues = m.GrantTypes, m.DefaultACRValues
	c.RequirePAR, c.DPoPBound, c.ResponseAlg = m.RequirePAR, m.DPoPBound, m.ResponseAlg
	c.RequireSignedRequest, c.RequestObjectAlg, c.RequestURIs = m.RequireSignedRequest, m.RequestObjectAlg, m.RequestURIs
	c.SoftwareID, c.SoftwareVersion, c.SoftwareStatement = m.SoftwareID, m.SoftwareVersion, m.SoftwareStatement

	// The defaults are those of the specifications, which can differ from ours.
	c.AnySecretMethod = c.AuthMethod == ""
	if c.AuthMethod == "" {
		c.AuthMethod = idp.AuthMethodBasic
	}
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{idp.GrantAuthorizationCode}
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = keys.RS256
	}
	if c.SubjectType == "" {
		c.SubjectType = idp.SubjectPublic
	}
	c.DefaultMaxAge = nil
	if m.DefaultMaxAge != nil {
		if *m.DefaultMaxAge < 0 || *m.DefaultMaxAge > 1<<31 {
			return c, badMetadata("default_max_age must be a number of seconds")
		}
		age := time.Duration(*m.DefaultMaxAge) * time.Second
		c.DefaultMaxAge = &age
	}
	if m.ApplicationType != "" && m.ApplicationType != "web" && m.ApplicationType != "native" {
		return c, badMetadata("application_type must be web or native")
	}
	c.Native = m.native()
	if c.Policy == idp.PolicyCompatible && (c.Native || c.Public()) { // only confidential clients on a server can have it
		c.Policy = idp.PolicyStandard
	}
	if slices.ContainsFunc(m.ResponseTypes, func(v string) bool { return v != "code" }) ||
		len(m.ResponseTypes) > 0 && !slices.Contains(c.GrantTypes, idp.GrantAuthorizationCode) { // RFC 7591 §2.1
		return c, badMetadata("response_types must be code, with the authorization_code grant")
	}
	c.Scopes = slices.Clone(scopes)
	if m.Scope != "" { // other scopes are dropped, and the response says so
		c.Scopes = slices.DeleteFunc(c.Scopes, func(scope string) bool {
			return !slices.Contains(strings.Fields(m.Scope), scope)
		})
		if len(c.Scopes) == 0 {
			return c, badMetadata("scope contains no scope that this client may have")
		}
	}
	name, ok := idp.NormalizeClientName(m.Name)
	switch {
	case m.Name == "":
		c.Name = defaultName(c)
	case !ok:
		return c, badMetadata("client_name must be 1 to 80 readable characters")
	default:
		c.Name = name
	}
	return c, nil
}

// defaultName returns the display name of a client without a name: the host it sends people to.
func defaultName(c idp.Client) string {
	for _, uri := range c.RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Hostname() != "" {
			if name, ok := idp.NormalizeClientName(u.Hostname()); ok {
				return name
			}
		}
	}
	return "An application without a name"
}

// metadataOf returns the registered metadata of a client.
func metadataOf(c idp.Client) clientMetadata {
	m := clientMetadata{
		RedirectURIs: c.RedirectURIs, GrantTypes: c.GrantTypes, ApplicationType: "web", Contacts: c.Contacts,
		Name: c.Name, URI: c.URI, LogoURI: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI,
		Scope: strings.Join(c.Scopes, " "), JWKS: c.JWKS, JWKSURI: c.JWKSURI, AuthMethod: c.AuthMethod, AuthAlg: c.AuthAlg,
		SubjectType: c.SubjectType, SectorIdentifierURI: c.SectorIdentifierURI, IDTokenAlg: c.IDTokenAlg,
		UserInfoAlg: c.UserInfoAlg, IntrospectionAlg: c.IntrospectionAlg,
		RequireAuthTime:  true, // auth_time is always included
		DefaultACRValues: c.DefaultACRValues, InitiateLoginURI: c.InitiateLoginURI,
		PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		BackchannelLogoutURI:   c.BackchannelLogoutURI, BackchannelSession: c.BackchannelLogoutSessionRequired,
		FrontchannelLogoutURI: c.FrontchannelLogoutURI, FrontchannelSession: c.FrontchannelLogoutSessionRequired,
		RequireSignedRequest: c.RequireSignedRequest, RequestObjectAlg: c.RequestObjectAlg, RequestURIs: c.RequestURIs,
		ResponseAlg: c.ResponseAlg,
		RequirePAR:  c.RequirePAR, DPoPBound: c.DPoPBound, SoftwareID: c.SoftwareID, SoftwareVersion: c.SoftwareVersion,
		SoftwareStatement: c.SoftwareStatement,
	}
	if slices.Contains(c.GrantTypes, idp.GrantAuthorizationCode) {
		m.ResponseTypes = []string{"code"}
	}
	if c.Native {
		m.ApplicationType = "native"
	}
	if c.DefaultMaxAge != nil {
		seconds := int64(c.DefaultMaxAge.Seconds())
		m.DefaultMaxAge = &seconds
	}
	return m
}

// checkClient applies the checks of all registrations to a client that described itself. The errors are those of RFC
// 7591 §3.2.2.
func checkClient(c idp.Client, policy idp.Policy) error {
	faults := c.Faults(policy)
	if len(faults) == 0 {
		return nil
	}
	code := "invalid_client_metadata"
	if slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, "redirect_uris") }) {
		code = "invalid_redirect_uri"
	}
	text := strings.Join(faults, "; ")
	return oauth.Refuse(code, text[:min(len(text), 500)])
}
