package passkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/x/revoke"
	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
)

// Metadata answers what the FIDO Metadata Service states of an authenticator model; nil if it states nothing. It is
// called by any number of goroutines.
type Metadata func(aaguid uuid.UUID) *metadata.Entry

// offline makes the library look up revocations of the BLOB's certificates nowhere: it would do so before it verified
// the chain, over a client without a timeout. The BLOB is as fresh as whoever put the file there.
var offline = sync.OnceFunc(func() { revoke.HTTPClient = &http.Client{Transport: refuseNetwork{}} })

type refuseNetwork struct{}

func (refuseNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("metadata is read offline")
}

// LoadMetadata reads a BLOB of the FIDO Metadata Service (https://mds3.fidoalliance.org) from a file, and verifies that
// it was signed for it and that its certificates have not expired. Entries that cannot be read are left out.
func LoadMetadata(file string) (Metadata, error) {
	blob, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load metadata: %w", err)
	}
	return parseMetadata(blob)
}

func parseMetadata(blob []byte, options ...metadata.DecoderOption) (Metadata, error) {
	offline()
	decoder, err := metadata.NewDecoder(append(options, metadata.WithIgnoreEntryParsingErrors())...)
	if err != nil {
		return nil, fmt.Errorf("load metadata: %w", err)
	}
	payload, err := decoder.DecodeBytes(blob)
	if err != nil {
		return nil, fmt.Errorf("load metadata: %w", err)
	}
	parsed, err := decoder.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("load metadata: %w", err)
	}
	entries := parsed.ToMap()
	return func(aaguid uuid.UUID) *metadata.Entry { return entries[aaguid] }, nil
}

// provenTypes are the attestations that somebody else than the credential itself signed, with a chain that the library
// verifies against metadata (WebAuthn L3 §6.5.4).
var provenTypes = []string{string(metadata.BasicFull), string(metadata.AttCA), string(metadata.AnonCA)}

// CheckAttestation verifies the attestation that the passkey was registered with against today's metadata, and returns
// the passkey with AttestationVerifiedAt and KeyProtection as that came out. Without metadata nothing is verified. Run it
// again over stored passkeys when there is new metadata.
func (c *Ceremonies) CheckAttestation(k idp.Passkey, now time.Time) idp.Passkey {
	k.AttestationVerifiedAt, k.KeyProtection = time.Time{}, idp.KeyProtectionUnknown
	entry := c.model(k)
	if entry == nil {
		return k
	}
	if err := verifyAttestation(k, entry); err != nil {
		// Not a reason to refuse the passkey, which is as good as one without attestation; but somebody may wonder.
		c.log.Info("attestation not verified", "passkey", k.ID, "model", entry.MetadataStatement.Description, "error", err)
		return k
	}
	k.AttestationVerifiedAt = now
	if protectsKeys(entry) {
		k.KeyProtection = idp.KeyProtectionHardware
	}
	return k
}

// model is what metadata states of the passkey's claimed model. Many different authenticators share the zero AAGUID.
func (c *Ceremonies) model(k idp.Passkey) *metadata.Entry {
	aaguid, err := uuid.FromBytes(k.AAGUID)
	if c.metadata == nil || err != nil || aaguid == uuid.Nil {
		return nil
	}
	return c.metadata(aaguid)
}

func verifyAttestation(k idp.Passkey, entry *metadata.Entry) error {
	cred := credential(k)
	cred.AttestationType = "" // Verify fills in what the statement itself turns out to be
	if err := json.Unmarshal(k.Attestation, &cred.Attestation); err != nil {
		return fmt.Errorf("decode attestation: %w", err)
	}
	provider, err := memory.New(
		memory.WithMetadata(map[uuid.UUID]*metadata.Entry{entry.AaGUID: entry}),
		// Beyond the defaults (entry, trust anchor, status, attestation type):
		memory.WithValidateAAGUID(true),
		memory.WithValidateAttestationFormats(true),
		memory.WithValidateAlgorithms(true),
		memory.WithValidateBackupEligibility(true),
		memory.WithValidateUserVerification(true),
		memory.WithValidateStatusCertificateScope(true),
	)
	if err != nil {
		return err
	}
	err = cred.Verify(provider, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return fmt.Errorf("%s: %s: %s", e.Type, e.Details, e.DevInfo)
	}
	// The library lets format none and self attestation pass any metadata that knows the AAGUID.
	if err == nil && !slices.Contains(provenTypes, cred.AttestationType) {
		return fmt.Errorf("attestation of type %s proves no model", cred.AttestationType)
	}
	return err
}

// protectsKeys reports whether the model keeps keys where software cannot read them (FIDO Registry §3.2).
func protectsKeys(entry *metadata.Entry) bool {
	stated := entry.MetadataStatement.KeyProtection
	return !slices.Contains(stated, "software") && slices.ContainsFunc(stated, func(protection string) bool {
		return protection == "hardware" || protection == "secure_element" || protection == "tee"
	})
}

// forgetBadModel takes the hardware mark from a passkey whose model is no longer in good standing, so that a model
// that was revoked loses phrh with the next assertion and not with the next re-check of every row.
func (c *Ceremonies) forgetBadModel(k *idp.Passkey, now time.Time) {
	if c.metadata == nil || !k.HardwareBound() {
		return
	}
	entry := c.model(*k)
	bad := metadata.DefaultUndesiredAuthenticatorStatuses()
	if entry == nil || !protectsKeys(entry) || metadata.ValidateStatusReportsAt(entry.StatusReports, nil, bad, now) != nil {
		k.KeyProtection = idp.KeyProtectionUnknown
	}
}
