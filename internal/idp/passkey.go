package idp

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/directory"
)

// Authenticator data flags (WebAuthn L3 §6.1).
const (
	FlagUserPresent    byte = 1 << 0
	FlagUserVerified   byte = 1 << 2
	FlagBackupEligible byte = 1 << 3
	FlagBackedUp       byte = 1 << 4
)

// KeyProtection says how the private key of a passkey is protected, as far as is known.
type KeyProtection string

const (
	// KeyProtectionUnknown applies to every passkey without verified attestation.
	KeyProtectionUnknown KeyProtection = ""
	// KeyProtectionHardware means that the attestation was verified against metadata that states hardware, a secure
	// element or a trusted execution environment, and whose status was good at the last check.
	KeyProtectionHardware KeyProtection = "hardware"
)

// A Passkey is one registered WebAuthn credential.
type Passkey struct {
	ID           string
	UserID       string
	CredentialID []byte // unique over all users (WebAuthn L3 §7.1 step 26)
	PublicKey    []byte // COSE key
	Flags        byte   // as last seen; see the Flag constants
	SignCount    uint32
	// UVInitialized is set once the credential has performed user verification.
	UVInitialized bool
	// CounterRegressedAt is when the signature counter last went backwards; zero: never.
	CounterRegressedAt time.Time

	AAGUID            []byte // 16 bytes; a claim unless the attestation was verified
	AttestationType   string
	AttestationFormat string
	Attestation       json.RawMessage // what a later metadata check needs; opaque outside package passkey
	// AttestationVerifiedAt is when attestation was last verified against metadata; zero: never.
	AttestationVerifiedAt time.Time
	KeyProtection         KeyProtection

	Transports []string
	Attachment string
	Extensions json.RawMessage // client extension results kept for display (credProps.rk)

	Name         string // given by the user, or suggested from the provider's name
	CreatedAt    time.Time
	CreatedAgent string // "Firefox on macOS"
	LastUsedAt   time.Time
	LastAgent    string

	// SuspendedAt is when a recovery of the account suspended this passkey; zero: it is not.
	SuspendedAt time.Time
	// StrongFrom is from when on a passkey that was made in or soon after a recovery can reach phrh; zero: always.
	StrongFrom time.Time
}

// Synced reports whether the credential may be copied to other devices by its provider.
func (p Passkey) Synced() bool { return p.Flags&FlagBackupEligible != 0 }

// Kind returns what the operator's rules ask about the passkey.
func (p Passkey) Kind() directory.PasskeyKind {
	model, _ := uuid.FromBytes(p.AAGUID) // none: zero, which no rule allows
	return directory.PasskeyKind{Synced: p.Synced(), Proven: !p.AttestationVerifiedAt.IsZero(), Model: model}
}

// HardwareBound reports whether this passkey can reach phrh: device-bound, with attestation verified against metadata.
// Attachment, transports and an unattested AAGUID are mere claims and are ignored. After a recovery it takes a day.
func (p Passkey) HardwareBound() bool {
	return !p.Synced() && p.KeyProtection == KeyProtectionHardware && !p.AttestationVerifiedAt.IsZero() &&
		!time.Now().Before(p.StrongFrom)
}

// ACRs returns the standard acr values that an assertion by this passkey can satisfy, strongest first.
func (p Passkey) ACRs() []string {
	if p.HardwareBound() {
		return []string{ACRPhishingResistantHardware, ACRPhishingResistant}
	}
	return []string{ACRPhishingResistant}
}
