package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCertificateIsReloadedWhenTheFilesChange(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePair(t, cert, key, 1, time.Now().Add(-time.Hour))
	c := &certificate{certPath: cert, keyPath: key, log: slog.New(slog.DiscardHandler)}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		t.Helper()
		c.looked = time.Time{} // as if the last look was over a second ago
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d", got)
	}
	writePair(t, cert, key, 2, time.Now())
	if got := serial(); got != 2 {
		t.Errorf("after the change: serial %d", got)
	}
	if err := os.WriteFile(cert, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("a broken file replaced the certificate: serial %d", got)
	}
}

// A certificate that expires is served on, because there is no other, and the log says so before and after.
func TestACertificateThatExpiresWhileRunningIsTold(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	begin := time.Now()
	for _, c := range []struct {
		left time.Duration // until it expires
		say  string
	}{
		{30 * 24 * time.Hour, ""},
		{6 * 24 * time.Hour, "certificate expires soon"},
		{-time.Minute, "certificate has expired"},
	} {
		writePairUntil(t, cert, key, 1, begin, begin.Add(c.left))
		var log diary
		r := &certificate{certPath: cert, keyPath: key, log: log.logger()}
		if err := r.load(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.looked = time.Time{}
			if pair, err := r.get(nil); err != nil || pair.Leaf.SerialNumber.Int64() != 1 {
				t.Errorf("%v left: %v", c.left, err)
			}
		}
		if lines := log.lines("certificate"); c.say == "" && lines > 0 || c.say != "" && (lines != 1 || log.lines(c.say) != 1) {
			t.Errorf("%v left: %d lines, want one with %q", c.left, lines, c.say)
		}
	}
}

func TestAnExpiredCertificateDoesNotReplaceAGoodOne(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	now := time.Now()
	writePairUntil(t, cert, key, 1, now.Add(-time.Hour), now.Add(30*24*time.Hour))
	var log diary
	c := &certificate{certPath: cert, keyPath: key, log: log.logger()}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	writePairUntil(t, cert, key, 2, now, now.Add(-time.Minute))
	for range 3 {
		c.looked = time.Time{}
		if pair, err := c.get(nil); err != nil || pair.Leaf.SerialNumber.Int64() != 1 {
			t.Errorf("an expired certificate is served: %v", err)
		}
	}
	if log.lines("certificate not reloaded") == 0 || log.lines("has expired") == 0 {
		t.Errorf("the log says %s", log.text.String())
	}
}

func TestTLSIsModern(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePair(t, cert, key, 1, time.Now())
	cfg, err := tlsConfig(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "localhost:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).Handshake(); _ = conn.Close() }()
		}
	}()
	dial := func(c *tls.Config) (uint16, error) {
		c.InsecureSkipVerify = true
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), c)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		return conn.ConnectionState().Version, nil
	}
	if v, err := dial(&tls.Config{}); err != nil || v != tls.VersionTLS13 {
		t.Errorf("preferred version %x, %v", v, err)
	}
	if _, err := dial(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}); err != nil {
		t.Errorf("TLS 1.2 with AEAD: %v", err)
	}
	if _, err := dial(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}); err == nil {
		t.Error("TLS 1.2 with CBC was accepted")
	}
	if _, err := dial(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

func writePair(t *testing.T, certPath, keyPath string, serial int64, modified time.Time) {
	t.Helper()
	writePairUntil(t, certPath, keyPath, serial, modified, time.Now().Add(30*24*time.Hour))
}

func writePairUntil(t *testing.T, certPath, keyPath string, serial int64, modified, expires time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: expires,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certPath: {Type: "CERTIFICATE", Bytes: der}, keyPath: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
}
