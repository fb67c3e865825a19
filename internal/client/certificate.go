package client

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// checkCertificate checks that the certificate of the request authenticates client c (RFC 8705 §2). Its errors are for
// the log and repeat no input.
func (s *Authenticator) checkCertificate(ctx context.Context, sender oauth.Sender, c idp.Client, now time.Time) error {
	chain := sender.Certificates
	switch {
	case len(chain) == 0:
		return errors.New("no client certificate")
	case now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter):
		return errors.New("the client certificate has expired, or is not valid yet")
	case c.AuthMethod == idp.AuthMethodTLS:
		return issuedFor(c.CertificateName, chain, s.cfg.CAs, now)
	}
	found, err := s.anyKey(ctx, c, func(key jose.JSONWebKey) bool { return isOf(key, chain[0]) })
	if err == nil && !found {
		err = errors.New("the key of the client certificate is not registered")
	}
	return err
}

// issuedFor checks that one of the CAs issued a client certificate to this name (RFC 8705 §2.1). chain is the peer's,
// leaf first.
func issuedFor(name idp.CertificateName, chain []*x509.Certificate, cas *x509.CertPool, now time.Time) error {
	if cas == nil {
		return errors.New("no CA for client certificates: client-ca-path is not set")
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: cas, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	switch {
	case err != nil:
		return errors.New("the certificate is not a client certificate from a CA in client-ca-path")
	case !name.Matches(chain[0]):
		return errors.New("the name in the client certificate is not the registered one")
	}
	return nil
}

// isOf reports whether a registered key is the certificate's (RFC 8705 §2.2). The issuer does not matter, because the
// handshake has proven the key.
func isOf(registered jose.JSONWebKey, cert *x509.Certificate) bool {
	key, ok := cert.PublicKey.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && key.Equal(registered.Key)
}
