package main

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

// clientTLS are the flags of clients that use TLS client certificates (RFC 8705).
type clientTLS struct {
	Certificates string `name:"certificate-file" placeholder:"FILE" help:"TLS client certificates that it made for itself, PEM: it authenticates with self_signed_tls_client_auth and has no secret."`
	SubjectDN    string `name:"tls-subject-dn" placeholder:"DN" help:"Subject of its TLS client certificate from a CA of client-ca-path, as in CN=acme,O=Acme Bank,C=DE (RFC 4514): it authenticates with tls_client_auth and has no secret."`
	SANDNS       string `name:"tls-san-dns" placeholder:"NAME" help:"Instead of the subject: a host name in that certificate."`
	SANURI       string `name:"tls-san-uri" placeholder:"URI" help:"Or a URI in it."`
	SANIP        string `name:"tls-san-ip" placeholder:"IP" help:"Or an IP address in it."`
	SANEmail     string `name:"tls-san-email" placeholder:"ADDRESS" help:"Or an e-mail address in it."`
	Bound        bool   `name:"certificate-bound-tokens" help:"Bind its tokens to the TLS client certificate with which it gets them."`
}

func (c clientTLS) name() idp.CertificateName {
	return idp.CertificateName{SubjectDN: c.SubjectDN, SANDNS: c.SANDNS, SANURI: c.SANURI, SANIP: c.SANIP, SANEmail: c.SANEmail}
}

// authentication settles how the client authenticates itself; the secret is empty if not by one.
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
			return "", errors.New("--public, --jwks-file or --jwks-uri, --tls-… and --certificate-file exclude each other: a client authenticates in one way")
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
		client.JWKS, err = server.ReadJWKS(c.JWKSFile)
	case c.Certificates != "":
		client.JWKS, err = readCertificates(c.Certificates)
	}
	return secret, err
}

// certificateFault says what a client with certificates lacks in the settings of the server; "" if nothing.
func certificateFault(client idp.Client, cfg *config.Config) string {
	switch {
	case (client.ByCertificate() || client.CertificateBound) && cfg.MTLSOrigin == nil:
		return "nobody asks for client certificates: mtls-origin is not set"
	case client.AuthMethod == idp.AuthMethodTLS && cfg.ClientCAPath == "":
		return "tls_client_auth needs a CA for clients: client-ca-path is not set"
	default:
		return ""
	}
}

// readCertificates makes a JWK set of the certificates of a client (RFC 8705 §2.2.2).
func readCertificates(path string) (*jose.JSONWebKeySet, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	set := &jose.JSONWebKeySet{}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: block %d is not a certificate", path, len(set.Keys)+1)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: cert.PublicKey, Use: "sig", Certificates: []*x509.Certificate{cert}})
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("%s has no PEM certificate", path)
	}
	return set, nil
}
