package provider

import (
	"encoding/json"
	"net/http"

	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/oauth"
)

// mountResources publishes the metadata of our own APIs.
func (p *Provider) mountResources(protocol *http.ServeMux) {
	for _, path := range []string{"", oauth.PathUserInfo} {
		body, _ := json.Marshal(map[string]any{
			"resource":                                   p.cfg.Issuer + path,
			"authorization_servers":                      []string{p.cfg.Issuer},
			"scopes_supported":                           []string{oauth.ScopeOpenID, "profile", "email", "address", "phone"},
			"bearer_methods_supported":                   []string{"header", "body"},
			"dpop_signing_alg_values_supported":          dpop.Algorithms,
			"dpop_bound_access_tokens_required":          false, // for all tokens; a bound token needs its proof
			"tls_client_certificate_bound_access_tokens": p.cfg.MTLSOrigin != "",
		}) // strings and booleans: cannot fail
		document := public(body)
		p.cfg.Shell.Handle(protocol, "GET "+oauth.PathResource+path, func(w http.ResponseWriter, r *http.Request) error {
			publish(w, r, document)
			return nil
		})
	}
}
