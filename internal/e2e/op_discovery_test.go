package e2e

import (
	"crypto/rsa"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"github.com/stepward/stepward/internal/idp"
)

func TestOP01TheIssuerIsWhereItsMetadataIs(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		r := o.send("GET", path, nil)
		meta := r.json(t) // application/json
		if r.status != 200 || meta["issuer"] != o.issuer {
			t.Errorf("%s: %d, issuer %v, fetched from %s", path, r.status, meta["issuer"], o.issuer)
		}
	}
}

func TestOP01EveryAddressIsHTTPS(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	for name, value := range o.metadata() {
		text, ok := value.(string)
		if !ok || !strings.Contains(text, "://") {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || !strings.HasPrefix(text, o.issuer) {
			t.Errorf("%s is %q", name, text)
		}
	}
}

// list is a member of the metadata that is an array of strings.
func (o *op) list(name string) (out []string) {
	o.t.Helper()
	values, _ := o.metadata()[name].([]any)
	for _, v := range values {
		text, ok := v.(string)
		if !ok {
			o.t.Errorf("%s holds %v", name, v)
		}
		out = append(out, text)
	}
	return out
}

func TestOP02TheMetadataListsWhatBasicClientsNeed(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	for name, needed := range map[string][]string{
		"id_token_signing_alg_values_supported": {"RS256"},
		"scopes_supported":                      {"openid", "offline_access"},
		"response_types_supported":              {"code"},
		"grant_types_supported":                 {"authorization_code", "refresh_token"},
		"claims_supported":                      {"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "name", "email", "email_verified", "address", "phone_number"},
		"subject_types_supported":               {"public"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "private_key_jwt"},
	} {
		got := o.list(name)
		for _, value := range needed {
			if !slices.Contains(got, value) {
				t.Errorf("%s lacks %s: %v", name, value, got)
			}
		}
		if slices.Contains(got, "none") && name != "token_endpoint_auth_methods_supported" || slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, "HS") }) {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
		if text, _ := o.metadata()[name].(string); text == "" {
			t.Errorf("no %s", name)
		}
	}
}

func TestOP03PublishedKeysAreValidNamedApartAndPublic(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, alg := range o.list("id_token_signing_alg_values_supported") { // so that there is a key of each
		o.client(basicOP(func(c *idp.Client) { c.IDTokenAlg = alg })).signIn(p)
	}
	seen, algs := map[string]bool{}, map[string]bool{}
	for _, key := range o.publishedKeys().Keys {
		if !key.Valid() || !key.IsPublic() || key.KeyID == "" || seen[key.KeyID] || key.Use != "sig" {
			t.Errorf("key %q: valid %v, public %v, use %q", key.KeyID, key.Valid(), key.IsPublic(), key.Use)
		}
		if rsaKey, ok := key.Key.(*rsa.PublicKey); ok && rsaKey.N.BitLen() < 2048 {
			t.Errorf("an RSA key of %d bits", rsaKey.N.BitLen())
		}
		seen[key.KeyID], algs[key.Algorithm] = true, true
	}
	for _, alg := range o.list("id_token_signing_alg_values_supported") {
		if !algs[alg] {
			t.Errorf("no key for %s", alg)
		}
	}
	var raw struct{ Keys []map[string]any }
	o.send("GET", "/oauth2/jwks", nil).read(t, &raw)
	for _, key := range raw.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, has := key[private]; has {
				t.Errorf("key %v has a private part: %s", key["kid"], private)
			}
		}
	}
}

func TestOP04RequestObjectsMayBeSignedWithRS256AndNeverUnsigned(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	got := o.list("request_object_signing_alg_values_supported")
	if !slices.Contains(got, "RS256") || slices.Contains(got, "none") {
		t.Errorf("algorithms of request objects: %v", got)
	}
}

// registered are the names of metadata in IANA's registry of OAuth authorization server metadata, and those of the
// OpenID specifications, with the kind of their values: s a string, b a boolean, l a list of strings.
var registered = func() map[string]byte {
	out := map[string]byte{}
	for kind, names := range map[byte]string{
		's': `issuer authorization_endpoint token_endpoint jwks_uri registration_endpoint service_documentation op_policy_uri op_tos_uri
			revocation_endpoint introspection_endpoint device_authorization_endpoint userinfo_endpoint pushed_authorization_request_endpoint
			end_session_endpoint check_session_iframe backchannel_authentication_endpoint signed_metadata`,
		'b': `claims_parameter_supported request_parameter_supported request_uri_parameter_supported require_request_uri_registration
			tls_client_certificate_bound_access_tokens require_signed_request_object require_pushed_authorization_requests
			authorization_response_iss_parameter_supported frontchannel_logout_supported frontchannel_logout_session_supported
			backchannel_logout_supported backchannel_logout_session_supported client_id_metadata_document_supported`,
		'l': `scopes_supported response_types_supported response_modes_supported grant_types_supported acr_values_supported
			subject_types_supported token_endpoint_auth_methods_supported token_endpoint_auth_signing_alg_values_supported
			ui_locales_supported claims_locales_supported display_values_supported claim_types_supported claims_supported
			revocation_endpoint_auth_methods_supported revocation_endpoint_auth_signing_alg_values_supported
			introspection_endpoint_auth_methods_supported introspection_endpoint_auth_signing_alg_values_supported
			code_challenge_methods_supported prompt_values_supported dpop_signing_alg_values_supported
			authorization_details_types_supported protected_resources
			id_token_signing_alg_values_supported id_token_encryption_alg_values_supported id_token_encryption_enc_values_supported
			userinfo_signing_alg_values_supported userinfo_encryption_alg_values_supported userinfo_encryption_enc_values_supported
			request_object_signing_alg_values_supported request_object_encryption_alg_values_supported request_object_encryption_enc_values_supported
			authorization_signing_alg_values_supported authorization_encryption_alg_values_supported authorization_encryption_enc_values_supported
			introspection_signing_alg_values_supported introspection_encryption_alg_values_supported introspection_encryption_enc_values_supported`,
		'o': `mtls_endpoint_aliases`,
	} {
		for _, name := range strings.Fields(names) {
			out[name] = kind
		}
	}
	return out
}()

func TestOP05EveryMemberOfTheMetadataIsRegisteredAndWellFormed(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	for name, value := range o.metadata() {
		var kind byte
		switch v := value.(type) {
		case string:
			kind = 's'
		case bool:
			kind = 'b'
		case map[string]any:
			kind = 'o'
		case []any:
			if kind = 'l'; len(v) == 0 { // RFC 8414 §2: then it is omitted
				t.Errorf("%s is empty", name)
			}
			o.list(name)
		}
		if registered[name] == 0 || registered[name] != kind {
			t.Errorf("%s: %v", name, value)
		}
	}
	for _, name := range []string{"ui_locales_supported", "claims_locales_supported"} {
		for _, tag := range o.list(name) {
			if parsed, err := language.Parse(tag); err != nil || parsed.String() != tag {
				t.Errorf("%s: %q", name, tag)
			}
		}
	}
}

func TestOP06TheMetadataSaysHowToSignOut(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	meta := o.metadata()
	endpoint, _ := meta["end_session_endpoint"].(string)
	if endpoint == "" {
		t.Fatal("no end_session_endpoint")
	}
	p := o.person()
	if at := p.open(endpoint); at.status != 200 || at.name != "logout-confirm" {
		t.Errorf("end_session_endpoint leads to %v", at)
	}
	for _, kind := range []string{"backchannel", "frontchannel"} {
		if meta[kind+"_logout_supported"] != true || meta[kind+"_logout_session_supported"] != true {
			t.Errorf("%s logout is not announced", kind)
		}
	}
	if _, iframe := meta["check_session_iframe"]; iframe {
		t.Error("check_session_iframe is not implemented")
	}
}
