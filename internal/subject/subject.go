// Package subject makes the names that pairwise clients know users and sessions by (OIDC Core §8.1).
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

// Names gives each sector names of its own for what has one ID here (OIDC Core §8.1), and knows what they stand for. A name
// is the ID under AES-SIV (RFC 5297), which is deterministic: equal IDs of one sector give equal names. Purpose and sector
// are associated data. Without the key nobody can tell whether two names of two sectors are one ID, nor make a name. The
// store keeps none.
type Names struct{ siv *daead.AESSIV }

// What is given a name. The purposes keep them apart.
const (
	nameOfUser    = "sub"
	nameOfSession = "sid"
)

// NewNames returns the names derived from key: 32 random bytes that all replicas share. Another key gives every user another
// name at every pairwise client.
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

// id returns what a name of the sector stands for; false if this sector was not given the name.
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

// Sub returns the sub under which the client knows a user: in ID tokens, access tokens, userinfo, introspection and logout
// tokens alike. An API that gets tokens of clients of several sectors cannot tell that they are one person's, and neither
// can a client that reads its own access token (docs/decisions/0023).
func (n *Names) Sub(c idp.Client, userID string) string { return n.hide(c, nameOfUser, userID) }

// User returns the user whom the client knows under this sub; false if there cannot be one.
func (n *Names) User(c idp.Client, sub string) (userID string, ok bool) {
	return n.reveal(c, nameOfUser, sub)
}

// SID returns the session ID that the client sees. One that its tokens had in common with those of another sector would tell
// what Sub hides.
func (n *Names) SID(c idp.Client, sessionID string) string {
	return n.hide(c, nameOfSession, sessionID)
}

// Session returns the session behind a sid of the client; false if there cannot be one.
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
