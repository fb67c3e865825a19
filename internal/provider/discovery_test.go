package provider

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/oauth"
)

func TestTheMetadataSaysWhatIsTrue(t *testing.T) {
	h := open(t)
	a, b := h.get("/.well-known/openid-configuration"), h.get("/.well-known/oauth-authorization-server")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" || a.body != b.body {
		t.Fatalf("%d, %d: the two places differ", a.StatusCode, b.StatusCode)
	}
	m := a.json(t)
	want := map[string]any{
		"issuer":                                           h.url,
		"authorization_endpoint":                           h.url + "/oauth2/authorize",
		"pushed_authorization_request_endpoint":            h.url + "/oauth2/par",
		"require_pushed_authorization_requests":            false,
		"device_authorization_endpoint":                    h.url + "/oauth2/device_authorization",
		"token_endpoint":                                   h.url + "/oauth2/token",
		"userinfo_endpoint":                                h.url + "/oauth2/userinfo",
		"jwks_uri":                                         h.url + "/oauth2/jwks",
		"introspection_endpoint":                           h.url + "/oauth2/introspect",
		"revocation_endpoint":                              h.url + "/oauth2/revoke",
		"end_session_endpoint":                             h.url + "/oauth2/end_session",
		"backchannel_logout_supported":                     true,
		"backchannel_logout_session_supported":             true,
		"frontchannel_logout_supported":                    true,
		"frontchannel_logout_session_supported":            true,
		"response_types_supported":                         []any{"code"},
		"response_modes_supported":                         []any{"query", "form_post", "jwt", "query.jwt", "form_post.jwt"},
		"grant_types_supported":                            []any{"authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"},
		"acr_values_supported":                             []any{"phr", "phrh", "urn:example:gold"},
		"subject_types_supported":                          []any{"public", "pairwise"},
		"id_token_signing_alg_values_supported":            []any{"ES256", "EdDSA", "PS256", "RS256"},
		"code_challenge_methods_supported":                 []any{"S256"},
		"prompt_values_supported":                          []any{"none", "login", "consent", "select_account", "create"},
		"claims_parameter_supported":                       true,
		"request_parameter_supported":                      true,
		"request_uri_parameter_supported":                  true,
		"authorization_response_iss_parameter_supported":   true,
		"scopes_supported":                                 []any{"openid", "profile", "email", "address", "phone", "groups", "offline_access", "accounts", "payments"},
		"token_endpoint_auth_methods_supported":            []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"revocation_endpoint_auth_methods_supported":       []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"introspection_endpoint_auth_methods_supported":    []any{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []any{"ES256", "EdDSA", "PS256", "RS256"},
	}
	for name, v := range want {
		if d := cmp.Diff(v, m[name]); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	var claims []string
	raw, err := json.Marshal(m["claims_supported"])
	check(t, err)
	check(t, json.Unmarshal(raw, &claims))
	for _, name := range []string{"sub", "acr", "amr", "auth_time", "email", "name", "address", "phone_number"} {
		if !slices.Contains(claims, name) {
			t.Errorf("claims_supported lacks %s", name)
		}
	}
	for _, absent := range []string{"registration_endpoint", "check_session_iframe"} {
		if m[absent] != nil {
			t.Errorf("%s is announced", absent)
		}
	}
}

func TestPublicDocumentsAreAskedForAgainWithTheirTag(t *testing.T) {
	h := open(t)
	for _, path := range []string{
		oauth.PathJWKS, "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", oauth.PathResource,
	} {
		tag := h.get(path).Header.Get("ETag")
		again := h.get(path, func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
		if tag == "" || again.StatusCode != 304 || again.body != "" || again.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s with %s: %d, %q", path, tag, again.StatusCode, again.body)
		}
	}
}
