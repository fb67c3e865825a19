// Package passkey runs the WebAuthn ceremonies: it makes their options, keeps what they need until they are finished,
// verifies the answers, and says what an answer proves. It is the only package that knows go-webauthn.
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
// What an assertion proves is read from the authenticator data of this very response: the flags that the library keeps
// on the credential are latched and say what was once true (WebAuthn L3 §7.2 steps 15-24). What a passkey's key is
// protected by is believed only from an attestation that was verified against metadata.
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

// CeremonyTTL is how long a person may take over a ceremony. WebAuthn L3 §15.1 recommends 300 to 600 seconds.
const CeremonyTTL = 10 * time.Minute

// MaxResponse bounds the JSON of a response, in bytes. A TPM attestation with its chain is some 8 KiB.
const MaxResponse = 64 << 10

// What Config.Attestation may be.
const (
	AttestationNone   = "none"
	AttestationDirect = "direct"
)

// Config says for whom ceremonies are run. RPID, RPName, Origins and Store are required.
type Config struct {
	RPID    string   // the domain passkeys are scoped to; changing it orphans every passkey
	RPName  string   // shown by some authenticators
	Origins []string // exact: scheme, host, port if not the scheme's own; nothing after it
	Store   ephemeral.Store
	// Attestation is AttestationNone (the default) or AttestationDirect, which asks authenticators to prove their model.
	// Passkeys without proof are still welcome; they do not reach phrh.
	Attestation string
	// Metadata says what is known of authenticator models, for AttestationDirect; see LoadMetadata. Without it no passkey
	// becomes hardware-bound.
	Metadata Metadata
	// AllowUnverified also accepts authenticators that did not verify the user. The resulting authentication says so, and
	// satisfies no acr.
	AllowUnverified bool
	// DecoyKey derives what Decoys answers; replicas share it. Empty: a random one for the life of this process.
	DecoyKey []byte
	Logger   *slog.Logger // nil: slog.Default
}

// Ceremonies runs ceremonies for one relying party. It may be used by any number of goroutines.
type Ceremonies struct {
	webauthn        *webauthn.WebAuthn
	ceremonies      ephemeral.Bucket[Ceremony]
	metadata        Metadata
	log             *slog.Logger
	verification    protocol.UserVerificationRequirement
	allowUnverified bool
	decoyKey        []byte
}

// New returns the ceremonies of a relying party, or what is wrong with its configuration.
func New(config Config) (*Ceremonies, error) {
	if config.Store == nil {
		return nil, errors.New("passkey: no store")
	}
	if config.RPID == "" || config.RPName == "" {
		return nil, errors.New("passkey: the relying party needs an ID and a name")
	}
	for _, origin := range config.Origins {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
	}
	attestation := protocol.PreferNoAttestation
	switch config.Attestation {
	case "", AttestationNone:
		config.Metadata = nil // nobody was asked for proof
	case AttestationDirect:
		attestation = protocol.PreferDirectAttestation
	default:
		return nil, fmt.Errorf("passkey: attestation %q is neither none nor direct", config.Attestation)
	}
	verification := protocol.VerificationRequired
	if config.AllowUnverified {
		verification = protocol.VerificationPreferred
	}
	if len(config.DecoyKey) == 0 {
		config.DecoyKey = make([]byte, 32)
		_, _ = rand.Read(config.DecoyKey) // never fails
	}
	// webauthn.New fills in defaults by writing to its Config, so it runs here and not at the first request.
	timeout := webauthn.TimeoutConfig{Enforce: true, Timeout: CeremonyTTL, TimeoutUVD: CeremonyTTL}
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
		// WebKit returns appid:false unasked, and the W3C dropped the rule against it (w3c/webauthn#1287). An output that
		// was not asked for is not used.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
		// MDS stays unset: the library would refuse every model it does not know, and skip the check for fmt none. See
		// Ceremonies.CheckAttestation.
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Ceremonies{
		webauthn:        w,
		ceremonies:      ephemeral.NewBucket[Ceremony](config.Store, "ceremony", CeremonyTTL),
		metadata:        config.Metadata,
		verification:    verification,
		allowUnverified: config.AllowUnverified,
		decoyKey:        config.DecoyKey,
		log:             cmp.Or(config.Logger, slog.Default()),
	}, nil
}

// checkOrigin refuses what the library would quietly compare without its path or port.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) ||
		!(u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80") {
		return fmt.Errorf("passkey: %q is no origin as browsers write it: scheme, host, unusual port, nothing else", origin)
	}
	return nil
}

// party is a user as the library wants to see one.
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

// credential is a passkey as the library wants to see one: enough to verify an assertion. The flags go in as the octet,
// because the library's JSON form of them loses it.
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
		for _, transport := range knownTransports(k.Transports) { // a row may be older than the rule
			list[i].Transport = append(list[i].Transport, protocol.AuthenticatorTransport(transport))
		}
	}
	return list
}
