// Package config reads Stepward's settings. Flags override environment variables (each with a _FILE twin), which
// override a YAML file, which overrides the defaults. All faults are reported at once, each with the setting's name,
// where it was set, and what would be right. docs/configuration.md is generated from the same table.
package config

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// A Config holds all settings, parsed and validated. It does not change while the program runs.
type Config struct {
	Issuer         *url.URL // an origin: scheme and host, no path
	RPID           string   // the host that passkeys are made for; empty: the issuer's, see PasskeyHost
	RelatedOrigins []string // that may use the passkeys too; see PublishedOrigins
	NewRPID        string   // PasskeyHost, if it may leave the passkeys of another one behind
	Listen         string
	TLSCertPath    string
	TLSKeyPath     string
	TrustedProxies []netip.Prefix
	GeoIPPath      string // MaxMind DB; empty: none

	ShutdownDelay   time.Duration // from the signal to the last new connection
	ShutdownTimeout time.Duration // from the signal to the end of the process

	MTLSOrigin   *url.URL // origin that requests client certificates; nil: none
	MTLSListen   string   // empty: a trusted proxy requests certificates
	ClientCAPath string
	// OutboundNetworks and OutboundHosts may be fetched from although they are not on the public internet.
	OutboundNetworks []netip.Prefix
	OutboundHosts    []string
	OutboundCAPath   string

	DataDir     string
	DatabaseURL idp.Secret // with RedisURL: production stores; without both: embedded
	RedisURL    idp.Secret
	// StatementTimeout is how long a statement may take on Postgres.
	StatementTimeout time.Duration
	// EventRetention is how long events and authentications are kept.
	EventRetention time.Duration

	Key           idp.Secret // base64, or a ciphertext of KeyVault; empty: generated in DataDir (embedded)
	KeyPrevious   idp.Secret // more of them, see KeysIn
	KeyCommand    string     // prints the key; instead of Key
	KeyVault      string     // https://HOST/MOUNT/KEY of a Vault
	KeyVaultToken idp.Secret

	SessionIdle     time.Duration
	SessionAbsolute time.Duration
	AccessTokenTTL  time.Duration
	RefreshTokenTTL time.Duration
	RequirePAR      bool
	KeyRotation     time.Duration
	KeyAgent        string // path of an ssh-agent's socket; empty: none

	Registration       string // "", "token" or "open"
	RegistrationScopes []string
	RegistrationPolicy idp.ClientPolicy // standard or compatible
	EphemeralCeiling   int64            // MiB; 0: see settings
	RateNetwork        int64            // requests a second and replica; 0: any number
	RateClient         int64            // likewise
	RegistrationLimit  int64            // an hour and network
	RegistrationUnused time.Duration
	ClientDocuments    bool
	StatementIssuer    string
	StatementJWKSPath  string

	SignUp   bool
	Recovery string // "codes", "email-with-delay" or "admin-only"

	RecoveryHold time.Duration // of email-with-delay
	// RecoveryApproval means that a second admin must approve each recovery link of an admin.
	RecoveryApproval bool
	// SCIMRoles means that directories may change and disable people with a role.
	SCIMRoles bool
	SMTPURL   idp.Secret
	From      string // sender of e-mails

	Attestation string // "none" or "direct"
	DeviceBound bool   // no synced passkeys
	// Models (AAGUID) of new passkeys.
	AllowedModels, ForbiddenModels []uuid.UUID
	PasskeyRules                   directory.PasskeyPolicy
	MetadataPath                   string // FIDO metadata BLOB; empty: no attestation is trusted

	ProductName string
	LogoURL     string
	Accent      string
	HelpURL     string
	Languages   *words.Set // of pages and e-mails

	LogLevel  slog.Level
	LogFormat string // "text" or "json"

	MetricsListen string // empty: no metrics
	Pprof         bool
	TraceURL      string      // of an OTLP collector; empty: no traces
	TraceHeaders  http.Header // for the collector
	TraceSample   float64     // 0 to 1
	TraceJoin     bool        // continue the traces of trusted proxies

	// Version is the program's, for metrics and traces. It is not a setting.
	Version string

	Policy idp.Policy

	// Adapt changes settings after they are read: the demo's. nil: nothing does.
	Adapt func(*Config)

	sources map[string]string // where each setting was set, for Fault
	inputs  inputs            // what the sources said at the start, for With
	// effective is inputs with the document of With; its values are nil without one.
	effective inputs
}

// Embedded reports whether both stores are files in DataDir.
func (c *Config) Embedded() bool { return c.DatabaseURL == "" && c.RedisURL == "" }

// Insecure reports whether the issuer is plain http, which is allowed only on localhost.
func (c *Config) Insecure() bool { return c.Issuer.Scheme == "http" }

// EphemeralPath is the file of the embedded ephemeral store.
func (c *Config) EphemeralPath() string { return filepath.Join(c.DataDir, "ephemeral.db") }

// KeyPath is the file of the key that an embedded installation generates.
func (c *Config) KeyPath() string { return filepath.Join(c.DataDir, "stepward.key") }
