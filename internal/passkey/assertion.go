package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// NewSignIn begins a sign-in with whichever passkey the person picks. The caller runs the op that stores the ceremony, in
// one batch with what refers to it, and shows SignInOptions of its Challenge.
func (c *Ceremonies) NewSignIn(interaction, binding string) (Ceremony, *ephemeral.Op, error) {
	_, session, err := c.webauthn.BeginDiscoverableLogin()
	if err != nil {
		return Ceremony{}, nil, fmt.Errorf("begin sign-in: %w", err)
	}
	cer, err := newCeremony(idp.PurposeSignIn, binding, session)
	if err != nil {
		return Ceremony{}, nil, err
	}
	cer.Interaction = interaction
	op, err := c.ceremonies.PutOp(cer.ID, cer, 0)
	return cer, op, err
}

// SignInOptions returns {"publicKey":{…}} for credentials.get() with this challenge of a NewSignIn, conditional or modal.
func (c *Ceremonies) SignInOptions(challenge []byte) json.RawMessage {
	options, err := json.Marshal(protocol.CredentialAssertion{Response: protocol.PublicKeyCredentialRequestOptions{
		Challenge:        challenge,
		Timeout:          int(CeremonyTTL.Milliseconds()),
		RelyingPartyID:   c.webauthn.Config.RPID,
		UserVerification: c.verification,
	}})
	if err != nil {
		panic(err) // byte slices and constants always encode
	}
	return options
}

// NewAssertion begins an assertion by one of these passkeys: a step-up of a user for action classes, or a sign-in for a
// typed name (no userID). It returns {"publicKey":{…}} and the op that stores the ceremony.
func (c *Ceremonies) NewAssertion(p idp.Purpose, interaction, binding, userID string, keys []idp.Passkey, classes []string) (
	Ceremony, json.RawMessage, *ephemeral.Op, error,
) {
	if len(keys) == 0 {
		// An empty list would mean "any passkey" to the browser.
		return Ceremony{}, nil, nil, errors.New("begin assertion: no passkey may answer")
	}
	if (p == idp.PurposeStepUp) != (userID != "") {
		return Ceremony{}, nil, nil, fmt.Errorf("begin assertion: a %s for user %q", p, userID)
	}
	// To the library every assertion of ours is begun without a user: who answered is known once the credential is.
	assertion, session, err := c.webauthn.BeginDiscoverableLogin(webauthn.WithAllowedCredentials(descriptors(keys)))
	if err != nil {
		return Ceremony{}, nil, nil, fmt.Errorf("begin assertion: %w", err)
	}
	cer, err := newCeremony(p, binding, session)
	if err != nil {
		return Ceremony{}, nil, nil, err
	}
	cer.Interaction, cer.UserID, cer.ActionClasses = interaction, userID, classes
	options, err := json.Marshal(assertion)
	if err != nil {
		return Ceremony{}, nil, nil, fmt.Errorf("encode options: %w", err)
	}
	op, err := c.ceremonies.PutOp(cer.ID, cer, 0)
	return cer, options, op, err
}

// An Assertion is a finished, verified assertion.
type Assertion struct {
	User idp.User
	// Passkey is as it has to be stored: flags and counter of this response. Last use is the caller's to fill in.
	Passkey idp.Passkey
	// BecameSynced says that the passkey was device-bound until now. It is worth an audit record.
	BecameSynced bool
	// CounterStalled says that the counter of a synced passkey did not grow. It is worth an event and a notice.
	CounterStalled bool
	Authentication idp.Authentication
}

// FinishAssertion verifies a response (the JSON of PublicKeyCredential.toJSON) to a ceremony that was just taken, in the
// browser of this binding (WebAuthn L3 §7.2). find looks a passkey and its user up by credential ID; it is called at most
// once, before the signature is known to be right, and must not change anything. Its idp.ErrNotFound becomes
// ErrUnknownCredential, other errors of it come back wrapped.
//
// All other errors are those of this package. Nothing is stored: that, and what to record, is the caller's.
func (c *Ceremonies) FinishAssertion(ctx context.Context, cer Ceremony, binding string, response []byte, now time.Time,
	find func(ctx context.Context, credentialID []byte) (idp.Passkey, idp.User, error),
) (Assertion, error) {
	if err := cer.open(binding, now, idp.PurposeSignIn, idp.PurposeStepUp); err != nil {
		return Assertion{}, err
	}
	if len(response) > MaxResponse {
		return Assertion{}, refusedFor("response too large")
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Assertion{}, refused(err, cer.Session.Challenge)
	}
	// §7.2 step 6: a user who was not known before is identified by the user handle. With a list of allowed credentials
	// authenticators may leave it out.
	if len(cer.Allowed) == 0 && len(parsed.Response.UserHandle) == 0 {
		return Assertion{}, refusedFor("no user handle")
	}
	k, u, err := find(ctx, parsed.RawID)
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return Assertion{}, &UnknownCredentialError{RPID: c.webauthn.Config.RPID, CredentialID: parsed.RawID}
	case err != nil:
		return Assertion{}, fmt.Errorf("find passkey: %w", err)
	case k.UserID != u.ID || len(u.Handle) == 0:
		return Assertion{}, fmt.Errorf("find passkey: passkey %s does not belong to user %s", k.ID, u.ID)
	case cer.UserID != "" && cer.UserID != u.ID:
		return Assertion{}, ErrWrongUser
	case len(cer.Allowed) > 0 && !cer.allows(k.CredentialID):
		return Assertion{}, refusedFor("passkey was not among those asked for")
	}
	if err := checkPublicKey(k.PublicKey); err != nil { // a row may be older than the rule
		return Assertion{}, refusedFor(err.Error())
	}
	flags := parsed.Response.AuthenticatorData.Flags
	// UV is evidence only from a credential that was registered with it: whoever finds a security key without a PIN can
	// set one (§4, uvInitialized).
	verified := flags.HasUserVerified() && k.UVInitialized
	if !verified && !c.allowUnverified {
		return Assertion{}, ErrNotVerified
	}
	// Providers have turned device-bound passkeys into synced ones, and rows of other origin lack the flag. The library
	// refuses any change; one from 0 to 1 is let through, once its signature is right, since it only ever loses assurance.
	cred := credential(k)
	becameSynced := flags.HasBackupEligible() && !k.Synced()
	if becameSynced {
		cred.Flags.BackupEligible = true
	}
	// The library wants to see all allowed credentials in the hands of one user, and who that is in the session. Both
	// were settled above, and a passkey removed meanwhile must not spoil the ceremony of the others.
	session := cer.Session
	session.UserID = u.Handle
	if len(cer.Allowed) > 0 {
		session.AllowedCredentialIDs = [][]byte{k.CredentialID}
	}
	updated, err := c.webauthn.ValidateLogin(party{u, []webauthn.Credential{cred}}, session, parsed)
	if err != nil {
		return Assertion{}, refused(err, session.Challenge)
	}
	count := parsed.Response.AuthenticatorData.Counter
	// Managers of synced passkeys reset counters, and their users would be locked out for ever. A device has no reason to.
	stalled := updated.Authenticator.CloneWarning
	if stalled && !flags.HasBackupEligible() {
		return Assertion{}, &CounterError{UserID: u.ID, PasskeyID: k.ID, Stored: k.SignCount, Received: count}
	}
	if u.Disabled() { // told only to who holds the key
		return Assertion{}, ErrDisabled
	}
	k.Flags, k.SignCount = byte(flags), max(count, k.SignCount)
	c.forgetBadModel(&k, now)
	return Assertion{User: u, Passkey: k, BecameSynced: becameSynced, CounterStalled: stalled, Authentication: idp.Authentication{
		ID:             idp.NewID(),
		UserID:         u.ID,
		PasskeyID:      k.ID,
		At:             now,
		Purpose:        cer.Purpose,
		Interaction:    cer.Interaction,
		ActionClasses:  cer.ActionClasses,
		UserVerified:   verified,
		BackupEligible: k.Synced(),
		BackedUp:       flags.HasBackupState(),
		HardwareBound:  k.HardwareBound(),
	}}, nil
}
