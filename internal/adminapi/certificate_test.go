package adminapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

// certificate returns the edit of a request over a connection with a new self-signed client certificate.
func (h *house) certificate() func(*http.Request) {
	h.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.Must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	h.Must(err)
	cert, err := x509.ParseCertificate(der)
	h.Must(err)
	return func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}} }
}

func TestATokenOfACertificateIsOfNoUseWithoutIt(t *testing.T) {
	h := open(t)
	c, secret := h.Machine("bound", func(c *idp.Client) { c.CertificateBound = true }, adminapi.ScopeUsersRead)
	own := h.certificate()
	token := h.tokenOf(c, secret, own)
	h.call(200, "GET", "/users", token, nil, own)
	h.problem(401, "invalid_token", "GET", "/users", token, nil)
	h.problem(401, "invalid_token", "GET", "/users", token, nil, h.certificate())
}
