// Package config reads Stepward's settings: flags before environment (each variable with a _FILE twin) before a YAML file
// before defaults. Every fault is found and reported at once, with the setting's name, where it was set, and what would
// be right. docs/configuration.md is generated from the same table.
package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// A Config is every setting, read and checked. It does not change while the program runs.
type Config struct {
	Issuer         *url.URL // an origin: scheme and host, no path
	Listen         string
	TLSCertPath    string
	TLSKeyPath     string
	TrustedProxies []netip.Prefix

	ShutdownDelay   time.Duration // from the signal to the last new connection
	ShutdownTimeout time.Duration // from the signal to the end of the process

	MTLSOrigin   *url.URL // where clients are asked for certificates; nil: nowhere
	MTLSListen   string   // empty: a trusted proxy asks
	ClientCAPath string
	// OutboundNetworks and OutboundHosts may be fetched from although they are not the public internet.
	OutboundNetworks []netip.Prefix
	OutboundHosts    []string

	DataDir     string
	DatabaseURL idp.Secret // with RedisURL: production stores; without both: embedded
	RedisURL    idp.Secret
	Key         idp.Secret // 32 bytes, base64; empty: made and kept in DataDir (embedded only)

	SessionIdle     time.Duration
	SessionAbsolute time.Duration
	AccessTokenTTL  time.Duration
	RefreshTokenTTL time.Duration
	RequirePAR      bool
	KeyRotation     time.Duration
	KeyAgent        string // path of an ssh-agent's socket; empty: none

	Registration       string // "", "token" or "open"
	RegistrationScopes []string
	RegistrationUnused time.Duration
	ClientDocuments    bool
	StatementIssuer    string
	StatementJWKSPath  string

	SignUp  bool
	SMTPURL idp.Secret
	From    string // sender of mail

	Attestation  string // "none" or "direct"
	MetadataPath string // FIDO metadata BLOB; empty: no attestation is trusted

	ProductName string
	LogoURL     string
	Accent      string
	HelpURL     string

	LogLevel  slog.Level
	LogFormat string // "text" or "json"

	Policy idp.Policy
}

// Embedded reports whether both stores are files in DataDir.
func (c *Config) Embedded() bool { return c.DatabaseURL == "" && c.RedisURL == "" }

// Insecure reports whether the issuer is plain http, which only a host on this machine may be.
func (c *Config) Insecure() bool { return c.Issuer.Scheme == "http" }

// EphemeralPath is the file of the embedded ephemeral store.
func (c *Config) EphemeralPath() string { return filepath.Join(c.DataDir, "ephemeral.db") }

// KeyPath is where an embedded installation keeps the key it made for itself.
func (c *Config) KeyPath() string { return filepath.Join(c.DataDir, "stepward.key") }
