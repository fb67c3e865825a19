// Package passkey runs the WebAuthn ceremonies: it creates the options, keeps the state until a ceremony is finished,
// verifies responses, and derives what they prove. Only this package imports go-webauthn.
//
//	registration                                      assertion (sign-in, step-up)
//
//	NewRegistration ── challenge, stored ──┐          NewSignIn, NewAssertion ── challenge, op to store ──┐
//	      │ options                        │                │ options                                     │
//	   browser: credentials.create()       │             browser: credentials.get()                       │
//	      │ response                       │                │ response                                    │
//	FinishRegistration ◄── taken once ─────┘          FinishAssertion ◄── TakeOp, FromOp: taken once ─────┘
//	      │                                                 │  find: one read by credential ID
//	   idp.Passkey                                       idp.Passkey (flags, counter) + idp.Authentication
//
// What an assertion proves is read from the authenticator data of this response. The flags that the library keeps on
// the credential are latched: they say what was true once (WebAuthn L3 §7.2 steps 15-24). Key protection is believed
// only if the attestation was verified against metadata.
package passkey

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// CeremonyTTL is how long a person may take for a ceremony. WebAuthn L3 §15.1 recommends 300 to 600 seconds.
const CeremonyTTL = 10 * time.Minute

// MaxResponse limits the JSON of a response, in bytes. A TPM attestation with its chain takes about 8 KiB.
const MaxResponse = 64 << 10

// Values of Config.Attestation.
const (
	AttestationNone   = "none"
	AttestationDirect = "direct"
)

// Config configures Ceremonies. RPID, RPName, Origins and Store are required.
type Config struct {
	RPID   string // the domain of the passkeys; changing it makes every passkey useless
	RPName string // shown by some authenticators
	// Origins are exact: scheme, host, and port if not the default; no path. Ceremonies begin at the first one.
	Origins []string
	Store   ephemeral.Store
	// Attestation is AttestationNone (the default) or AttestationDirect, which asks authenticators to prove their
	// model. Passkeys without proof are accepted, but do not reach phrh.
	Attestation string
	// Metadata describes authenticator models, for AttestationDirect; see LoadMetadata. Without it no passkey counts as
	// hardware-bound.
	Metadata Metadata
	// Rules say which passkeys may be registered.
	Rules Rules
	// AllowUnverified also accepts authenticators that did not verify the user. Such an authentication records that,
	// and satisfies no acr.
	AllowUnverified bool
	// DecoyKey is the key of Decoys, shared by all replicas. Empty: a random key for the life of this process.
	DecoyKey []byte
	Logger   *slog.Logger // nil: slog.Default
}

// Ceremonies runs ceremonies for one relying party. It is safe for concurrent use.
type Ceremonies struct {
	webauthn        *webauthn.WebAuthn
	ceremonies      ephemeral.Bucket[Ceremony]
	metadata        Metadata
	rules           Rules
	log             *slog.Logger
	verification    protocol.UserVerificationRequirement
	allowUnverified bool
	decoyKey        []byte
}

// New returns Ceremonies, or an error if the configuration is invalid.
func New(config Config) (*Ceremonies, error) {
	if config.Store == nil {
		return nil, errors.New("passkey: Store is required")
	}
	if config.RPID == "" || config.RPName == "" {
		return nil, errors.New("passkey: RPID and RPName are required")
	}
	if len(config.Origins) == 0 {
		return nil, errors.New("passkey: Origins are required")
	}
	for _, origin := range config.Origins {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
	}
	attestation := protocol.PreferNoAttestation
	switch config.Attestation {
	case "", AttestationNone:
		config.Metadata = nil // no proof is requested
	case AttestationDirect:
		attestation = protocol.PreferDirectAttestation
	default:
		return nil, fmt.Errorf("passkey: attestation must be none or direct, not %q", config.Attestation)
	}
	verification := protocol.VerificationRequired
	if config.AllowUnverified {
		verification = protocol.VerificationPreferred
	}
	if len(config.DecoyKey) == 0 {
		config.DecoyKey = make([]byte, 32)
		_, _ = rand.Read(config.DecoyKey) // never fails
	}
	// webauthn.New writes defaults into its Config, so call it here and not at the first request.
	// The library's own expiry stays off: open looks at the time of the ceremony, which is stored once.
	timeout := webauthn.TimeoutConfig{Timeout: CeremonyTTL, TimeoutUVD: CeremonyTTL}
	w, err := webauthn.New(&webauthn.Config{
		RPID:                  config.RPID,
		RPDisplayName:         config.RPName,
		RPOrigins:             slices.Clone(config.Origins),
		RPAllowCrossOrigin:    false, // a provider must not be framed
		AttestationPreference: attestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   verification,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// WebKit returns appid:false unasked, and the W3C dropped the rule against it (w3c/webauthn#1287). We ignore
		// outputs that we did not request.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
		// MDS stays unset: the library would reject every unknown model, and skip the check for format none. See
		// Ceremonies.CheckAttestation.
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Ceremonies{
		webauthn:        w,
		ceremonies:      ephemeral.NewCompactBucket(config.Store, "ceremony", CeremonyTTL, fields),
		metadata:        config.Metadata,
		rules:           config.Rules,
		verification:    verification,
		allowUnverified: config.AllowUnverified,
		decoyKey:        config.DecoyKey,
		log:             cmp.Or(config.Logger, slog.Default()),
	}, nil
}

// checkOrigin rejects origins that the library would compare without their path or port.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) ||
		!(u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80") {
		return fmt.Errorf("passkey: %q is not an origin as browsers send it: "+
			"scheme, host, port if not the default, no path", origin)
	}
	return nil
}

// party is a user in the form that the library expects.
type party struct {
	idp.User
	credentials []webauthn.Credential
}

func (p party) WebAuthnID() []byte                         { return p.Handle }
func (p party) WebAuthnName() string                       { return p.Email }
func (p party) WebAuthnCredentials() []webauthn.Credential { return p.credentials }

func (p party) WebAuthnDisplayName() string {
	if p.Name == "" {
		return p.Email
	}
	return p.Name
}

// credential converts a passkey for the library, as far as verifying an assertion needs it. The flags are passed as an
// octet, because the library's JSON form loses it.
func credential(k idp.Passkey) webauthn.Credential {
	return webauthn.Credential{
		ID:                k.CredentialID,
		PublicKey:         k.PublicKey,
		AttestationType:   k.AttestationType,
		AttestationFormat: k.AttestationFormat,
		Flags:             webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(k.Flags)),
		Authenticator:     webauthn.Authenticator{AAGUID: k.AAGUID, SignCount: k.SignCount},
	}
}

func descriptors(keys []idp.Passkey) []protocol.CredentialDescriptor {
	list := make([]protocol.CredentialDescriptor, len(keys))
	for i, k := range keys {
		list[i] = protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: k.CredentialID}
		for _, transport := range knownTransports(k.Transports) { // the row may be older than this check
			list[i].Transport = append(list[i].Transport, protocol.AuthenticatorTransport(transport))
		}
	}
	return list
}
