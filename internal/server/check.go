package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/geoip"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/outage"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/store/engine"
)

// parts are what the settings name: files, read and understood, and where mail goes.
type parts struct {
	clientCAs    *x509.CertPool
	networks     *limit.Rate[netip.Addr] // requests of networks and of clients
	clients      *limit.Rate[string]
	outbound     *outbound.Client
	registration client.Registration
	metadata     passkey.Metadata
	places       *geoip.File    // nil: none
	transport    mail.Transport // nil: no mail is sent, and nothing needs any
}

// Check reports everything that New would refuse about the settings, as far as it shows without the stores. The error
// is config.Faults.
func Check(cfg *config.Config) error {
	_, err := read(cfg, nil, nil)
	return err
}

// read is Check, and returns what it read. New calls it first, so that the two never differ. The mailbox of a demo
// takes the place of smtp-url; wrap observes requests to others.
func read(
	cfg *config.Config, mailbox *mail.Mailbox, wrap func(http.RoundTripper) http.RoundTripper,
) (p parts, err error) {
	var faults config.Faults
	add := func(setting string, err error) {
		if known, ok := errors.AsType[config.Faults](err); ok {
			faults = append(faults, known...)
		} else if err != nil {
			faults = append(faults, cfg.Fault(setting, config.FileReason(err), err))
		}
	}
	p.networks = limit.NewRate[netip.Addr]("network", cfg.RateNetwork)
	p.clients = limit.NewRate[string]("client", cfg.RateClient)
	add("tls-cert-path", checkPair(cfg))
	p.clientCAs, err = ReadClientCAs(cfg.ClientCAPath)
	add("client-ca-path", err)
	p.outbound, err = outboundOf(cfg, wrap)
	add("outbound-ca-path", err)
	if cfg.Embedded() {
		folder := checkFolder(cfg.DataDir)
		add("data-dir", folder)
		if folder == nil {
			add("key", operatorkey.Check(cfg))
		}
	} else {
		add("database-url", engine.CheckURL(cfg.DatabaseURL.Reveal()))
		add("redis-url", ephemeral.CheckURL(cfg.RedisURL.Reveal()))
	}
	if cfg.KeyVault != "" {
		_, err := keys.NewVault(cfg.KeyVault, cfg.KeyVaultToken)
		add("key-vault", err)
	}
	if cfg.KeyAgent != "" {
		if err := keys.NewAgent(cfg.KeyAgent).Ping(); err != nil {
			add("key-agent", fmt.Errorf("no key agent answers at %s: %s", cfg.KeyAgent, outage.Reason(err)))
		}
	}
	p.registration, err = registrationOf(cfg)
	add("software-statement-jwks-path", err)
	p.transport, err = mailTransport(cfg, mailbox)
	add("smtp-url", err)
	if cfg.MetadataPath != "" {
		if p.metadata, err = passkey.LoadMetadata(cfg.MetadataPath); err != nil && !errors.As(err, new(*fs.PathError)) {
			err = fmt.Errorf("%q is not a FIDO metadata BLOB, as https://mds3.fidoalliance.org serves it: %w",
				cfg.MetadataPath, err)
		}
		add("metadata-path", err)
	}
	if cfg.GeoIPPath != "" {
		if p.places, err = geoip.Open(cfg.GeoIPPath, slog.Default()); err != nil && !errors.As(err, new(*fs.PathError)) {
			err = fmt.Errorf("%q is not a MaxMind DB file: %w", cfg.GeoIPPath, err)
		}
		add("geoip-path", err)
	}
	if len(faults) > 0 {
		return p, faults
	}
	return p, nil
}

// checkPair reports a certificate and key that cannot be served.
func checkPair(cfg *config.Config) error {
	if cfg.TLSCertPath == "" {
		return nil
	}
	var faults config.Faults
	add := func(setting, message string, err error) { faults = append(faults, cfg.Fault(setting, message, err)) }
	cert, certErr := os.ReadFile(cfg.TLSCertPath)
	if certErr != nil {
		add("tls-cert-path", config.FileReason(certErr), certErr)
	}
	key, keyErr := os.ReadFile(cfg.TLSKeyPath)
	if keyErr != nil {
		add("tls-key-path", config.FileReason(keyErr), keyErr)
	}
	if len(faults) > 0 {
		return faults
	}
	_, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return nil
	}
	reason := strings.TrimPrefix(err.Error(), "tls: ")
	switch {
	case strings.Contains(reason, "does not match"):
		add("tls-key-path", fmt.Sprintf("%q is not the key of the certificate in %q", cfg.TLSKeyPath, cfg.TLSCertPath), err)
	case strings.Contains(reason, "key input"), strings.Contains(reason, "parse private key"):
		add("tls-key-path", fmt.Sprintf("%q is not a PEM private key: %s", cfg.TLSKeyPath, reason), err)
	default:
		add("tls-cert-path", fmt.Sprintf("%q is not a PEM certificate chain: %s", cfg.TLSCertPath, reason), err)
	}
	return faults
}

// checkFolder reports a data folder that cannot be written to, or made.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%q is a file; name a folder", dir)
	}
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir { // it would be made in here
		dir = filepath.Dir(dir)
		_, err = os.Stat(dir)
	}
	if err != nil {
		return unusable(dir, err)
	}
	file, err := os.CreateTemp(dir, ".stepward-check-*")
	if err != nil {
		return unusable(dir, err)
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// unusable says which folder, or which file in it, an error of the file system is about, and what would help.
func unusable(dir string, err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		if info, err := os.Lstat(file.Path); err == nil && !info.IsDir() { // restored or copied as another user
			return fmt.Errorf("%q cannot be used: %w; it must belong to the user of the server",
				file.Path, file.Err)
		}
		return fmt.Errorf("%q cannot be used: %w; name a folder that this user may write to", dir, file.Err)
	}
	return fmt.Errorf("%q cannot be used: %w", dir, err)
}
