package passkey

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepward/stepward/internal/idp"
)

// NewRegistration begins and stores the registration of another passkey for the user, besides the existing ones. It
// returns {"publicKey":{…}} for credentials.create().
func (c *Ceremonies) NewRegistration(ctx context.Context, u idp.User, existing []idp.Passkey, binding string) (
	Ceremony, json.RawMessage, error,
) {
	creation, session, err := c.webauthn.BeginRegistration(party{User: u},
		// Algorithms -8, -7 and -257: old TPMs know only RS256.
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		webauthn.WithExclusions(descriptors(existing)),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()), // needed by Firefox on Android to save to Google
	)
	if err != nil {
		return Ceremony{}, nil, fmt.Errorf("begin registration: %w", err)
	}
	cer, err := c.newCeremony(idp.PurposeRegister, binding, session)
	if err != nil {
		return Ceremony{}, nil, err
	}
	cer.UserID = u.ID
	options, err := json.Marshal(creation)
	if err != nil {
		return Ceremony{}, nil, fmt.Errorf("encode options: %w", err)
	}
	if err := c.ceremonies.Put(ctx, cer.ID, cer); err != nil {
		return Ceremony{}, nil, fmt.Errorf("store ceremony: %w", err)
	}
	return cer, options, nil
}

// FinishRegistration takes the ceremony, verifies the user's response (the JSON of PublicKeyCredential.toJSON) in the
// browser of this binding (WebAuthn L3 §7.1), and returns the complete passkey, named by Name. The caller sets
// CreatedAgent. The store ensures that the credential ID is new (step 26).
//
// Errors: idp.ErrNotFound if the ceremony is gone, idp.ErrUnavailable, ErrRefused, ErrNotVerified, ErrWrongUser,
// ErrDisabled, and ErrSynced and ErrModel by Config.Rules. A registration does not prove how the user will sign in:
// follow it with an assertion.
func (c *Ceremonies) FinishRegistration(
	ctx context.Context, id, binding string, u idp.User, response []byte, now time.Time,
) (idp.Passkey, error) {
	cer, err := c.ceremonies.Take(ctx, id)
	if err != nil {
		return idp.Passkey{}, fmt.Errorf("take ceremony: %w", err)
	}
	if err := cer.open(binding, now, idp.PurposeRegister); err != nil {
		return idp.Passkey{}, err
	}
	if cer.UserID != u.ID {
		return idp.Passkey{}, ErrWrongUser
	}
	if u.Disabled() {
		return idp.Passkey{}, ErrDisabled
	}
	if len(response) > MaxResponse {
		return idp.Passkey{}, refusedFor("response too large")
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return idp.Passkey{}, refused(err, cer.Session.Challenge)
	}
	if err := cer.endsAt(parsed.Response.CollectedClientData.Origin); err != nil {
		return idp.Passkey{}, err
	}
	flags := parsed.Response.AttestationObject.AuthData.Flags
	if !flags.HasUserVerified() && !c.allowUnverified {
		return idp.Passkey{}, ErrNotVerified
	}
	if err := checkCosts(parsed); err != nil {
		return idp.Passkey{}, refusedFor(err.Error())
	}
	cred, err := c.create(party{User: u}, cer.Session, parsed)
	if err != nil {
		return idp.Passkey{}, refused(err, cer.Session.Challenge)
	}
	k := idp.Passkey{
		ID:                idp.NewID(),
		UserID:            u.ID,
		CredentialID:      cred.ID,
		PublicKey:         cred.PublicKey,
		Flags:             byte(cred.Flags.ProtocolValue()),
		SignCount:         cred.Authenticator.SignCount,
		UVInitialized:     flags.HasUserVerified(),
		AAGUID:            cred.Authenticator.AAGUID,
		AttestationType:   cred.AttestationType,
		AttestationFormat: cred.AttestationFormat,
		Attachment:        string(cred.Authenticator.Attachment),
		Name:              Name(cred.Authenticator.AAGUID, string(cred.Authenticator.Attachment), ""),
		CreatedAt:         now,
	}
	k.Transports = knownTransports(cred.Transport)
	if k.Attestation, err = json.Marshal(cred.Attestation); err != nil {
		return idp.Passkey{}, fmt.Errorf("encode attestation: %w", err)
	}
	if k.Extensions, err = json.Marshal(cred.Extensions); err != nil {
		return idp.Passkey{}, fmt.Errorf("encode extensions: %w", err)
	}
	return c.admit(k, now)
}
