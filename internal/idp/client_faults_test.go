package idp

import (
	"crypto/rand"
	"crypto/rsa"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestRedirectURIsAreHTTPSLoopbackOrPrivateUse(t *testing.T) {
	for _, c := range []struct {
		uri    string
		native bool
		ok     bool
	}{
		{"https://app.example.com/callback", false, true},
		{"https://app.example.com/callback?tenant=1", false, true},
		{"http://localhost:8090/callback", false, true},
		{"http://127.0.0.1/callback", false, true},
		{"http://[::1]:9/cb", true, true},
		{"com.example.app:/callback", true, true},
		{"http://app.example.com/callback", false, false},
		{"http://localhost.example.com/callback", false, false},
		{"https://app.example.com/callback#x", false, false},
		{"https://app.example.com/callback#", false, false},
		{"https://*.example.com/callback", false, false},
		{"https://user@app.example.com/", false, false},
		{"https:///callback", false, false},
		{"com.example.app:/callback", false, false},
		{"javascript:alert(1)", true, false},
		{"data:text/html,x", true, false},
		{"/callback", false, false},
		{"https://app.example.com/" + strings.Repeat("a", 2048), false, false},
	} {
		if got := redirectFault(c.uri, c.native); (got == "") != c.ok {
			t.Errorf("%.60q native=%v: %q", c.uri, c.native, got)
		}
	}
}

func TestInDevelopmentALogoutIsToldOverHTTPOnThisMachine(t *testing.T) {
	c := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodNone, GrantTypes: []string{GrantAuthorizationCode}, RedirectURIs: []string{"http://localhost/cb"}}
	for uri, want := range map[string][2]bool{ // here, and in development
		"https://acme.example/out": {true, true}, "http://localhost:3000/out": {false, true}, "http://127.0.0.1/out": {false, true},
		"http://acme.example/out": {false, false}, "http://localhost/out#x": {false, false}, "http://localhost.acme.example/": {false, false},
	} {
		c.BackchannelLogoutURI = uri
		if got := [2]bool{c.Faults(Policy{}) == nil, c.Faults(Policy{Development: true}) == nil}; got != want {
			t.Errorf("%s: %v, want %v", uri, got, want)
		}
	}
}

// fapi changes c to satisfy policy fapi2.
func fapi(c *Client) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	c.Policy, c.AuthMethod = PolicyFAPI2, AuthMethodPrivateKey
	c.JWKS = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public()}}}
}

func TestEveryFaultOfARegistrationIsReported(t *testing.T) {
	good := Client{ID: "acme", Name: "Acme", Policy: PolicyStandard, AuthMethod: AuthMethodNone, GrantTypes: []string{GrantAuthorizationCode}, RedirectURIs: []string{"https://acme.example/cb"}, Scopes: []string{"openid"}}
	policy := Policy{Scopes: map[string]Scope{"openid": {}, "reports": {}, "pay": {ActionClass: "payments"}}, Resources: map[string]Resource{"https://api.example": {}}}
	if faults := good.Faults(policy); faults != nil {
		t.Fatalf("good: %v", faults)
	}
	strict := good
	if fapi(&strict); strict.Faults(policy) != nil {
		t.Fatalf("good for fapi2: %v", strict.Faults(policy))
	}
	for want, spoil := range map[string]func(*Client){
		"client_id":                  func(c *Client) { c.ID = "a b" },
		"client_name":                func(c *Client) { c.Name = "" },
		"policy":                     func(c *Client) { c.Policy = "lax" },
		"token_endpoint_auth_method": func(c *Client) { c.AuthMethod = "tls" },
		"jwks_uri is needed":         func(c *Client) { c.AuthMethod = AuthMethodPrivateKey },
		"needs a secret":             func(c *Client) { c.AuthMethod = AuthMethodBasic },
		"not for native":             func(c *Client) { c.Native, c.Policy = true, PolicyCompatible },
		"exactly one of":             func(c *Client) { c.AuthMethod = AuthMethodTLS },

		"is only for token_endpoint_auth_method tls":        func(c *Client) { c.SANDNS = "a.example" },
		"needed for token_endpoint_auth_method self_signed": func(c *Client) { c.AuthMethod = AuthMethodSelfSigned },

		"any_secret_method":            func(c *Client) { c.AnySecretMethod = true },
		"id_token_claims":              func(c *Client) { c.IDTokenClaims = []string{"profile", "openid"} },
		"resource_server":              func(c *Client) { c.ResourceServer = true },
		"grant_types":                  func(c *Client) { c.GrantTypes = []string{"implicit"} },
		"redirect_uris":                func(c *Client) { c.RedirectURIs = nil },
		"require_pushed_authorization": func(c *Client) { c.RequirePAR = true; c.GrantTypes = nil },
		"post_logout_redirect_uris":    func(c *Client) { c.PostLogoutRedirectURIs = []string{"ftp://x/"} },
		"not be none":                  func(c *Client) { c.Policy = PolicyFAPI2 },
		"shared secret": func(c *Client) {
			c.Policy, c.AuthMethod, c.Secrets = PolicyFAPI2, AuthMethodPost, make([]ClientSecret, 1)
		},
		"id_token_signed_response_alg must not be":    func(c *Client) { fapi(c); c.IDTokenAlg = "RS256" },
		"request_object_signing_alg must not be":      func(c *Client) { fapi(c); c.RequestObjectAlg = "RS256" },
		"token_endpoint_auth_signing_alg must not be": func(c *Client) { fapi(c); c.AuthAlg = "RS256" },
		"not for RS256":                func(c *Client) { fapi(c); c.JWKS.Keys[0].Algorithm = "RS256" },
		"must be https":                func(c *Client) { fapi(c); c.RedirectURIs = []string{"http://localhost/cb"} },
		"logo_uri":                     func(c *Client) { c.LogoURI = "javascript:x" },
		"scope":                        func(c *Client) { c.Scopes = []string{"payouts"} },
		"acr":                          func(c *Client) { c.MinimumACR = "gold" },
		"id_token_signed_response_alg": func(c *Client) { c.IDTokenAlg = "none" },
		"request_object_signing_alg must": func(c *Client) {
			c.JWKSURI, c.RequestObjectAlg = "https://acme.example/keys", "none"
		},
		"request_object_signing_alg needs":         func(c *Client) { c.RequestObjectAlg = "ES256" },
		"require_signed_request_object needs jwks": func(c *Client) { c.RequireSignedRequest = true },
		"require_signed_request_object needs the": func(c *Client) {
			c.JWKSURI, c.RequireSignedRequest, c.GrantTypes = "https://acme.example/keys", true, nil
		},
		"request_uris needs": func(c *Client) { c.RequestURIs = []string{"https://acme.example/r"} },
		"request_uris are limited": func(c *Client) {
			c.JWKSURI, c.RequestURIs = "https://acme.example/keys", slices.Repeat([]string{"https://acme.example/r"}, 21)
		},
		`request_uris "http`: func(c *Client) {
			c.JWKSURI, c.RequestURIs = "https://acme.example/keys", []string{"http://acme.example/r", "https://acme.example/r#hash"}
		},
		"authorization_signed_response_alg": func(c *Client) { c.ResponseAlg = "HS256" },
		"userinfo_signed_response_alg":      func(c *Client) { c.UserInfoAlg = "none" },
		"introspection_signed":              func(c *Client) { c.IntrospectionAlg = "HS256" },
		"access_token_format":               func(c *Client) { c.AccessFormat = "xml" },
		"subject_type must be":              func(c *Client) { c.SubjectType = "secret" },
		"on one host": func(c *Client) {
			c.SubjectType, c.RedirectURIs = SubjectPairwise, []string{"https://a.example/cb", "https://b.example/cb"}
		},
		"sector_identifier_uri must be": func(c *Client) { c.SubjectType, c.SectorIdentifierURI = SubjectPairwise, "http://a.example/" },
		"resources":                     func(c *Client) { c.Resources = []string{"https://elsewhere.example"} },
		"serves \"https": func(c *Client) {
			c.AuthMethod, c.Secrets, c.ResourceServer, c.Serves = AuthMethodBasic, make([]ClientSecret, 1), true, []string{"https://elsewhere.example"}
		},
		"serves is for":                     func(c *Client) { c.Serves = []string{"https://api.example"} },
		"authorization_details_types":       func(c *Client) { c.DetailTypes = []string{"payment"} },
		"client_credentials requires":       func(c *Client) { c.GrantTypes, c.Scopes = []string{GrantClientCredentials}, []string{"reports"} },
		"backchannel_logout_uri":            func(c *Client) { c.BackchannelLogoutURI = "http://localhost/logout" },
		"frontchannel_logout_uri must be":   func(c *Client) { c.FrontchannelLogoutURI = "https://acme.example/out#x" },
		"frontchannel_logout_uri must have": func(c *Client) { c.FrontchannelLogoutURI = "https://other.example/out" },
		"no action class": func(c *Client) {
			c.AuthMethod, c.Secrets, c.GrantTypes, c.Scopes = AuthMethodBasic, make([]ClientSecret, 1), []string{GrantClientCredentials}, []string{"openid", "pay"}
		},
		"token-exchange requires": func(c *Client) { c.GrantTypes = []string{GrantTokenExchange} },
		"jwt for grant_types token-exchange": func(c *Client) {
			c.AuthMethod, c.Secrets, c.GrantTypes, c.AccessFormat = AuthMethodBasic, make([]ClientSecret, 1), []string{GrantTokenExchange}, FormatOpaque
		},
		"must be jwt": func(c *Client) {
			c.AuthMethod, c.Secrets, c.GrantTypes, c.Scopes = AuthMethodBasic, make([]ClientSecret, 1), []string{GrantClientCredentials}, []string{"reports"}
			c.AccessFormat = FormatOpaque
		},
	} {
		bad := good
		spoil(&bad)
		faults := bad.Faults(policy)
		if len(faults) != 1 || !strings.Contains(faults[0], want) {
			t.Errorf("%s: %q", want, faults)
		}
	}
}

func FuzzRegisteredRedirectURI(f *testing.F) {
	for _, uri := range []string{"https://app.example/cb", "http://127.0.0.1:1/cb", "com.example.app:/cb", "javascript:alert(1)", "https://a@b/", "https://a/#x", "//a/b", "data:x.y,z"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		for _, native := range []bool{false, true} {
			if redirectFault(uri, native) != "" {
				continue
			}
			u, err := url.Parse(uri)
			if err != nil || strings.Contains(uri, "#") || u.User != nil || len(uri) > 2048 {
				t.Fatalf("%q was accepted", uri)
			}
			private := native && strings.Contains(u.Scheme, ".")
			if !private && u.Scheme != "https" && (u.Scheme != "http" || !Loopback(u.Hostname())) {
				t.Errorf("%q was accepted, native %v", uri, native)
			}
		}
	})
}
