package web

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
)

// certificateKey is where the protocol chain puts the certificate of the connection. Nothing changes it.
type certificateKey struct{}

// ClientCertificate returns the certificate whose key the peer proved in the TLS handshake, and after it what it sent
// along towards its CA; nil if there was none. It is known on the protocol chain alone. Nobody has verified who issued it.
func ClientCertificate(ctx context.Context) []*x509.Certificate {
	chain, _ := ctx.Value(certificateKey{}).([]*x509.Certificate)
	return chain
}

// certificatesOf takes the certificate from our own handshake or, where a proxy does TLS, from its header (RFC 9440 §2.1).
// The header of anybody but a trusted proxy is something that anybody can write: it is not looked at.
func (s *Shell) certificatesOf(r *http.Request) []*x509.Certificate {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return r.TLS.PeerCertificates
	}
	values := r.Header.Values("Client-Cert")
	if len(values) == 0 || !s.config.ProxyCertificates || !s.fromProxy(r) {
		return nil
	}
	if len(values) > 1 {
		Note(r.Context(), slog.String("client_certificate", "the header Client-Cert is repeated"))
		return nil
	}
	cert, err := parseClientCert(values[0])
	if err != nil {
		Note(r.Context(), slog.String("client_certificate", "the header Client-Cert is not as RFC 9440 has it"))
		return nil
	}
	return []*x509.Certificate{cert}
}

// fromProxy reports whether the peer itself, not whom it speaks for, is a trusted proxy.
func (s *Shell) fromProxy(r *http.Request) bool {
	return isTrusted(s.config.TrustedProxies, r)
}

// parseClientCert reads the DER of a certificate from a byte sequence of structured fields, :base64: (RFC 8941 §3.3.5).
func parseClientCert(value string) (*x509.Certificate, error) {
	value = strings.Trim(value, " ")
	inner, opened := strings.CutPrefix(value, ":")
	inner, closed := strings.CutSuffix(inner, ":")
	if !opened || !closed || strings.ContainsAny(inner, "\r\n") { // which the decoder would skip
		return nil, base64.CorruptInputError(0)
	}
	der, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
