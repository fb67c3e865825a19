package client

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys/keystest"
)

func TestACertificateThatExpiresOnAKeptConnectionIsRefused(t *testing.T) {
	key, now := keystest.NewKey(t, "ES256"), time.Now()
	issue := func(template, parent *x509.Certificate) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		check(t, err)
		cert, err := x509.ParseCertificate(der)
		check(t, err)
		return cert
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Clients"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca := issue(root, root)
	leaf := issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "acme", Organization: []string{"Acme Bank"}},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Minute), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca)
	cas := x509.NewCertPool()
	cas.AddCert(ca)
	name := idp.CertificateName{SubjectDN: "CN=acme,O=Acme Bank"}
	if err := issuedFor(name, []*x509.Certificate{leaf}, cas, now); err != nil {
		t.Error(err)
	}
	if err := issuedFor(name, []*x509.Certificate{leaf}, cas, now.Add(2*time.Minute)); err == nil {
		t.Error("expired")
	}
}
