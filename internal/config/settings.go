package config

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// A Setting is one row of the table of settings. Flags, environment, file keys and documentation follow from it.
type Setting struct {
	Name    string // flag --name, variable STEPWARD_NAME, key name
	Default string
	Help    string
	List    bool // of values, separated by commas or in a YAML list
	// Secret settings have no plain flag, because a command line is public, but only --name-file.
	Secret bool
	// InPolicy settings may also stand in the stored policy, which changes without a restart.
	InPolicy bool
	set      func(*Config, string) error // its error says what is wrong and what would be right
}

// Env returns the setting's environment variable. With _FILE appended it names a file that contains the value.
func (s Setting) Env() string {
	return "STEPWARD_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Flag returns the setting's flag, without dashes.
func (s Setting) Flag() string {
	if s.Secret {
		return s.Name + "-file"
	}
	return s.Name
}

// Settings are all settings with a single value, in the order of the documentation.
var Settings = []Setting{
	{
		Name: "issuer", Default: "http://localhost:8080", set: setIssuer,
		Help: "The origin where browsers and applications reach Stepward. It is the `iss` of every token and the " +
			"scope of every passkey: changing its host later makes all passkeys useless, unless rp-id keeps the old one. " +
			"Must be https, unless the host is localhost.",
	},
	{
		Name: "rp-id", set: passkeyHost(func(c *Config) *string { return &c.RPID }),
		Help: "The host that passkeys are made for, if it is not that of issuer (WebAuthn calls it the RP ID): the old " +
			"host after a move, or the domain above it. That host must serve `/.well-known/webauthn` over https, with the " +
			"issuer in it, so send its requests for this path here. Changing it makes all passkeys useless.",
	},
	{
		Name: "related-origins", List: true, set: setRelatedOrigins,
		Help: "Other https origins, separated by commas, where browsers may use the passkeys: they are listed at " +
			"`/.well-known/webauthn`. At most five different names before the public suffix. It opens nothing here: pages " +
			"and ceremonies stay at the issuer.",
	},
	{
		Name: "new-rp-id", set: passkeyHost(func(c *Config) *string { return &c.NewRPID }),
		Help: "The host of passkeys (rp-id, or else that of issuer) once more, when it is not the one that the passkeys " +
			"in the database were made for. None of them works under the new host, so `serve` refuses it without " +
			"this setting. They stay in the database, for the way back.",
	},
	{
		Name: "listen", Default: "localhost:8080", set: address(func(c *Config) *string { return &c.Listen }),
		Help: "Address and port to listen on; `:8080` listens on all interfaces.",
	},
	{
		Name: "tls-cert-path", set: text(func(c *Config) *string { return &c.TLSCertPath }),
		Help: "PEM certificate chain, to serve TLS directly (1.3, and 1.2 with ECDHE and AEAD only). Reloaded when " +
			"the file changes. Empty: a proxy in front terminates TLS.",
	},
	{
		Name: "tls-key-path", set: text(func(c *Config) *string { return &c.TLSKeyPath }),
		Help: "PEM private key of the certificate.",
	},
	{
		Name: "trusted-proxies", List: true, set: setProxies,
		Help: "Networks of the proxies in front (`10.0.0.0/8, 192.0.2.7`). X-Forwarded-For is trusted only from " +
			"them. Empty: from no one.",
	},
	{
		Name: "shutdown-delay", Default: "0s",
		set: period(func(c *Config) *time.Duration { return &c.ShutdownDelay }, 0, 5*time.Minute),
		Help: "How long a server that was told to stop still takes new connections while `/readyz` answers 503: longer " +
			"than the balancer needs to notice, `5s` for most. `0s`: nothing is in front.",
	},
	{
		// Docker kills after ten seconds: be gone before.
		Name: "shutdown-timeout", Default: "9s",
		set: period(func(c *Config) *time.Duration { return &c.ShutdownTimeout }, time.Second, 10*time.Minute),
		Help: "How long stopping may take altogether, shutdown-delay included. Requests that are still running just " +
			"before the end are cancelled. Must be shorter than the time after which whatever runs Stepward kills it.",
	},
	{
		Name: "mtls-origin", set: setMTLSOrigin,
		Help: "Origin where clients authenticate, or bind their tokens, with a TLS client certificate (RFC 8705): " +
			"`https://mtls.id.example.com`. It must differ from the issuer, because browsers prompt people for a " +
			"certificate wherever a server requests one. Empty: none.",
	},
	{
		Name: "mtls-listen", set: address(func(c *Config) *string { return &c.MTLSListen }),
		Help: "Address and port where Stepward itself requests client certificates, with the certificate of " +
			"tls-cert-path, which must also be valid for the host of mtls-origin. Empty: a proxy in trusted-proxies " +
			"requests them and passes them on in the `Client-Cert` header (RFC 9440); it must remove that header " +
			"from all other requests.",
	},
	{
		Name: "client-ca-path", set: text(func(c *Config) *string { return &c.ClientCAPath }),
		Help: "PEM certificates of the CAs that issue the certificates of clients with `tls_client_auth`. Read at " +
			"start. Empty: there are no such clients; `self_signed_tls_client_auth` needs no CA.",
	},
	{
		Name: "outbound-allow", List: true, set: setOutbound,
		Help: "Networks, addresses or host names, separated by commas, that Stepward may fetch from although they " +
			"are not on the public internet. Clients choose such addresses (`jwks_uri`, `request_uris`); without " +
			"this setting, private, loopback and link-local ones are rejected, even behind a public name. An allowed " +
			"host name may resolve to any address.",
	},
	{
		Name: "outbound-ca-path", set: text(func(c *Config) *string { return &c.OutboundCAPath }),
		Help: "PEM certificates of CAs that are trusted besides the system's where Stepward fetches from clients or " +
			"tells them of a logout: of the internal CA of a company, or a server's own certificate. Read at the start.",
	},
	{
		Name: "data-dir", Default: "./stepward-data", set: text(func(c *Config) *string { return &c.DataDir }),
		Help: "Folder of the embedded stores: stepward.db, ephemeral.db and stepward.key. Used if neither URL below " +
			"is set; one process at a time.",
	},
	{
		Name: "database-url", Secret: true,
		set:  setURL(func(c *Config) *idp.Secret { return &c.DatabaseURL }, "postgres", "postgresql"),
		Help: "Postgres, for any number of replicas: `postgres://user:password@host/database`. Also needs redis-url.",
	},
	{
		Name: "postgres-statement-timeout", Default: "5s",
		set: period(func(c *Config) *time.Duration { return &c.StatementTimeout }, 100*time.Millisecond, 15*time.Second),
		Help: "How long a statement of `serve` may take on Postgres. A second later the connection is given up and the " +
			"request gets a 503. Commands of the operator have no such limit.",
	},
	{
		Name: "event-retention", Default: "9600h",
		set: period(func(c *Config) *time.Duration { return &c.EventRetention }, 24*time.Hour, 10*366*24*time.Hour),
		Help: "How long events (what happened to accounts) and authentications are kept: 400 days, a year and the time " +
			"to notice.",
	},
	{
		Name: "redis-url", Secret: true,
		set: setURL(func(c *Config) *idp.Secret { return &c.RedisURL }, "redis", "rediss", "unix"),
		Help: "Redis (7.0 or later, `maxmemory-policy noeviction`): `redis://host:6379/0`, with `?master_name=` the " +
			"Sentinels of a set, with `?addr=host:port` a cluster. Also needs database-url.",
	},
	{
		Name: "ephemeral-ceiling", Default: "0",
		set: number(func(c *Config) *int64 { return &c.EphemeralCeiling }, 0, 1<<20),
		Help: "How many MiB of Redis, or of ephemeral.db, may be in use before requests of strangers are refused; they " +
			"meet lower limits from half of it. 0: 90 % of Redis' maxmemory (none without), 1024 for ephemeral.db.",
	},
	{
		Name: "key", Secret: true, set: setKey,
		Help: "The operator's key: 32 random bytes in base64 (`openssl rand -base64 32`), which encrypts the signing " +
			"keys. The embedded profile generates one in the data folder. With database-url it is required, and all " +
			"replicas need the same one.",
	},
	{
		Name: "key-previous", Secret: true, set: setPreviousKeys,
		Help: "Other operator's keys, separated by commas or line breaks, that stored secrets may still, or already, be " +
			"encrypted under: the one before, or the next one. Needed while the operator's key changes " +
			"(`stepward keys rotate --operator`).",
	},
	{
		Name: "key-vault", set: text(func(c *Config) *string { return &c.KeyVault }),
		Help: "Key of the transit engine of HashiCorp Vault or OpenBao that the operator's key is encrypted under: " +
			"`https://vault.example.com:8200/transit/stepward`, with `?namespace=` if needed. `key` is then the " +
			"ciphertext (`vault:v1:…`). Asked at the start only.",
	},
	{
		Name: "key-vault-token", Secret: true, set: setVaultToken,
		Help: "Token for key-vault, with the right to decrypt. Empty: an agent of Vault in front adds one.",
	},
	{
		Name: "key-command", set: text(func(c *Config) *string { return &c.KeyCommand }),
		Help: "Program, with its arguments, that prints the operator's key in base64, instead of `key`: the command line " +
			"of a cloud's key management service, sops or age. It runs at the start, without a shell.",
	},
	{
		Name: "key-agent", set: text(func(c *Config) *string { return &c.KeyAgent }),
		Help: "Unix socket of an ssh-agent that holds the private signing keys, for example in a PKCS #11 module, a " +
			"TPM or a key management service, so that they never enter this process (docs/operate.md). Empty: keys " +
			"are generated here and encrypted under the operator's key.",
	},
	{
		Name: "session-idle", Default: "1h",
		set:  period(func(c *Config) *time.Duration { return &c.SessionIdle }, time.Minute, 24*time.Hour),
		Help: "How long a sign-in lasts without a visit.",
	},
	{
		Name: "session-absolute", Default: "12h",
		set:  period(func(c *Config) *time.Duration { return &c.SessionAbsolute }, 5*time.Minute, 30*24*time.Hour),
		Help: "How long a sign-in lasts at most.",
	},
	{
		Name: "access-token-ttl", Default: "10m",
		set: period(func(c *Config) *time.Duration { return &c.AccessTokenTTL }, 10*time.Second, 24*time.Hour),
		Help: "Lifetime of access tokens. A token with a scope of an action class ends with that class's window if " +
			"that is sooner.",
	},
	{
		Name: "refresh-token-ttl", Default: "720h",
		set:  period(func(c *Config) *time.Duration { return &c.RefreshTokenTTL }, time.Minute, 400*24*time.Hour),
		Help: "How long refresh tokens (offline_access) can be renewed after the user's consent.",
	},
	{
		Name: "par", Default: "optional",
		set: choice(func(c *Config, v string) { c.RequirePAR = v == "required" }, "optional", "required"),
		Help: "`required` rejects every authorization request that was not pushed (RFC 9126), whatever the client's " +
			"policy, and says so in the metadata.",
	},
	{
		Name: "key-rotation", Default: "720h",
		set: period(func(c *Config) *time.Duration { return &c.KeyRotation }, time.Hour, 400*24*time.Hour),
		Help: "Age at which a signing key is replaced. The next key is published before its first use, and the old " +
			"one as long as tokens signed with it are valid.",
	},
	{
		Name: "registration", Default: "off", set: choice(func(c *Config, v string) {
			if c.Registration = v; v == "off" {
				c.Registration = ""
			}
		}, "off", "token", "open"),
		Help: "Whether applications may register themselves (RFC 7591): `token` allows those with a token from you " +
			"(`stepward client token`), `open` all of them.",
	},
	{
		Name: "registration-scopes", List: true, Default: "openid profile email offline_access", set: setRegistrationScopes,
		Help: "Scopes that applications may request if they registered themselves.",
	},
	{
		Name: "registration-policy", Default: "standard",
		set: choice(func(c *Config, v string) { c.RegistrationPolicy = idp.ClientPolicy(v) }, "standard", "compatible"),
		Help: "Client policy of applications that register themselves and keep a secret: `standard` requires PKCE, " +
			"`compatible` does not. Public and native ones always need it.",
	},
	{
		Name: "registration-limit", Default: "20",
		set: number(func(c *Config) *int64 { return &c.RegistrationLimit }, 1, 100_000),
		Help: "How many applications may register themselves from one network in an hour without an initial access " +
			"token; 25 times as many from all networks.",
	},
	{
		Name: "rate-network", Default: "1000",
		set: number(func(c *Config) *int64 { return &c.RateNetwork }, 0, 1_000_000),
		Help: "How many requests a second one network (an IPv4 address or an IPv6 /64) may send to one replica; five " +
			"seconds' worth may come at once. 0: any number. Name your proxies in `trusted-proxies` first.",
	},
	{
		Name: "rate-client", Default: "1000",
		set: number(func(c *Config) *int64 { return &c.RateClient }, 0, 1_000_000),
		Help: "How many requests a second one application that proves who it is may send to one replica; five seconds' " +
			"worth may come at once. 0: any number.",
	},
	{
		Name: "registration-unused", Default: "720h",
		set:  period(func(c *Config) *time.Duration { return &c.RegistrationUnused }, 24*time.Hour, 400*24*time.Hour),
		Help: "Applications that registered themselves are deleted after this time without use.",
	},
	{
		Name: "client-id-metadata", Default: "off",
		set: choice(func(c *Config, v string) { c.ClientDocuments = v == "on" }, "on", "off"),
		Help: "`on` accepts an https URL as client ID, where the application publishes its metadata (Client ID " +
			"Metadata Documents, used by MCP clients), within `registration-scopes`.",
	},
	{
		Name: "software-statement-issuer", set: text(func(c *Config) *string { return &c.StatementIssuer }),
		Help: "The `iss` of trusted software statements (RFC 7591 §2.3). Empty: none is trusted.",
	},
	{
		Name: "software-statement-jwks-path", set: text(func(c *Config) *string { return &c.StatementJWKSPath }),
		Help: "JWK set of the keys that sign software statements. Read at start.",
	},
	{
		Name: "sign-up", InPolicy: true, Default: "closed",
		set: choice(func(c *Config, v string) { c.SignUp = v == "open" }, "open", "closed"),
		Help: "`open` lets anyone with an e-mail address create an account (needs smtp-url); `closed` leaves it to " +
			"invitations.",
	},
	{
		Name: "recovery", InPolicy: true, Default: "codes",
		set: choice(func(c *Config, v string) { c.Recovery = v }, "codes", "email-with-delay", "admin-only"),
		Help: "How people come back who lost all their passkeys. `codes`: with a recovery code they saved and a code " +
			"mailed to their confirmed address (needs smtp-url). `email-with-delay`: as with `codes`, or without a saved " +
			"code after a wait (recovery-hold), in which every address, every signed-in browser and any passkey of theirs " +
			"can stop it; never for people with a role. `admin-only`: with a link of yours " +
			"(`stepward user recover`), which works in any case.",
	},
	{
		Name: "recovery-hold", InPolicy: true, Default: "48h",
		set: period(func(c *Config) *time.Duration { return &c.RecoveryHold }, directory.MinRecoveryHold,
			directory.MaxRecoveryHold),
		Help: "How long a recovery by e-mail alone waits (`recovery: email-with-delay`), so that its owner can stop it.",
	},
	{
		Name: "recovery-approval", InPolicy: true, Default: "optional",
		set: choice(func(c *Config, v string) { c.RecoveryApproval = v == "required" }, "optional", "required"),
		Help: "`required`: a recovery link that an admin makes works only once another admin has approved it. `optional` " +
			"leaves that to the admin. Links of the command line (`stepward user recover`) are the way back for the last " +
			"owner, and never need it; `--second` asks for it.",
	},
	{
		Name: "scim-roles", Default: "off",
		set: choice(func(c *Config, v string) { c.SCIMRoles = v == "on" }, "on", "off"),
		Help: "`on` lets directories (SCIM) change and disable people who have a role here, except owners. `off`: only " +
			"their groups, so that a mistake in the directory locks no admin out.",
	},
	{
		Name: "smtp-url", Secret: true, set: setURL(func(c *Config) *idp.Secret { return &c.SMTPURL }, "smtp", "smtps"),
		Help: "Mail server: `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`. Empty: no e-mail is sent.",
	},
	{
		Name: "mail-from", Default: "Stepward <stepward@localhost>", set: setFrom,
		Help: "Sender of e-mails.",
	},
	{
		Name: "attestation", InPolicy: true, Default: "none",
		set: choice(func(c *Config, v string) { c.Attestation = v }, "none", "direct"),
		Help: "`direct` asks authenticators to prove their model, which `phrh` needs; browsers then show a warning. " +
			"`none` does not ask.",
	},
	{
		Name: "passkey-kind", InPolicy: true, Default: "any",
		set: choice(func(c *Config, v string) { c.DeviceBound = v == "device-bound" }, "any", "device-bound"),
		Help: "Which passkeys people may add. `device-bound` refuses synced ones (iCloud Keychain, Google Password Manager " +
			"and most others); without attestation, a passkey may lie about it. Passkeys that are there stay.",
	},
	{
		Name: "passkey-models", InPolicy: true,
		List: true, set: models(func(c *Config) *[]uuid.UUID { return &c.AllowedModels }),
		Help: "AAGUIDs of the only models that people may add, separated by commas. They must prove it: needs attestation " +
			"`direct` and metadata-path. Empty: all.",
	},
	{
		Name: "passkey-models-forbidden", InPolicy: true, List: true,
		set: models(func(c *Config) *[]uuid.UUID { return &c.ForbiddenModels }),
		Help: "AAGUIDs of models that people may not add, separated by commas. Models that lie about their AAGUID are not " +
			"noticed: passkey-models is stricter.",
	},
	{
		Name: "passkey-rules", InPolicy: true, List: true, set: setPasskeyRules,
		Help: "Which passkeys some people need, separated by commas: `everyone minimum=2, role:admin kind=device-bound, " +
			"group:finance minimum=2 proven`. An account with fewer than `minimum` (1 to 5) says on its pages what is " +
			"missing. `kind=device-bound`, `proven`, `allowed=AAGUID` and `forbidden=AAGUID` (both may be repeated) refuse " +
			"others when they are added; passkeys that are there go on working, but do not count. `proven` and `allowed` " +
			"need attestation `direct` and metadata-path. A rule of a role holds for higher ones too, and the strictest " +
			"rule wins: what two rules allow is what both name.",
	},
	{
		Name: "geoip-path", set: text(func(c *Config) *string { return &c.GeoIPPath }),
		Help: "MaxMind DB file with countries, and cities if you like (GeoLite2-City.mmdb and the like). The account pages " +
			"then say roughly where a passkey was used and a session began. Read into memory, and again when the file " +
			"changes; nothing is stored and nobody is asked. Empty: addresses only.",
	},
	{
		Name: "metadata-path", set: text(func(c *Config) *string { return &c.MetadataPath }),
		Help: "FIDO Metadata Service BLOB to verify attestations with. Empty: no attestation is trusted, and no " +
			"passkey reaches `phrh`.",
	},
	{
		Name: "product-name", InPolicy: true,
		Default: "Stepward", set: text(func(c *Config) *string { return &c.ProductName }),
		Help: "Name on the pages and in the device's passkey dialog.",
	},
	{
		Name: "logo-url", InPolicy: true, set: httpsURL(func(c *Config) *string { return &c.LogoURL }),
		Help: "https URL of a logo for the pages.",
	},
	{
		Name: "accent", InPolicy: true, set: setAccent,
		Help: "Accent colour of the pages, `#1a6b5a`. It should have a contrast of 7:1 on white.",
	},
	{
		Name: "help-url", InPolicy: true, set: httpsURL(func(c *Config) *string { return &c.HelpURL }),
		Help: "https URL of the Help link at the bottom of each page.",
	},
	{
		Name: "languages", List: true, Default: "en de es fr ja ar", set: setLanguages,
		Help: "Languages of pages and e-mails, in the order of the switch at the bottom of each page. The first is for " +
			"people who want none of them. With a single one there is no switch.",
	},
	{
		Name: "log-level", Default: "info", set: setLevel,
		Help: "`debug`, `info`, `warn` or `error`.",
	},
	{
		Name: "log-format", Default: "text", set: choice(func(c *Config, v string) { c.LogFormat = v }, "text", "json"),
		Help: "`text` for people, `json` for collectors.",
	},
	{
		Name: "metrics-listen", set: address(func(c *Config) *string { return &c.MetricsListen }),
		Help: "Address and port of `/metrics` for Prometheus: `:9090`. It has no TLS and asks for no password, so " +
			"only the monitoring may reach it. Empty: no metrics.",
	},
	{
		Name: "pprof", Default: "off", set: choice(func(c *Config, v string) { c.Pprof = v == "on" }, "on", "off"),
		Help: "`on` serves profiles of the running program at `/debug/pprof/` of metrics-listen. Profiles of memory may " +
			"hold secrets: only people who may read the operator's key may reach them.",
	},
	{
		Name: "trace-url", set: setTraceURL,
		Help: "Base URL of an OpenTelemetry collector that takes OTLP over HTTP: `http://collector:4318`. Empty: no traces.",
	},
	{
		Name: "trace-headers", Secret: true, set: setTraceHeaders,
		Help: "Headers for the collector, as `Name: value`, one a line or separated by commas: " +
			"`Authorization: Basic …`.",
	},
	{
		Name: "trace-sample", Default: "0.01", set: setTraceSample,
		Help: "Share of the requests that are traced, from 0 to 1.",
	},
	{
		Name: "trace-parent", Default: "link",
		set: choice(func(c *Config, v string) { c.TraceJoin = v == "join" }, "link", "join"),
		Help: "What a `traceparent` of a request does. `link`: the trace begins here and links to it. `join`: if it comes " +
			"from one of trusted-proxies, the trace is continued, and traced if it says so, whatever trace-sample is. Use " +
			"`join` only if your proxy replaces what browsers and applications send.",
	},
}
