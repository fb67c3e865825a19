package provider

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/authorize"
	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// describe returns the metadata of OpenID Connect Discovery 1.0 §3 and RFC 8414 §2. The library's own document
// announces implicit and jwt-bearer whatever is configured; ours lists only what works.
func (p *Provider) describe() (*web.Document, error) {
	scopes := slices.Clone(idp.StandardScopes)
	for _, name := range slices.Sorted(maps.Keys(p.cfg.Policy.Scopes)) {
		own := strings.HasPrefix(name, "stepward:") // for admins: the metadata of their resource lists them
		if !slices.Contains(scopes, name) && !own {
			scopes = append(scopes, name)
		}
	}
	acrs := append(
		[]string{idp.ACRPhishingResistant, idp.ACRPhishingResistantHardware},
		slices.Sorted(maps.Keys(p.cfg.Policy.Aliases))...,
	)
	confidential := []string{idp.AuthMethodBasic, idp.AuthMethodPost, idp.AuthMethodPrivateKey}
	confidential = append(confidential, p.mtlsMethods()...)
	methods := append(slices.Clone(confidential), idp.AuthMethodNone)
	said := map[string]any{
		"issuer":                                p.cfg.Issuer,
		"authorization_endpoint":                p.cfg.Issuer + oauth.PathAuthorize,
		"pushed_authorization_request_endpoint": p.cfg.Issuer + oauth.PathPAR,
		// for all clients; a single client may still have to
		"require_pushed_authorization_requests": p.cfg.RequirePAR,
		"token_endpoint":                        p.cfg.Issuer + oauth.PathToken,
		// RFC 8628 §4
		"device_authorization_endpoint":                            p.cfg.Issuer + oauth.PathDeviceAuthorization,
		"userinfo_endpoint":                                        p.cfg.Issuer + oauth.PathUserInfo,
		"jwks_uri":                                                 p.cfg.Issuer + oauth.PathJWKS,
		"introspection_endpoint":                                   p.cfg.Issuer + oauth.PathIntrospect,
		"revocation_endpoint":                                      p.cfg.Issuer + oauth.PathRevoke,
		"end_session_endpoint":                                     p.cfg.Issuer + oauth.PathEndSession,
		"backchannel_logout_supported":                             true,
		"backchannel_logout_session_supported":                     true,
		"frontchannel_logout_supported":                            true,
		"frontchannel_logout_session_supported":                    true,
		"scopes_supported":                                         scopes,
		"response_types_supported":                                 []string{"code"},
		"response_modes_supported":                                 authorize.ResponseModes,
		"grant_types_supported":                                    idp.GrantTypes,
		"acr_values_supported":                                     acrs,
		"subject_types_supported":                                  []idp.SubjectType{idp.SubjectPublic, idp.SubjectPairwise},
		"id_token_signing_alg_values_supported":                    p.cfg.Keys.Algorithms(),
		"userinfo_signing_alg_values_supported":                    p.cfg.Keys.Algorithms(),
		"introspection_signing_alg_values_supported":               p.cfg.Keys.Algorithms(), // RFC 9701 §7
		"token_endpoint_auth_methods_supported":                    methods,
		"token_endpoint_auth_signing_alg_values_supported":         idp.AssertionAlgorithms,
		"revocation_endpoint_auth_methods_supported":               methods,
		"revocation_endpoint_auth_signing_alg_values_supported":    idp.AssertionAlgorithms,
		"introspection_endpoint_auth_methods_supported":            confidential,
		"introspection_endpoint_auth_signing_alg_values_supported": idp.AssertionAlgorithms,
		"ui_locales_supported":                                     p.cfg.Shell.Languages().Tags(),
		"display_values_supported":                                 []string{"page"},
		"claim_types_supported":                                    []string{"normal"},
		"claims_supported":                                         access.SupportedClaims(),
		"claims_parameter_supported":                               true,
		"authorization_signing_alg_values_supported":               p.cfg.Keys.Algorithms(), // JARM §4
		"request_parameter_supported":                              true,
		"request_uri_parameter_supported":                          true,
		"require_request_uri_registration":                         true,
		"request_object_signing_alg_values_supported":              idp.AssertionAlgorithms,
		// for all clients; a single client may still have to
		"require_signed_request_object":    false,
		"code_challenge_methods_supported": []string{"S256"},
		"prompt_values_supported": []string{
			"none", "login", "consent", "select_account", "create",
		},
		"dpop_signing_alg_values_supported":              dpop.Algorithms,
		"authorization_response_iss_parameter_supported": true, // RFC 9207 §3
	}
	if types := slices.Sorted(maps.Keys(p.cfg.Policy.DetailTypes)); len(types) > 0 { // RFC 9396 §10
		said["authorization_details_types_supported"] = types
	}
	p.mtlsMetadata(said)
	if p.cfg.ClientDocuments {
		said["client_id_metadata_document_supported"] = true
	}
	if p.cfg.Registration.Mode != "" {
		said["registration_endpoint"] = p.cfg.Issuer + oauth.PathRegister
	}
	body, err := json.Marshal(said)
	if err != nil {
		return nil, err
	}
	return public(body), nil
}

// discovery serves the metadata at both well-known paths.
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) error {
	publish(w, r, p.metadata)
	return nil
}

// A keySet is a published JWK Set, ready to be sent.
type keySet struct {
	jwks     []byte
	document *web.Document
}

// jwks serves the public keys. Clients may cache them for a quarter of an hour: new keys are announced days ahead.
func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) error {
	jwks, err := p.cfg.Keys.JWKS(r.Context())
	if err != nil {
		return err
	}
	set := p.keySet.Load()
	if set == nil || !bytes.Equal(set.jwks, jwks) {
		set = &keySet{jwks, public(jwks)}
		p.keySet.Store(set)
	}
	publish(w, r, set.document)
	return nil
}

// public returns a document for publish.
func public(body []byte) *web.Document {
	return web.NewDocument("application/json", keys.PublishedFor, body)
}

// anyOrigin is a header value: never changed.
var anyOrigin = []string{"*"}

// publish writes a public document, readable by scripts of any origin. It is the same for everyone, and says nothing
// about a person. Other endpoints only allow the origins of their client (oauth.Door).
func publish(w http.ResponseWriter, r *http.Request, d *web.Document) {
	w.Header()["Access-Control-Allow-Origin"] = anyOrigin
	d.ServeHTTP(w, r)
}
