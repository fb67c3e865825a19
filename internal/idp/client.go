package idp

import (
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/directory"
)

// Client authentication methods (OIDC Core §9).
const (
	AuthMethodBasic      = "client_secret_basic"
	AuthMethodPost       = "client_secret_post"
	AuthMethodPrivateKey = "private_key_jwt"
	AuthMethodTLS        = "tls_client_auth"             // RFC 8705 §2.1
	AuthMethodSelfSigned = "self_signed_tls_client_auth" // RFC 8705 §2.2
	AuthMethodNone       = "none"
)

// TokenFormat is the format of a client's access tokens.
type TokenFormat string

const (
	FormatJWT    TokenFormat = "jwt" // RFC 9068
	FormatOpaque TokenFormat = "opaque"
)

// A Client is a registered relying party. It may also be a resource server that introspects tokens.
type Client struct {
	ID         string       `json:"client_id"`
	Name       string       `json:"client_name"`
	URI        string       `json:"client_uri,omitempty"`
	LogoURI    string       `json:"logo_uri,omitempty"`
	PolicyURI  string       `json:"policy_uri,omitempty"`
	TOSURI     string       `json:"tos_uri,omitempty"`
	Contacts   []string     `json:"contacts,omitempty"`
	Policy     ClientPolicy `json:"policy"`
	Native     bool         `json:"native,omitempty"` // RFC 8252: private-use schemes, loopback on any port
	FirstParty bool         `json:"first_party,omitempty"`
	// ResourceServer lets the client introspect tokens whose audience contains its ID.
	ResourceServer bool `json:"resource_server,omitempty"`

	AuthMethod string `json:"token_endpoint_auth_method"`
	// AnySecretMethod lets a client with a secret send it by Basic or in the form, whichever of the two AuthMethod is.
	AnySecretMethod bool           `json:"any_secret_method,omitempty"`
	Secrets         []ClientSecret `json:"-"` // stored beside the metadata, not in it
	// JWKS holds the client's public keys, for signatures or for self-signed certificates; JWKSURI is where the client
	// publishes them instead. AuthAlg, if set, is the only algorithm allowed for its assertions.
	JWKS    *jose.JSONWebKeySet `json:"jwks,omitempty"`
	JWKSURI string              `json:"jwks_uri,omitempty"`
	AuthAlg string              `json:"token_endpoint_auth_signing_alg,omitempty"`

	// SubjectType is the kind of sub the client sees; empty: public. SectorIdentifierURI, if set, determines the sector
	// of a pairwise sub.
	SubjectType         SubjectType `json:"subject_type,omitempty"`
	SectorIdentifierURI string      `json:"sector_identifier_uri,omitempty"`

	// CertificateName is the name expected in the certificate of a client with tls_client_auth.
	CertificateName
	// CertificateBound binds the client's tokens to the TLS certificate it requests them with (RFC 8705 §3.4).
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	// The client is notified here when a session in which it received tokens ends: by the provider, or by a frame in
	// the browser (OpenID Connect Back-Channel Logout 1.0 §2.2, Front-Channel Logout 1.0 §2). We always send a sid,
	// required or not.
	BackchannelLogoutURI              string   `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSessionRequired  bool     `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI             string   `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelLogoutSessionRequired bool     `json:"frontchannel_logout_session_required,omitempty"`
	GrantTypes                        []string `json:"grant_types"`
	Scopes                            []string `json:"scopes"`
	// Audience of the client's access tokens; empty: the issuer.
	Audience []string `json:"audience,omitempty"`
	// Resources that the client may request tokens for (RFC 8707); empty: every registered one.
	Resources []string `json:"resources,omitempty"`
	// Serves lists the registered resources that a resource server implements; it may introspect tokens for them.
	Serves []string `json:"serves,omitempty"`
	// DetailTypes are the authorization_details types that the client may request; empty: none (RFC 9396 §10).
	DetailTypes []string `json:"authorization_details_types,omitempty"`

	// DPoPBound requires a DPoP proof on every token request, so that all access tokens of the client are bound to its
	// key (RFC 9449 §5.2). Without it, proofs are optional.
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`
	// RequirePAR rejects authorization requests that the client did not push (RFC 9126 §6).
	RequirePAR bool `json:"require_pushed_authorization_requests,omitempty"`

	// RequestObjectAlg, if set, is the only algorithm allowed for the client's request objects (RFC 9101). RequestURIs
	// are the addresses it may pass as request_uri. RequireSignedRequest rejects unsigned requests.
	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty"`
	RequestURIs          []string `json:"request_uris,omitempty"`
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty"`
	// ResponseAlg signs authorization responses when the client requests a signed one (JARM §3); empty: ES256.
	ResponseAlg string `json:"authorization_signed_response_alg,omitempty"`

	DefaultACRValues []string       `json:"default_acr_values,omitempty"`
	MinimumACR       string         `json:"minimum_acr,omitempty"`
	DefaultMaxAge    *time.Duration `json:"default_max_age,omitempty"`

	IDTokenAlg string `json:"id_token_signed_response_alg,omitempty"` // empty: ES256
	// IDTokenClaims are the scopes whose claims also go into ID tokens if they were granted, for software that never asks
	// userinfo.
	IDTokenClaims []string `json:"id_token_claims,omitempty"`
	// UserInfoAlg signs userinfo responses (OIDC Core §5.3.2); empty: plain JSON.
	UserInfoAlg string `json:"userinfo_signed_response_alg,omitempty"`
	// IntrospectionAlg signs introspection responses when the client requests a signed one (RFC 9701); empty: RS256.
	IntrospectionAlg string        `json:"introspection_signed_response_alg,omitempty"`
	AccessFormat     TokenFormat   `json:"access_token_format,omitempty"` // empty: jwt
	AccessTTL        time.Duration `json:"access_token_ttl,omitempty"`    // zero: the provider's default

	// AllowedGroups are the groups whose members may use the client; empty: everyone may. GroupsClaim and ClaimMappings
	// say how it sees groups and claims.
	AllowedGroups []string              `json:"allowed_groups,omitempty"`
	GroupsClaim   directory.GroupsClaim `json:"groups_claim,omitzero"`
	ClaimMappings []directory.Mapping   `json:"claim_mappings,omitempty"`

	// InitiateLoginURI is where other sites may send a person who wants to sign in to the client (OIDC Core §4).
	InitiateLoginURI string `json:"initiate_login_uri,omitempty"`

	// Dynamic means that the client registered itself (RFC 7591). The operator has not checked its metadata.
	Dynamic bool `json:"dynamic,omitempty"`
	// DocumentUntil is when the metadata document at the client's ID must be fetched again; zero for clients without
	// one (draft-ietf-oauth-client-id-metadata-document).
	DocumentUntil time.Time `json:"document_until,omitzero"`
	// Software is what the client said about itself when it registered. No door of admins changes it.
	Software

	CreatedAt  time.Time `json:"-"`
	UpdatedAt  time.Time `json:"-"`
	DisabledAt time.Time `json:"-"`
	// RegistrationHash is the Secret.Hash of the token with which a dynamic client manages its registration (RFC 7592).
	// UsedAt is when the client was last used, to the day. Both are stored beside the metadata, and empty for other
	// clients.
	RegistrationHash string    `json:"-"`
	UsedAt           time.Time `json:"-"`
}

// Software is what a dynamic client claims about its software (RFC 7591 §2). The statement is a JWT, verified at
// registration.
type Software struct {
	SoftwareID        string `json:"software_id,omitempty"`
	SoftwareVersion   string `json:"software_version,omitempty"`
	SoftwareStatement string `json:"software_statement,omitempty"`
}

// A ClientSecret is one of the overlapping secrets of a confidential client. Its name is for people.
type ClientSecret struct {
	ID, Name  string
	Hash      string // Secret.Hash; secrets are 256 random bits of our own, so SHA-256 is enough
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
}

// MayAuthenticate reports whether the client may authenticate by a method.
func (c Client) MayAuthenticate(method string) bool {
	return method == c.AuthMethod || c.AnySecretMethod && sharedSecret(method) && sharedSecret(c.AuthMethod)
}

// sharedSecret reports whether a method sends a client_secret.
func sharedSecret(method string) bool { return method == AuthMethodBasic || method == AuthMethodPost }

// Public reports whether the client does not authenticate.
func (c Client) Public() bool { return c.AuthMethod == AuthMethodNone }

// ByCertificate reports whether the client authenticates in the TLS handshake (RFC 8705 §2).
func (c Client) ByCertificate() bool {
	return c.AuthMethod == AuthMethodTLS || c.AuthMethod == AuthMethodSelfSigned
}

// MatchSecret compares s with the client's unexpired secrets in constant time, and returns the ID of the one it is.
func (c Client) MatchSecret(s Secret, now time.Time) (id string, ok bool) {
	for _, secret := range c.Secrets {
		live := secret.ExpiresAt.IsZero() || now.Before(secret.ExpiresAt)
		if s.Matches(secret.Hash) && live {
			id, ok = secret.ID, true
		}
	}
	return id, ok
}

// A Grant records what a user allowed a client. A request beyond it needs consent.
type Grant struct {
	UserID    string
	ClientID  string
	Scopes    []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A Family is the set of tokens from one authorization code or device code: access tokens and, with offline_access,
// refresh tokens. It is revoked as a whole (RFC 9700 §4.14.2).
type Family struct {
	ID        string
	ClientID  string
	UserID    string
	SessionID string
	Scopes    []string
	Audience  []string // the client's
	Resources []string // requested (RFC 8707); empty: tokens are for Audience
	Details   Details
	// Assurance lacks the action classes whose windows the user has closed since.
	Assurance Assurance
	Claims    string // the claims request parameter, as JSON; empty: none
	// Confirmation is the key that the first access token is bound to. A bound family issues only bound tokens, and the
	// refresh tokens of a public client are bound to the same key (RFC 9449 §5, RFC 8705 §4).
	Confirmation Confirmation
	// Offline families outlive the session (offline_access).
	Offline bool
	// HandleHash finds the family of a refresh token. CurrentHash is the token in use; PreviousHash is the one before
	// it, accepted for a short grace after RotatedAt. RotatedAt is in the future while the current token was never
	// delivered. All are empty without refresh tokens.
	HandleHash, CurrentHash, PreviousHash string
	// FoundByID means that the refresh token leads to ID, so HandleHash need not be stored. FoundByID is not stored.
	FoundByID bool
	RotatedAt time.Time
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time
	// WatchFrom is when to check first whether the session is still live, because the client wants logout
	// notifications; zero: no check. It is used when the family is created, and not stored in it.
	WatchFrom time.Time
	// Granted means that the family depends on the user's grant to the client and is not created without it. Not
	// stored.
	Granted bool
	// OnlyFor are groups of which the user must be in one when the family is created; empty: any user. Not stored.
	OnlyFor []string
}

// Access returns everything that tokens of the family may be used for.
func (f Family) Access() Access {
	if len(f.Resources) > 0 {
		return Access{Scopes: f.Scopes, Resources: f.Resources, Details: f.Details}
	}
	return Access{Scopes: f.Scopes, Resources: f.Audience, Details: f.Details}
}

// AddSecret adds a new secret and returns it; the client keeps its hash.
func (c *Client) AddSecret(now time.Time) Secret {
	secret := NewLongSecret()
	c.Secrets = append(c.Secrets, ClientSecret{ID: NewID(), Hash: secret.Hash(), CreatedAt: now})
	return secret
}
