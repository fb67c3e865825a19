package provider

import (
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// mtlsMetadata adds the metadata of RFC 8705 §3.3 and §5 about the endpoints at MTLSOrigin.
func (p *Provider) mtlsMetadata(meta map[string]any) {
	if p.cfg.MTLSOrigin == "" {
		return
	}
	meta["tls_client_certificate_bound_access_tokens"] = true
	meta["mtls_endpoint_aliases"] = map[string]string{
		"pushed_authorization_request_endpoint": p.cfg.MTLSOrigin + oauth.PathPAR,
		"device_authorization_endpoint":         p.cfg.MTLSOrigin + oauth.PathDeviceAuthorization,
		"token_endpoint":                        p.cfg.MTLSOrigin + oauth.PathToken,
		"introspection_endpoint":                p.cfg.MTLSOrigin + oauth.PathIntrospect,
		"revocation_endpoint":                   p.cfg.MTLSOrigin + oauth.PathRevoke,
		"userinfo_endpoint":                     p.cfg.MTLSOrigin + oauth.PathUserInfo,
	}
}

// mtlsMethods returns the authentication methods with a certificate that are available.
func (p *Provider) mtlsMethods() []string {
	switch {
	case p.cfg.MTLSOrigin == "":
		return nil
	case p.cfg.ClientCAs == nil:
		return []string{idp.AuthMethodSelfSigned}
	default:
		return []string{idp.AuthMethodTLS, idp.AuthMethodSelfSigned}
	}
}
