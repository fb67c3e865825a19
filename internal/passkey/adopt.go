package passkey

import (
	"errors"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// minCredentialID and maxPublicKey bound what Adopt accepts, in bytes. Shorter IDs could collide (WebAuthn L3 §4,
// credential ID); an RSA key of 4096 bits takes about 530 bytes.
const (
	minCredentialID = 16
	maxPublicKey    = 1 << 10
)

// A Foreign is a passkey that another provider registered for our RP ID.
type Foreign struct {
	CredentialID, PublicKey []byte // the key in COSE form
	// BackupEligible and BackedUp are the flags as last seen; false if the provider did not keep them. The first
	// sign-in corrects that.
	BackupEligible, BackedUp bool
	SignCount                uint32 // 0 if the provider did not keep it
	// UserVerified means that the provider required user verification at the registration.
	UserVerified bool
	AAGUID       []byte // 16 bytes; empty if the provider did not keep it
	Transports   []string
	Name         string
	CreatedAt    time.Time
}

// Adopt returns the passkey that a user brings from another provider, as if it had been registered here without an
// attestation. The error says in a sentence for the operator why it cannot be used here.
func Adopt(f Foreign, userID string, rules Rules) (idp.Passkey, error) {
	switch {
	case len(f.CredentialID) < minCredentialID || len(f.CredentialID) > maxCredentialID:
		return idp.Passkey{}, errors.New("its credential ID is too short or too long")
	case len(f.PublicKey) > maxPublicKey || checkPublicKey(f.PublicKey) != nil:
		return idp.Passkey{}, errors.New("its public key is neither ES256, EdDSA nor RSA with 2048 to 4096 bits")
	}
	k := idp.Passkey{
		ID: idp.NewID(), UserID: userID, CredentialID: f.CredentialID, PublicKey: f.PublicKey, SignCount: f.SignCount,
		Flags: idp.FlagUserPresent, UVInitialized: f.UserVerified,
		AAGUID: f.AAGUID, AttestationType: "none", AttestationFormat: "none",
		Transports: knownTransports(f.Transports), CreatedAt: f.CreatedAt,
	}
	if len(k.AAGUID) != 16 {
		k.AAGUID = make([]byte, 16)
	}
	for flag, set := range map[byte]bool{
		idp.FlagUserVerified: f.UserVerified, idp.FlagBackupEligible: f.BackupEligible,
		idp.FlagBackedUp: f.BackupEligible && f.BackedUp, // WebAuthn L3 §6.1.3: the other pair is impossible
	} {
		if set {
			k.Flags |= flag
		}
	}
	if name, ok := directory.NormalizeName(f.Name); ok {
		k.Name = name
	} else {
		k.Name = Name(k.AAGUID, "", "")
	}
	if rules.check(k) != nil {
		return idp.Passkey{}, errors.New("the rules passkey-kind and passkey-models here do not allow it")
	}
	return k, nil
}
