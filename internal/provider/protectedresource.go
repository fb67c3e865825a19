package provider

import (
	"encoding/json"
	"net/http"

	"github.com/stepward/stepward/internal/dpop"
)

// pathResource is where what a protected resource says of itself is found (RFC 9728 §3.1): of the issuer there, of userinfo
// with its path appended.
const pathResource = "/.well-known/oauth-protected-resource"

// mountResources publishes what our own APIs say of themselves.
func (p *Provider) mountResources(protocol *http.ServeMux) {
	for _, path := range []string{"", pathUserInfo} {
		p.Shell.Handle(protocol, "GET "+pathResource+path, func(w http.ResponseWriter, _ *http.Request) error {
			document, err := json.Marshal(map[string]any{
				"resource":                                   p.Issuer + path,
				"authorization_servers":                      []string{p.Issuer},
				"scopes_supported":                           []string{scopeOpenID, "profile", "email", "address", "phone"},
				"bearer_methods_supported":                   []string{"header", "body"},
				"dpop_signing_alg_values_supported":          dpop.Algorithms,
				"dpop_bound_access_tokens_required":          false, // of everybody; a token that is bound needs its proof
				"tls_client_certificate_bound_access_tokens": p.MTLSOrigin != "",
			})
			if err != nil {
				return err
			}
			return publish(w, document)
		})
	}
}
