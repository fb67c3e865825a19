// Package subject makes the pairwise identifiers of users and sessions (OIDC Core §8.1).
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

// Names encrypts an ID into a name that is specific to a sector (OIDC Core §8.1), and decrypts it again. Equal IDs give
// equal names within a sector. The construction follows RFC 5297: a MAC over purpose, sector and ID is the
// initialization vector for encrypting the ID. Without the key nobody can make a name, or tell whether names of two
// sectors belong to one ID. The store keeps no names.
type Names struct {
	mac   []byte
	block cipher.Block
}

// The purpose of a name. A name for one purpose is not valid for another.
const (
	nameOfUser    = "sub"
	nameOfSession = "sid"
)

// NewNames returns the Names of key: 32 random bytes that all replicas share. A different key changes every user's sub
// at every pairwise client.
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

// name returns the name of an ID in the sector.
func (n *Names) name(purpose, sector, id string) string {
	iv := n.iv(purpose, sector, id)
	return base64.RawURLEncoding.EncodeToString(append(iv, n.crypt(iv, []byte(id))...))
}

// id returns the ID behind a name of the sector; false if name is not a valid name.
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
	for _, part := range []string{purpose, sector} { // neither contains a NUL
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
