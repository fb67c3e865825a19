package passkey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
)

// The reasons for which a ceremony fails. Error texts and wrapped errors are for the log; pages have their own words.
var (
	// ErrUnknownCredential: no user has this credential, or no longer. Returned as *UnknownCredentialError.
	ErrUnknownCredential = errors.New("unknown credential")
	// ErrRefused: the response is not valid for this ceremony.
	ErrRefused = errors.New("passkey refused")
	// ErrNotVerified: the authenticator did not verify its user.
	ErrNotVerified = errors.New("user not verified")
	// ErrCounter: the signature counter did not increase. Returned as *CounterError.
	ErrCounter = errors.New("signature counter went backwards")
	// ErrWrongUser: the passkey belongs to another user than the one asked.
	ErrWrongUser = errors.New("passkey of another user")
	// ErrDisabled: the response is valid, but the user is disabled.
	ErrDisabled = errors.New("user disabled")
	// ErrSynced: the new passkey is synced, and the rules allow only device-bound ones.
	ErrSynced = errors.New("synced passkey")
	// ErrModel: the rules do not allow the model of the new passkey.
	ErrModel = errors.New("model not allowed")
	// ErrSuspended: the response is valid, but a recovery suspended the passkey.
	ErrSuspended = errors.New("passkey suspended")
)

// UnknownCredentialError is ErrUnknownCredential with the arguments of PublicKeyCredential.signalUnknownCredential,
// which makes the browser stop offering the dead passkey.
type UnknownCredentialError struct {
	RPID         string
	CredentialID []byte
}

func (e *UnknownCredentialError) Error() string { return ErrUnknownCredential.Error() }

// Unwrap makes errors.Is find ErrUnknownCredential.
func (e *UnknownCredentialError) Unwrap() error { return ErrUnknownCredential }

// EncodedID returns the credential ID in base64url, as browsers expect it.
func (e *UnknownCredentialError) EncodedID() string {
	return base64.RawURLEncoding.EncodeToString(e.CredentialID)
}

// CounterError is ErrCounter with the passkey concerned: the key may have been copied (WebAuthn L3 §6.1.1).
type CounterError struct {
	UserID, PasskeyID string
	Stored, Received  uint32
}

func (e *CounterError) Error() string {
	return fmt.Sprintf("%v: %d after %d", ErrCounter, e.Received, e.Stored)
}

// Unwrap makes errors.Is find ErrCounter.
func (e *CounterError) Unwrap() error { return ErrCounter }

// refused turns a library error into ErrRefused with a reason for the log. It keeps only text without the challenge,
// because the library's DevInfo may contain the expected challenge.
func refused(err error, challenge string) error {
	reason := err.Error()
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		reason = e.Type + ": " + e.Details
		if e.DevInfo != "" && (challenge == "" || !strings.Contains(e.DevInfo, challenge)) {
			reason += ": " + e.DevInfo
		}
	}
	return refusedFor(reason)
}

// refusedFor limits and quotes the reason, because parts of it come from the sender of the response.
func refusedFor(reason string) error { return fmt.Errorf("%w: %.300q", ErrRefused, reason) }
