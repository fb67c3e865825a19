package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// protocolEndpoints are the paths that item 37 means, and those beside them.
var protocolEndpoints = []string{
	"/oauth2/authorize", "/oauth2/par", "/oauth2/token", "/oauth2/userinfo", "/oauth2/introspect", "/oauth2/revoke",
	"/oauth2/end_session", "/oauth2/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/login", "/account",
}

// rsaCertificate gives the provider a certificate with an RSA key, which other suites go with.
func rsaCertificate(t *testing.T) (settings []string) {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	template := opCA.issue(func(*x509.Certificate) {}).Leaf
	der := must(x509.CreateCertificate(rand.Reader, template, opCA.cert, key.Public(), opCA.key))
	cert, pem := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	if err := writePEM(cert, "CERTIFICATE", der); err != nil {
		t.Fatal(err)
	}
	if err := writePEM(pem, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))); err != nil {
		t.Fatal(err)
	}
	return []string{"STEPWARD_TLS_CERT_PATH=" + cert, "STEPWARD_TLS_KEY_PATH=" + pem}
}

// newMTLSOP is a provider that asks for certificates of clients at a second address; opCA issues them.
func newMTLSOP(t *testing.T, settings ...string) (o *op, origin string) {
	t.Helper()
	at, cas := freeAddress(t), filepath.Join(t.TempDir(), "clients.pem")
	if err := writePEM(cas, "CERTIFICATE", opCA.cert.Raw); err != nil {
		t.Fatal(err)
	}
	settings = append([]string{"STEPWARD_MTLS_LISTEN=" + at, "STEPWARD_MTLS_ORIGIN=https://" + at, "STEPWARD_CLIENT_CA_PATH=" + cas}, settings...)
	return newOP(t, settings...), "https://" + at
}

func TestOP37EveryEndpointSpeaksModernTLSAlone(t *testing.T) {
	t.Parallel()
	for kind, settings := range map[string][]string{"ECDSA": nil, "RSA": rsaCertificate(t)} {
		o, mtls := newMTLSOP(t, settings...)
		for _, origin := range []string{o.issuer, mtls} {
			at := strings.TrimPrefix(origin, "https://")
			dial := func(c *tls.Config) (tls.ConnectionState, error) {
				conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", at, c)
				if err != nil {
					return tls.ConnectionState{}, err
				}
				defer conn.Close()
				return conn.ConnectionState(), nil
			}
			if state, err := dial(&tls.Config{MinVersion: tls.VersionTLS10}); err != nil || state.Version != tls.VersionTLS13 {
				t.Errorf("%s, %s: preferred is %s, %v", kind, at, tls.VersionName(state.Version), err)
			}
			for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				if _, err := dial(&tls.Config{MinVersion: old, MaxVersion: old}); err == nil {
					t.Errorf("%s, %s: %s is spoken", kind, at, tls.VersionName(old))
				}
			}
			spoken := 0
			for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
				if suite.SupportedVersions[0] > tls.VersionTLS12 {
					continue
				}
				modern := strings.HasPrefix(suite.Name, "TLS_ECDHE_"+kind+"_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "CHACHA20_POLY1305"))
				_, err := dial(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
				if (err == nil) != modern {
					t.Errorf("%s, %s: %s: %v", kind, at, suite.Name, err)
				}
				if err == nil {
					spoken++
				}
			}
			if spoken != 3 {
				t.Errorf("%s, %s: %d suites of TLS 1.2", kind, at, spoken)
			}
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := &http.Client{
				Transport:     &http.Transport{TLSClientConfig: &tls.Config{MinVersion: version, MaxVersion: version}},
				CheckRedirect: machine.CheckRedirect, Timeout: machine.Timeout,
			}
			for _, path := range protocolEndpoints {
				resp, err := client.Get(o.issuer + path)
				if err != nil {
					t.Errorf("%s over %s: %v", path, tls.VersionName(version), err)
					continue
				}
				_ = resp.Body.Close()
				if resp.TLS.Version != version || resp.StatusCode >= 500 || resp.StatusCode == 404 || resp.Header.Get("Strict-Transport-Security") == "" {
					t.Errorf("%s over %s: %d, %v", path, tls.VersionName(version), resp.StatusCode, resp.Header)
				}
			}
		}
	}
}
