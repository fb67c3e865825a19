package server

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/outbound"
)

// OutboundOf returns the client for all requests to addresses that clients name: fetches and logout deliveries.
func OutboundOf(cfg *config.Config) (*outbound.Client, error) { return outboundOf(cfg, nil) }

func outboundOf(cfg *config.Config, wrap func(http.RoundTripper) http.RoundTripper) (*outbound.Client, error) {
	roots, err := outboundRoots(cfg.OutboundCAPath)
	if err != nil {
		return nil, config.Faults{cfg.Fault("outbound-ca-path", config.FileReason(err), err)}
	}
	return outbound.New(outbound.Config{
		Networks: cfg.OutboundNetworks, Hosts: cfg.OutboundHosts, Roots: roots, Development: cfg.Insecure(), Wrap: wrap,
	}), nil
}

// outboundRoots returns the system's roots plus those in a file. Without a file it returns nil, which means the
// system's.
func outboundRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // no system roots
		roots = x509.NewCertPool()
	}
	for n := 0; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			if n == 0 {
				return nil, fmt.Errorf("%q has no PEM certificate", path)
			}
			return roots, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d of %q is not a certificate", n+1, path)
		}
		roots.AddCert(cert)
	}
}
