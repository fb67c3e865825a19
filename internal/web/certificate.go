package web

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
)

// ClientCertificate returns the client's certificate chain: first the certificate whose key the peer proved in the TLS
// handshake, then the rest it sent; nil if there is none. Only requests on the protocol chain have it. The issuer is
// not verified.
func ClientCertificate(ctx context.Context) []*x509.Certificate {
	rec, ok := recordOf(ctx)
	if !ok {
		return nil
	}
	return rec.certificates
}

// certificatesOf returns the certificate from our own handshake or, if a proxy does TLS, from its header (RFC 9440
// §2.1). The header counts only from a trusted proxy, because anybody can write it.
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
		Note(r.Context(), slog.String("client_certificate", "the header Client-Cert does not follow RFC 9440"))
		return nil
	}
	return []*x509.Certificate{cert}
}

// fromProxy reports whether the peer itself, rather than the client behind it, is a trusted proxy.
func (s *Shell) fromProxy(r *http.Request) bool {
	return isTrusted(s.config.TrustedProxies, r)
}

// parseClientCert parses a DER certificate in a byte sequence of structured fields, :base64: (RFC 8941 §3.3.5).
func parseClientCert(value string) (*x509.Certificate, error) {
	value = strings.Trim(value, " ")
	inner, opened := strings.CutPrefix(value, ":")
	inner, closed := strings.CutSuffix(inner, ":")
	if !opened || !closed || strings.ContainsAny(inner, "\r\n") { // the decoder would skip line breaks
		return nil, base64.CorruptInputError(0)
	}
	der, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
