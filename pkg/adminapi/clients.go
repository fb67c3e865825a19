package adminapi

import (
	"encoding/json"
	"time"
)

// A Client is an application, or an API that introspects tokens. Names and meanings are those of RFC 7591 where it has
// them; docs/integrate describes the others. The server sets the fields at the end, and ignores them in what you send.
type Client struct {
	ID         string   `json:"client_id,omitempty" maxLength:"256" doc:"Missing in a new client: the server makes one."`
	Name       string   `json:"client_name" maxLength:"400"`
	URI        string   `json:"client_uri,omitempty" maxLength:"2048"`
	LogoURI    string   `json:"logo_uri,omitempty" maxLength:"2048"`
	PolicyURI  string   `json:"policy_uri,omitempty" maxLength:"2048"`
	TOSURI     string   `json:"tos_uri,omitempty" maxLength:"2048"`
	Contacts   []string `json:"contacts,omitempty" maxItems:"20" doc:"People who may not use the client are told whom to ask."`
	Policy     string   `json:"policy,omitempty" enum:"standard,compatible,fapi2" default:"standard"`
	Native     bool     `json:"native,omitempty"`
	FirstParty bool     `json:"first_party,omitempty" doc:"Your own application: people are not asked for consent."`

	ResourceServer  bool    `json:"resource_server,omitempty"`
	AuthMethod      string  `json:"token_endpoint_auth_method,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt,tls_client_auth,self_signed_tls_client_auth,none" default:"client_secret_basic"`
	AnySecretMethod bool    `json:"any_secret_method,omitempty"`
	JWKS            *JWKSet `json:"jwks,omitempty"`
	JWKSURI         string  `json:"jwks_uri,omitempty" maxLength:"2048"`
	AuthAlg         string  `json:"token_endpoint_auth_signing_alg,omitempty" maxLength:"20"`

	SubjectType         string `json:"subject_type,omitempty" enum:"public,pairwise"`
	SectorIdentifierURI string `json:"sector_identifier_uri,omitempty" maxLength:"2048"`
	SubjectDN           string `json:"tls_client_auth_subject_dn,omitempty" maxLength:"1000"`
	SANDNS              string `json:"tls_client_auth_san_dns,omitempty" maxLength:"1000"`
	SANURI              string `json:"tls_client_auth_san_uri,omitempty" maxLength:"1000"`
	SANIP               string `json:"tls_client_auth_san_ip,omitempty" maxLength:"100"`
	SANEmail            string `json:"tls_client_auth_san_email,omitempty" maxLength:"1000"`
	CertificateBound    bool   `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	RedirectURIs           []string `json:"redirect_uris,omitempty" maxItems:"200"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty" maxItems:"200"`

	BackchannelLogoutURI              string   `json:"backchannel_logout_uri,omitempty" maxLength:"2048"`
	BackchannelLogoutSessionRequired  bool     `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI             string   `json:"frontchannel_logout_uri,omitempty" maxLength:"2048"`
	FrontchannelLogoutSessionRequired bool     `json:"frontchannel_logout_session_required,omitempty"`
	InitiateLoginURI                  string   `json:"initiate_login_uri,omitempty" maxLength:"2048"`
	GrantTypes                        []string `json:"grant_types,omitempty" maxItems:"20"`
	Scopes                            []string `json:"scopes,omitempty" maxItems:"200"`
	Audience                          []string `json:"audience,omitempty" maxItems:"50"`
	Resources                         []string `json:"resources,omitempty" maxItems:"200"`
	Serves                            []string `json:"serves,omitempty" maxItems:"200"`
	DetailTypes                       []string `json:"authorization_details_types,omitempty" maxItems:"200"`

	DPoPBound            bool     `json:"dpop_bound_access_tokens,omitempty"`
	RequirePAR           bool     `json:"require_pushed_authorization_requests,omitempty"`
	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty" maxLength:"20"`
	RequestURIs          []string `json:"request_uris,omitempty" maxItems:"200"`
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty"`
	ResponseAlg          string   `json:"authorization_signed_response_alg,omitempty" maxLength:"20"`

	DefaultACRValues []string `json:"default_acr_values,omitempty" maxItems:"20"`
	MinimumACR       string   `json:"minimum_acr,omitempty" maxLength:"128"`
	DefaultMaxAge    *int64   `json:"default_max_age,omitempty" minimum:"1" maximum:"315360000" doc:"In seconds."`

	IDTokenAlg       string   `json:"id_token_signed_response_alg,omitempty" maxLength:"20"`
	IDTokenClaims    []string `json:"id_token_claims,omitempty" maxItems:"50"`
	UserInfoAlg      string   `json:"userinfo_signed_response_alg,omitempty" maxLength:"20"`
	IntrospectionAlg string   `json:"introspection_signed_response_alg,omitempty" maxLength:"20"`
	AccessFormat     string   `json:"access_token_format,omitempty" enum:"jwt,opaque"`
	AccessTTL        int64    `json:"access_token_ttl,omitempty" minimum:"0" maximum:"86400" doc:"In seconds; 0: the default of the server."`

	AllowedGroups []string       `json:"allowed_groups,omitempty" maxItems:"200" doc:"Groups whose members may use the client; empty: everyone may."`
	GroupsClaim   *GroupsClaim   `json:"groups_claim,omitempty"`
	ClaimMappings []ClaimMapping `json:"claim_mappings,omitempty" maxItems:"50"`

	Dynamic    bool          `json:"dynamic,omitempty" readOnly:"true" doc:"The client registered itself."`
	Secrets    []Secret      `json:"secrets,omitempty" readOnly:"true" doc:"What is known about its secrets, not the secrets."`
	CreatedAt  *time.Time    `json:"created_at,omitempty" readOnly:"true"`
	UpdatedAt  *time.Time    `json:"updated_at,omitempty" readOnly:"true"`
	DisabledAt *time.Time    `json:"disabled_at,omitempty" readOnly:"true" doc:"Missing: not disabled."`
	Usage      *ClientsUsage `json:"usage,omitempty" readOnly:"true"`
	ManagedBy  string        `json:"managed_by,omitempty" readOnly:"true" doc:"The file that manages it (stepward apply), so that it is changed only there; missing: none."`
}

// JWKSet is a JWK set (RFC 7517) of public keys.
type JWKSet struct {
	Keys []map[string]any `json:"keys" maxItems:"10"`
}

// A GroupsClaim says how a client sees the groups of its users.
type GroupsClaim struct {
	Name    string   `json:"name,omitempty" maxLength:"100"`
	Prefix  string   `json:"prefix,omitempty" maxLength:"200"`
	Only    []string `json:"only,omitempty" maxItems:"200"`
	Objects bool     `json:"objects,omitempty"`
}

// A ClaimMapping gives a client a claim under a name of its own.
type ClaimMapping struct {
	Source      string          `json:"source" maxLength:"100"`
	Claim       string          `json:"claim" maxLength:"100"`
	Default     json.RawMessage `json:"default,omitempty"`
	AccessToken bool            `json:"access_token,omitempty"`
}

// ClientsUsage is what a client did last, to the minute. Missing times: never, or not since it was recorded.
type ClientsUsage struct {
	SignInAt *time.Time `json:"sign_in_at,omitempty" doc:"Tokens for a person who signed in."`
	TokensAt *time.Time `json:"tokens_at,omitempty" doc:"Any tokens."`
	ErrorAt  *time.Time `json:"error_at,omitempty"`
	Error    string     `json:"error,omitempty" doc:"Its last error. Anybody who knows the client_id can cause one."`
}

// A Secret is what is known about a secret of a client.
type Secret struct {
	ID         string     `json:"id"`
	Name       string     `json:"name,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"Missing: never."`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"To the minute."`
}

// A NewSecret asks for another secret.
type NewSecret struct {
	Name      string     `json:"name,omitempty" maxLength:"200" doc:"For people."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Missing: never."`
}

// A SecretChange sets when a secret stops working; null: never.
type SecretChange struct {
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// A MadeSecret is a new secret. It is shown once.
type MadeSecret struct {
	Secret
	Value string `json:"client_secret" doc:"Shown once. Only its hash is stored."`
}

// A MadeClient is a new client, with its first secret if it authenticates with one.
type MadeClient struct {
	Client
	Value string `json:"client_secret,omitempty" doc:"Shown once. Only its hash is stored."`
}
