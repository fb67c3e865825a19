package clients

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/pkg/adminapi"
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

// authentication sets the client's authentication method, and its keys.
func (c *clientAddCmd) authentication(client *adminapi.Client) error {
	client.SubjectDN, client.SANDNS, client.SANURI = c.SubjectDN, c.SANDNS, c.SANURI
	client.SANIP, client.SANEmail, client.CertificateBound = c.SANIP, c.SANEmail, c.Bound
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
			return errors.New("--public, --jwks-file or --jwks-uri, --tls-… and --certificate-file exclude each other: " +
				"a client has one way to authenticate")
		}
		if way.given {
			client.AuthMethod, found = way.method, true
		}
	}
	switch {
	case !found:
		client.AnySecretMethod = c.Auth == ""
	case c.JWKSFile != "":
		set, err := server.ReadJWKS(c.JWKSFile)
		if err == nil {
			client.JWKS, err = wireKeys(set)
		}
		if err != nil {
			return fmt.Errorf("--jwks-file: %s", config.FileReason(err))
		}
	case c.Certificates != "":
		set, err := readCertificates(c.Certificates)
		if err == nil {
			client.JWKS, err = wireKeys(set)
		}
		if err != nil {
			return fmt.Errorf("--certificate-file: %s", config.FileReason(err))
		}
	}
	return nil
}

// wireKeys returns a key set as the API takes it.
func wireKeys(set *jose.JSONWebKeySet) (out *adminapi.JWKSet, err error) {
	text, err := json.Marshal(set)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	return out, err
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
