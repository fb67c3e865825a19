package clients

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
)

// clientTLS has the flags of clients with TLS client certificates (RFC 8705).
type clientTLS struct {
	Certificates string `name:"certificate-file" placeholder:"FILE" help:"Self-signed TLS client certificates, PEM. The client then authenticates with self_signed_tls_client_auth and has no secret."`
	SubjectDN    string `name:"tls-subject-dn" placeholder:"DN" help:"Subject of its TLS client certificate from a CA of client-ca-path: CN=acme,O=Acme Bank,C=DE (RFC 4514). The client then authenticates with tls_client_auth and has no secret."`
	SANDNS       string `name:"tls-san-dns" placeholder:"NAME" help:"A host name in that certificate, instead of the subject."`
	SANURI       string `name:"tls-san-uri" placeholder:"URI" help:"A URI in that certificate."`
	SANIP        string `name:"tls-san-ip" placeholder:"IP" help:"An IP address in that certificate."`
	SANEmail     string `name:"tls-san-email" placeholder:"ADDRESS" help:"An e-mail address in that certificate."`
	Bound        bool   `name:"certificate-bound-tokens" help:"Bind tokens to the TLS client certificate they are requested with."`
}

func (c clientTLS) name() idp.CertificateName {
	return idp.CertificateName{
		SubjectDN: c.SubjectDN, SANDNS: c.SANDNS, SANURI: c.SANURI, SANIP: c.SANIP, SANEmail: c.SANEmail,
	}
}

// authentication sets the client's authentication method and returns its new secret, or "" if it has none.
func (c *clientAddCmd) authentication(client *idp.Client, now time.Time) (secret idp.Secret, err error) {
	client.CertificateName, client.CertificateBound = c.name(), c.Bound
	ways := []struct {
		given  bool
		method string
	}{
		{c.Public, idp.AuthMethodNone},
		{c.JWKSFile != "" || c.JWKSURI != "", idp.AuthMethodPrivateKey},
		{c.name() != idp.CertificateName{}, idp.AuthMethodTLS},
		{c.Certificates != "", idp.AuthMethodSelfSigned},
	}
	found := false
	for _, way := range ways {
		if way.given && found {
			return "", errors.New("--public, --jwks-file or --jwks-uri, --tls-… and --certificate-file exclude each other: " +
				"a client has one way to authenticate")
		}
		if way.given {
			client.AuthMethod, found = way.method, true
		}
	}
	switch {
	case !found:
		client.AnySecretMethod = c.Auth == ""
		secret = client.AddSecret(now)
	case c.JWKSFile != "":
		if client.JWKS, err = server.ReadJWKS(c.JWKSFile); err != nil {
			return "", fmt.Errorf("--jwks-file: %s", config.FileReason(err))
		}
	case c.Certificates != "":
		if client.JWKS, err = readCertificates(c.Certificates); err != nil {
			return "", fmt.Errorf("--certificate-file: %s", config.FileReason(err))
		}
	}
	return secret, nil
}

// certificateFault returns the setting that the server lacks for a client with certificates; "" if none.
func certificateFault(client idp.Client, cfg *config.Config) string {
	switch {
	case (client.ByCertificate() || client.CertificateBound) && cfg.MTLSOrigin == nil:
		return "client certificates are not requested: mtls-origin is not set"
	case client.AuthMethod == idp.AuthMethodTLS && cfg.ClientCAPath == "":
		return "tls_client_auth needs a CA for clients: client-ca-path is not set"
	default:
		return ""
	}
}

// readCertificates reads a client's certificates as a JWK set (RFC 8705 §2.2.2).
func readCertificates(path string) (*jose.JSONWebKeySet, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := &jose.JSONWebKeySet{}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d of %q is not a certificate", len(set.Keys)+1, path)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: cert.PublicKey, Use: "sig", Certificates: []*x509.Certificate{cert}})
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("%q has no PEM certificate", path)
	}
	return set, nil
}
