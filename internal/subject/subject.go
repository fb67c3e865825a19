// Package subject makes the names that pairwise clients know users and sessions by (OIDC Core §8.1).
package subject

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/stepward/stepward/internal/idp"
)

// Names gives each sector names of its own for what has one ID here (OIDC Core §8.1), and knows what they stand
// for: a name is the ID, encrypted so that equal IDs of one sector give equal names, as RFC 5297 does it: a MAC over
// purpose, sector and ID is the initial vector of a cipher over the ID. Without the key nobody can tell whether two names of
// two sectors are one ID, nor make a name, and the store keeps none.
type Names struct {
	mac   []byte
	block cipher.Block
}

// What is given a name. The purposes keep them apart.
const (
	nameOfUser    = "sub"
	nameOfSession = "sid"
)

// NewNames returns the names derived from key: 32 random bytes that all replicas share. Another key gives every user another
// name at every pairwise client.
func NewNames(key []byte) (*Names, error) {
	keys, err := hkdf.Key(sha256.New, key, nil, "stepward/names", 64)
	if err != nil {
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	block, err := aes.NewCipher(keys[32:])
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	return &Names{keys[:32], block}, nil
}

// name is the ID's name in the sector.
func (n *Names) name(purpose, sector, id string) string {
	iv := n.iv(purpose, sector, id)
	return base64.RawURLEncoding.EncodeToString(append(iv, n.crypt(iv, []byte(id))...))
}

// id is what a name of the sector stands for; false if it is none.
func (n *Names) id(purpose, sector, name string) (string, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil || len(raw) <= aes.BlockSize {
		return "", false
	}
	id := string(n.crypt(raw[:aes.BlockSize], raw[aes.BlockSize:]))
	return id, hmac.Equal([]byte(name), []byte(n.name(purpose, sector, id)))
}

func (n *Names) iv(purpose, sector, id string) []byte {
	mac := hmac.New(sha256.New, n.mac)
	for _, part := range []string{purpose, sector} { // neither has a NUL in it
		mac.Write([]byte(part + "\x00"))
	}
	mac.Write([]byte(id))
	return mac.Sum(nil)[:aes.BlockSize]
}

func (n *Names) crypt(iv, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCTR(n.block, iv).XORKeyStream(out, text)
	return out
}

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
