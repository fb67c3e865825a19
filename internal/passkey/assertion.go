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

// NewSignIn begins a sign-in with any passkey. The caller runs the op that stores the ceremony, in one batch with
// whatever refers to it, and shows the SignInOptions of its Challenge.
func (c *Ceremonies) NewSignIn(interaction, binding string) (Ceremony, *ephemeral.Op, error) {
	_, session, err := c.webauthn.BeginDiscoverableLogin()
	if err != nil {
		return Ceremony{}, nil, fmt.Errorf("begin sign-in: %w", err)
	}
	cer, err := c.newCeremony(idp.PurposeSignIn, binding, session)
	if err != nil {
		return Ceremony{}, nil, err
	}
	cer.Interaction = interaction
	op, err := c.ceremonies.PutOp(cer.ID, cer, 0)
	return cer, op, err
}

// SignInOptions returns {"publicKey":{…}} for credentials.get(), conditional or modal, with the challenge of a
// NewSignIn.
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

// NewAssertion begins an assertion by one of keys: a step-up for action classes, or a sign-in after an address was
// typed (without userID). It returns {"publicKey":{…}} and the op that stores the ceremony.
func (c *Ceremonies) NewAssertion(
	p idp.Purpose, interaction, binding, userID string, keys []idp.Passkey, classes []string,
) (Ceremony, json.RawMessage, *ephemeral.Op, error) {
	if len(keys) == 0 {
		// To the browser, an empty list would mean "any passkey".
		return Ceremony{}, nil, nil, errors.New("begin assertion: no passkeys allowed")
	}
	if (p == idp.PurposeStepUp) != (userID != "") {
		return Ceremony{}, nil, nil, fmt.Errorf("begin assertion: a %s for user %q", p, userID)
	}
	// For the library, all our assertions begin without a user: the user is known once the credential is.
	assertion, session, err := c.webauthn.BeginDiscoverableLogin(webauthn.WithAllowedCredentials(descriptors(keys)))
	if err != nil {
		return Ceremony{}, nil, nil, fmt.Errorf("begin assertion: %w", err)
	}
	cer, err := c.newCeremony(p, binding, session)
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
	// Passkey has the flags and counter of this response and must be stored. The caller sets the last use.
	Passkey idp.Passkey
	// BecameSynced means that the passkey was device-bound until now. The caller should record it.
	BecameSynced bool
	// CounterStalled means that the counter of a synced passkey did not grow. The caller should record it and notify
	// the user.
	CounterStalled bool
	Authentication idp.Authentication
}

// FinishAssertion verifies a response (the JSON of PublicKeyCredential.toJSON) to a ceremony that was just taken in the
// browser of this binding (WebAuthn L3 §7.2). It calls find at most once, to look up a passkey and its user by
// credential ID; userHandle is what the response says, or nil. The signature is not verified at that point, so find
// must not change anything. If find returns idp.ErrNotFound, the result is ErrUnknownCredential; its other errors are
// returned wrapped.
//
// All other errors are those of this package. FinishAssertion stores nothing; the caller stores the passkey and the
// events.
func (c *Ceremonies) FinishAssertion(ctx context.Context, cer Ceremony, binding string, response []byte, now time.Time,
	find func(ctx context.Context, credentialID, userHandle []byte) (idp.Passkey, idp.User, error),
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
	if err := cer.endsAt(parsed.Response.CollectedClientData.Origin); err != nil {
		return Assertion{}, err
	}
	// §7.2 step 6: without allowed credentials, the user handle identifies the user. With them, authenticators may omit
	// it.
	if len(cer.Allowed) == 0 && len(parsed.Response.UserHandle) == 0 {
		return Assertion{}, refusedFor("no user handle")
	}
	k, u, err := find(ctx, parsed.RawID, parsed.Response.UserHandle)
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
		return Assertion{}, refusedFor("passkey is not in the allowed list")
	}
	if err := checkPublicKey(k.PublicKey); err != nil { // the row may be older than this check
		return Assertion{}, refusedFor(err.Error())
	}
	flags := parsed.Response.AuthenticatorData.Flags
	// UV counts only if the credential was registered with it: anyone who finds a security key without a PIN can set
	// one (§4, uvInitialized).
	verified := flags.HasUserVerified() && k.UVInitialized
	if !verified && !c.allowUnverified {
		return Assertion{}, ErrNotVerified
	}
	// Providers have turned device-bound passkeys into synced ones, and imported rows lack the flag. The library
	// rejects any change. We accept a change from 0 to 1 if the signature is valid, because it can only lower the
	// assurance.
	cred := credential(k)
	becameSynced := flags.HasBackupEligible() && !k.Synced()
	if becameSynced {
		cred.Flags.BackupEligible = true
	}
	// The library expects one user who owns all allowed credentials, and that user in the session. We checked both
	// above. Passing only this credential keeps the ceremony working if another passkey was removed in the meantime.
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
	// Managers of synced passkeys reset counters; rejecting those would lock their users out for ever. A device has no
	// reason to reset its counter.
	stalled := updated.Authenticator.CloneWarning
	if stalled && !flags.HasBackupEligible() {
		return Assertion{}, &CounterError{UserID: u.ID, PasskeyID: k.ID, Stored: k.SignCount, Received: count}
	}
	if u.Disabled() { // told only after proof of possession
		return Assertion{}, ErrDisabled
	}
	if k.Suspended() {
		return Assertion{}, ErrSuspended
	}
	k.Flags, k.SignCount = byte(flags), max(count, k.SignCount)
	c.forgetBadModel(&k, now)
	return Assertion{
		User: u, Passkey: k, BecameSynced: becameSynced, CounterStalled: stalled,
		Authentication: idp.Authentication{
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
		},
	}, nil
}
