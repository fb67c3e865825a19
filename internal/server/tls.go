package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// tlsConfig serves the certificate in these files, and a changed one within a second. It allows TLS 1.3, and 1.2 with
// ECDHE and AEAD: Go's default for 1.2 still accepts CBC suites, which FAPI 2.0 §5.2.1 (BCP 195) forbids.
func tlsConfig(certPath, keyPath string, log *slog.Logger) (*tls.Config, error) {
	r := &certificate{certPath: certPath, keyPath: keyPath, log: log}
	if err := r.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: r.get,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}, nil
}

// certificate is a key pair on disk. It is read again when the time of either file changes. If the new pair does not
// load (partly written, mismatched) or has expired, the current one stays in use. One that expires within a week, or
// has, is logged once a day.
type certificate struct {
	certPath, keyPath string
	log               *slog.Logger

	mu       sync.Mutex
	pair     *tls.Certificate
	looked   time.Time
	warned   time.Time
	modified [2]time.Time
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= time.Second {
		c.looked = time.Now()
		if c.times() != c.modified {
			if err := c.load(); err != nil {
				c.log.Error("certificate not reloaded", "error", err)
			} else {
				c.log.Info("certificate reloaded")
			}
		}
		c.warn(c.looked)
	}
	return c.pair, nil
}

func (c *certificate) load() error {
	modified := c.times()
	pair, err := tls.LoadX509KeyPair(c.certPath, c.keyPath)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	if now := time.Now(); c.pair != nil && now.After(pair.Leaf.NotAfter) && now.Before(c.pair.Leaf.NotAfter) {
		return fmt.Errorf("load certificate: the one in %s has expired (%v)", c.certPath, pair.Leaf.NotAfter)
	}
	c.pair, c.modified = &pair, modified
	return nil
}

func (c *certificate) warn(now time.Time) {
	expires := c.pair.Leaf.NotAfter
	if now.Sub(c.warned) < 24*time.Hour || expires.Sub(now) > 7*24*time.Hour {
		return
	}
	c.warned = now
	if now.After(expires) {
		c.log.Error("certificate has expired", "path", c.certPath, "expired", expires)
	} else {
		c.log.Warn("certificate expires soon", "path", c.certPath, "expires", expires)
	}
}

func (c *certificate) times() (t [2]time.Time) {
	for i, path := range []string{c.certPath, c.keyPath} {
		if info, err := os.Stat(path); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}
