package provider

import (
	"context"
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// MountMTLS adds the endpoints at which clients are asked for a certificate (RFC 8705 §5). There is nothing else at that
// origin: a page there would make browsers ask people to choose a certificate.
func (p *Provider) MountMTLS(protocol *http.ServeMux) {
	protocol.HandleFunc(pathPAR, p.own(parGuard, p.push))
	protocol.HandleFunc(pathDeviceAuthorization, p.own(deviceGuard, p.authorizeDevice))
	protocol.HandleFunc(pathToken, p.serve(tokenGuard))
	protocol.HandleFunc(pathIntrospect, p.own(introspectGuard, p.inspect))
	protocol.HandleFunc(pathRevoke, p.serve(revokeGuard))
	protocol.HandleFunc(pathUserInfo, p.serve(userInfoGuard))
}

// mtlsMetadata adds what RFC 8705 §3.3 and §5 say of the endpoints at MTLSOrigin.
func (p *Provider) mtlsMetadata(meta map[string]any) {
	if p.MTLSOrigin == "" {
		return
	}
	meta["tls_client_certificate_bound_access_tokens"] = true
	meta["mtls_endpoint_aliases"] = map[string]string{
		"pushed_authorization_request_endpoint": p.MTLSOrigin + pathPAR,
		"device_authorization_endpoint":         p.MTLSOrigin + pathDeviceAuthorization,
		"token_endpoint":                        p.MTLSOrigin + pathToken,
		"introspection_endpoint":                p.MTLSOrigin + pathIntrospect,
		"revocation_endpoint":                   p.MTLSOrigin + pathRevoke,
		"userinfo_endpoint":                     p.MTLSOrigin + pathUserInfo,
	}
}

// mtlsMethods are the authentication methods that need a certificate, as far as they can succeed here.
func (p *Provider) mtlsMethods() []string {
	switch {
	case p.MTLSOrigin == "":
		return nil
	case p.ClientCAs == nil:
		return []string{idp.AuthMethodSelfSigned}
	default:
		return []string{idp.AuthMethodTLS, idp.AuthMethodSelfSigned}
	}
}

// certificateBinding is what a client's access tokens are bound to. The certificate of one that is registered for it has
// to be there: RFC 8705 §3.4 would let us issue a bearer token instead, which is what the client registered against.
func certificateBinding(ctx context.Context, c idp.Client) (idp.Confirmation, error) {
	if !c.CertificateBound {
		return idp.Confirmation{}, nil
	}
	chain := web.ClientCertificate(ctx)
	if len(chain) == 0 {
		return idp.Confirmation{}, oidc.ErrInvalidRequest().WithDescription("tokens of the client are bound to its certificate, and there was none")
	}
	return idp.Confirmation{X5T: idp.CertificateThumbprint(chain[0])}, nil
}
