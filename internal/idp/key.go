package idp

import "time"

// KeyState is the stage of a signing key: published but not yet used, in use, or published only for old signatures.
type KeyState string

const (
	KeyNext    KeyState = "next"
	KeyActive  KeyState = "active"
	KeyRetired KeyState = "retired"
)

// A SigningKey is a private key as stored: encrypted under the operator's key.
type SigningKey struct {
	ID        string // kid: RFC 7638 thumbprint
	Algorithm string // ES256, EdDSA, PS256, RS256
	State     KeyState
	Sealed    []byte // PKCS #8, encrypted
	CreatedAt time.Time
	ActiveAt  time.Time
	RetiredAt time.Time
	ExpiresAt time.Time // when it leaves the JWKS; zero: not yet retired
}

// A Link is a one-time, single-purpose secret sent to a person: an enrolment invitation or an e-mail verification.
type Link struct {
	Hash      string // Secret.Hash of the token
	Kind      string // "enrol"
	UserID    string
	CreatedAt time.Time
	ExpiresAt time.Time
}
