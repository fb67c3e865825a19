package provider

import (
	"context"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// holds reports whether whoever presents a token has proven the key that it is bound to (RFC 7800 §3). A bound token is
// never taken for a bearer token.
func holds(ctx context.Context, of idp.Confirmation) bool {
	if of.X5T != "" { // RFC 8705 §3
		chain := web.ClientCertificate(ctx)
		if len(chain) == 0 || idp.CertificateThumbprint(chain[0]) != of.X5T {
			return false
		}
		of.X5T = ""
	}
	return !of.Bound()
}
