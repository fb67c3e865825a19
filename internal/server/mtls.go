package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"

	"github.com/stepward/stepward/internal/drain"
)

// fronts returns the main server and, with mtls-listen, the one that asks for client certificates.
func (s *Server) fronts(listener net.Listener) ([]*drain.Server, error) {
	all := []*drain.Server{drain.New(s.current.Load().shell.Server(s.Handler), listener)}
	if s.Config.TLSCertPath == "" {
		return all, nil
	}
	tlsCfg, err := tlsConfig(s.Config.TLSCertPath, s.Config.TLSKeyPath, s.log)
	if err != nil {
		return nil, err
	}
	all[0].TLSConfig = tlsCfg
	s.certificate = tlsCfg.GetCertificate
	if s.Config.MTLSListen == "" {
		return all, nil
	}
	if listener, err = drain.Listen(s.Config.MTLSListen); err != nil {
		return nil, cannotListen(s.Config, "mtls-listen", s.Config.MTLSListen, err)
	}
	mtls := drain.New(s.current.Load().shell.Server(s.mtls), listener)
	// Request a certificate but do not require one: the endpoint decides whether it needs one and whose (RFC 8705 §2,
	// §3).
	mtls.TLSConfig = tlsCfg.Clone()
	mtls.TLSConfig.ClientAuth = tls.RequestClientCert
	s.log.Info(
		"asking for client certificates", "origin", s.Config.MTLSOrigin.String(), "listen", listener.Addr().String(),
	)
	return append(all, mtls), nil
}

// ReadClientCAs reads the CAs of client certificates; nil if there are none.
func ReadClientCAs(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for n := 0; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			if n == 0 {
				return nil, fmt.Errorf("%q has no PEM certificate", path)
			}
			return pool, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d of %q is not a certificate", n+1, path)
		}
		if !cert.IsCA { // otherwise a leaf certificate would be trusted as its own root
			return nil, fmt.Errorf("certificate %d of %q is not that of a CA", n+1, path)
		}
		pool.AddCert(cert)
	}
}
