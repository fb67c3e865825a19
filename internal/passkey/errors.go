package passkey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
)

// Why a ceremony did not succeed. Their texts and what they wrap are for the log: the person reads a sentence of the page.
var (
	// ErrUnknownCredential says that nobody has this credential (any more). It comes as *UnknownCredentialError.
	ErrUnknownCredential = errors.New("unknown credential")
	// ErrRefused says that the response is not a valid answer to this ceremony, whatever the reason.
	ErrRefused = errors.New("passkey refused")
	// ErrNotVerified says that the authenticator did not verify its user.
	ErrNotVerified = errors.New("user not verified")
	// ErrCounter says that the signature counter did not go forwards. It comes as *CounterError.
	ErrCounter = errors.New("signature counter went backwards")
	// ErrWrongUser says that the passkey is somebody else's than the one who was asked.
	ErrWrongUser = errors.New("passkey of another user")
	// ErrDisabled says that the response is right and its user disabled.
	ErrDisabled = errors.New("user disabled")
)

// UnknownCredentialError is ErrUnknownCredential with what PublicKeyCredential.signalUnknownCredential needs, so that the
// person is not offered the dead passkey again.
type UnknownCredentialError struct {
	RPID         string
	CredentialID []byte
}

func (e *UnknownCredentialError) Error() string { return ErrUnknownCredential.Error() }

// Unwrap makes errors.Is find ErrUnknownCredential.
func (e *UnknownCredentialError) Unwrap() error { return ErrUnknownCredential }

// EncodedID is the credential ID in base64url, as the browser takes it.
func (e *UnknownCredentialError) EncodedID() string {
	return base64.RawURLEncoding.EncodeToString(e.CredentialID)
}

// CounterError is ErrCounter with whose passkey it was: the key may have been copied (WebAuthn L3 §6.1.1).
type CounterError struct {
	UserID, PasskeyID string
	Stored, Received  uint32
}

func (e *CounterError) Error() string {
	return fmt.Sprintf("%v: %d after %d", ErrCounter, e.Received, e.Stored)
}

// Unwrap makes errors.Is find ErrCounter.
func (e *CounterError) Unwrap() error { return ErrCounter }

// refused turns a library error into ErrRefused with a reason for the log. Only text is kept, so that nobody can dig out
// the rest: the library's DevInfo holds the expected challenge.
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

// refusedFor bounds and quotes the reason: parts of it were written by whoever sent the response.
func refusedFor(reason string) error { return fmt.Errorf("%w: %.300q", ErrRefused, reason) }
