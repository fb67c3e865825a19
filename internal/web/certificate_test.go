package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func selfSigned(t testing.TB, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestClientCertificatesComeFromOurHandshakeOrATrustedProxy(t *testing.T) {
	theirs, handshake := selfSigned(t, 1), selfSigned(t, 2)
	good := ":" + base64.StdEncoding.EncodeToString(theirs.Raw) + ":"
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, row := range map[string]struct {
		peer    string
		off     bool // ProxyCertificates
		browser bool // the other chain
		direct  bool // a handshake of our own
		headers []string
		want    *x509.Certificate
	}{
		"a trusted proxy":                    {peer: "10.1.2.3:5", headers: []string{good}, want: theirs},
		"a trusted proxy, as IPv6":           {peer: "[::ffff:10.1.2.3]:5", headers: []string{good}, want: theirs},
		"spaces around it":                   {peer: "10.1.2.3:5", headers: []string{" " + good + " "}, want: theirs},
		"another user":                       {peer: "192.0.2.1:5", headers: []string{good}},
		"a unix socket":                      {peer: "@", headers: []string{good}},
		"the proxy is not there for that":    {peer: "10.1.2.3:5", off: true, headers: []string{good}},
		"pages know no certificates":         {peer: "10.1.2.3:5", browser: true, headers: []string{good}},
		"our own handshake":                  {peer: "192.0.2.1:5", direct: true, want: handshake},
		"our own handshake counts before":    {peer: "10.1.2.3:5", direct: true, headers: []string{good}, want: handshake},
		"twice":                              {peer: "10.1.2.3:5", headers: []string{good, good}},
		"two in one":                         {peer: "10.1.2.3:5", headers: []string{good + ", " + good}},
		"no colons":                          {peer: "10.1.2.3:5", headers: []string{strings.Trim(good, ":")}},
		"PEM":                                {peer: "10.1.2.3:5", headers: []string{"-----BEGIN%20CERTIFICATE-----"}},
		"not base64":                         {peer: "10.1.2.3:5", headers: []string{":?:"}},
		"not a certificate":                  {peer: "10.1.2.3:5", headers: []string{":AAAA:"}},
		"a certificate and something behind": {peer: "10.1.2.3:5", headers: []string{":" + base64.StdEncoding.EncodeToString(append(theirs.Raw, 0)) + ":"}},
		"empty":                              {peer: "10.1.2.3:5", headers: []string{""}},
	} {
		s := newShell(t, func(c *Config) { c.TrustedProxies, c.ProxyCertificates = proxies, !row.off })
		var got []*x509.Certificate
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { got = ClientCertificate(r.Context()) })
		handler := s.Protocol(mux)
		if row.browser {
			handler = s.Browser(mux)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = row.peer
		r.Header["Client-Cert"] = row.headers
		if row.direct {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{handshake}}
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		switch {
		case row.want == nil && got != nil, row.want != nil && (len(got) != 1 || !got[0].Equal(row.want)):
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzClientCert(f *testing.F) {
	f.Add(":" + base64.StdEncoding.EncodeToString(selfSigned(f, 1).Raw) + ":")
	f.Add(":AAAA:")
	f.Fuzz(func(t *testing.T, value string) {
		if cert, err := parseClientCert(value); err == nil && len(cert.Raw) == 0 {
			t.Fatal("neither a certificate nor an error")
		}
	})
}
