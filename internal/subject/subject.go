// Package subject makes the pairwise identifiers of users and sessions (OIDC Core §8.1).
package subject

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	daead "github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/stepward/stepward/internal/idp"
)

// Names encrypts an ID into a name that is specific to a sector (OIDC Core §8.1), and decrypts it again. Equal IDs give
// equal names within a sector: the cipher is AES-SIV (RFC 5297), with purpose and sector as associated data. Without
// the key nobody can make a name, or tell whether names of two sectors belong to one ID. The store keeps no names.
type Names struct{ siv *daead.AESSIV }

// The purpose of a name. A name for one purpose is not valid for another.
const (
	nameOfUser    = "sub"
	nameOfSession = "sid"
)

// NewNames returns the Names of key: 32 random bytes that all replicas share. A different key changes every user's sub
// at every pairwise client.
func NewNames(key []byte) (*Names, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "stepward/names", daead.AESSIVKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	siv, err := daead.NewAESSIV(derived)
	if err != nil {
		return nil, fmt.Errorf("cipher of names: %w", err)
	}
	return &Names{siv}, nil
}

// name returns the name of an ID in a sector.
func (n *Names) name(purpose, sector, id string) string {
	raw, err := n.siv.EncryptDeterministically([]byte(id), within(purpose, sector))
	if err != nil {
		panic(fmt.Sprintf("subject: %v", err)) // only for gigabytes
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// id returns the ID behind a name of the sector; false if name is not a valid name.
func (n *Names) id(purpose, sector, name string) (string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(name)
	if err != nil || strings.ContainsAny(name, "\r\n") { // the decoder skips line breaks
		return "", false
	}
	id, err := n.siv.DecryptDeterministically(raw, within(purpose, sector))
	return string(id), err == nil && len(id) > 0
}

// within is the associated data. Neither part has a NUL in it.
func within(purpose, sector string) []byte { return []byte(purpose + "\x00" + sector) }

// Sub returns the client's sub for a user. ID tokens, access tokens, userinfo, introspection and logout tokens all use
// it. Neither an API that receives tokens of several sectors nor a client that reads its own access token can tell that
// the tokens belong to one person (docs/decisions/0023).
func (n *Names) Sub(c idp.Client, userID string) string { return n.hide(c, nameOfUser, userID) }

// User returns the user behind a sub of the client; false if the sub is invalid.
func (n *Names) User(c idp.Client, sub string) (userID string, ok bool) {
	return n.reveal(c, nameOfUser, sub)
}

// SID returns the session ID that the client sees. It is specific to the sector as well, because a shared sid would
// reveal what Sub hides.
func (n *Names) SID(c idp.Client, sessionID string) string {
	return n.hide(c, nameOfSession, sessionID)
}

// Session returns the session behind a sid of the client; false if the sid is invalid.
func (n *Names) Session(c idp.Client, sid string) (sessionID string, ok bool) {
	return n.reveal(c, nameOfSession, sid)
}

func (n *Names) hide(c idp.Client, purpose, id string) string {
	if !c.Pairwise() || id == "" {
		return id
	}
	return n.name(purpose, c.Sector(), id)
}

func (n *Names) reveal(c idp.Client, purpose, name string) (string, bool) {
	if !c.Pairwise() || name == "" {
		return name, name != ""
	}
	return n.id(purpose, c.Sector(), name)
}
