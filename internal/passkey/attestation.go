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

// Metadata returns the FIDO Metadata Service entry of an authenticator model, or nil. It must be safe for concurrent
// use.
type Metadata func(aaguid uuid.UUID) *metadata.Entry

// offline stops the library from looking up whether the BLOB's certificates are revoked. It would do so before it
// verified the chain, with a client that has no timeout. The operator who provides the file decides how fresh it is.
var offline = sync.OnceFunc(func() { revoke.HTTPClient = &http.Client{Transport: refuseNetwork{}} })

type refuseNetwork struct{}

func (refuseNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("metadata is read offline")
}

// LoadMetadata reads a BLOB of the FIDO Metadata Service (https://mds3.fidoalliance.org) from a file. It verifies the
// signature and that the certificates have not expired. Unreadable entries are skipped.
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

// provenTypes are the attestation types signed by someone other than the credential itself, with a chain that the
// library verifies against metadata (WebAuthn L3 §6.5.4).
var provenTypes = []string{string(metadata.BasicFull), string(metadata.AttCA), string(metadata.AnonCA)}

// CheckAttestation verifies the attestation of the passkey's registration against current metadata. It returns the
// passkey with AttestationVerifiedAt and KeyProtection set to the result. Without metadata nothing is verified. Run it
// again for stored passkeys when there is new metadata.
func (c *Ceremonies) CheckAttestation(k idp.Passkey, now time.Time) idp.Passkey {
	k.AttestationVerifiedAt, k.KeyProtection = time.Time{}, idp.KeyProtectionUnknown
	entry := c.model(k)
	if entry == nil {
		return k
	}
	if err := verifyAttestation(k, entry); err != nil {
		// Keep the passkey: it is as good as one without attestation. Log the reason for the curious operator.
		c.log.Info("attestation not verified", "passkey", k.ID, "model", entry.MetadataStatement.Description, "error", err)
		return k
	}
	k.AttestationVerifiedAt = now
	if protectsKeys(entry) {
		k.KeyProtection = idp.KeyProtectionHardware
	}
	return k
}

// model returns the metadata entry of the passkey's claimed model. It ignores the zero AAGUID, which many different
// authenticators share.
func (c *Ceremonies) model(k idp.Passkey) *metadata.Entry {
	aaguid, err := uuid.FromBytes(k.AAGUID)
	if c.metadata == nil || err != nil || aaguid == uuid.Nil {
		return nil
	}
	return c.metadata(aaguid)
}

func verifyAttestation(k idp.Passkey, entry *metadata.Entry) error {
	cred := credential(k)
	cred.AttestationType = "" // Verify sets the type that the statement proves
	if err := json.Unmarshal(k.Attestation, &cred.Attestation); err != nil {
		return fmt.Errorf("decode attestation: %w", err)
	}
	provider, err := memory.New(
		memory.WithMetadata(map[uuid.UUID]*metadata.Entry{entry.AaGUID: entry}),
		// Checks beyond the defaults (entry, trust anchor, status, attestation type):
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
	// For a known AAGUID, the library accepts format none and self attestation.
	if err == nil && !slices.Contains(provenTypes, cred.AttestationType) {
		return fmt.Errorf("attestation of type %s does not prove the model", cred.AttestationType)
	}
	return err
}

// protectsKeys reports whether software cannot read the keys of this model (FIDO Registry §3.2).
func protectsKeys(entry *metadata.Entry) bool {
	stated := entry.MetadataStatement.KeyProtection
	return !slices.Contains(stated, "software") && slices.ContainsFunc(stated, func(protection string) bool {
		return protection == "hardware" || protection == "secure_element" || protection == "tee"
	})
}

// forgetBadModel removes the hardware mark from a passkey whose model has lost its good status. The model then loses
// phrh with the next assertion, not only when all rows are checked again.
func (c *Ceremonies) forgetBadModel(k *idp.Passkey, now time.Time) {
	if c.metadata == nil || !k.HardwareBound() {
		return
	}
	entry := c.model(*k)
	if entry == nil || !protectsKeys(entry) || badStatus(entry, now) {
		k.KeyProtection = idp.KeyProtectionUnknown
	}
}

func badStatus(entry *metadata.Entry, now time.Time) bool {
	bad := metadata.DefaultUndesiredAuthenticatorStatuses()
	return metadata.ValidateStatusReportsAt(entry.StatusReports, nil, bad, now) != nil
}

// BadModel reports whether metadata says that the passkey's model was revoked, or its keys can be attacked. The model
// is a claim unless the attestation was verified, so this is for advice, and decides nothing.
func (c *Ceremonies) BadModel(k idp.Passkey, now time.Time) bool {
	entry := c.model(k)
	return entry != nil && badStatus(entry, now)
}
