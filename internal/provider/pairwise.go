package provider

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

// A pseudonymizer gives each sector names of its own for what has one ID here (OIDC Core §8.1), and knows what they stand
// for: a name is the ID, encrypted so that equal IDs of one sector give equal names, as RFC 5297 does it: a MAC over
// purpose, sector and ID is the initial vector of a cipher over the ID. Without the key nobody can tell whether two names of
// two sectors are one ID, nor make a name, and the store keeps none.
type pseudonymizer struct {
	mac   []byte
	block cipher.Block
}

// What is given a name. The purposes keep them apart.
const (
	nameOfUser    = "sub"
	nameOfSession = "sid"
)

func newPseudonymizer(key []byte) (*pseudonymizer, error) {
	keys, err := hkdf.Key(sha256.New, key, nil, "stepward/names", 64)
	if err != nil {
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	block, err := aes.NewCipher(keys[32:])
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	return &pseudonymizer{keys[:32], block}, nil
}

// name is the ID's name in the sector.
func (p *pseudonymizer) name(purpose, sector, id string) string {
	iv := p.iv(purpose, sector, id)
	return base64.RawURLEncoding.EncodeToString(append(iv, p.crypt(iv, []byte(id))...))
}

// id is what a name of the sector stands for; false if it is none.
func (p *pseudonymizer) id(purpose, sector, name string) (string, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil || len(raw) <= aes.BlockSize {
		return "", false
	}
	id := string(p.crypt(raw[:aes.BlockSize], raw[aes.BlockSize:]))
	return id, hmac.Equal([]byte(name), []byte(p.name(purpose, sector, id)))
}

func (p *pseudonymizer) iv(purpose, sector, id string) []byte {
	mac := hmac.New(sha256.New, p.mac)
	for _, part := range []string{purpose, sector} { // neither has a NUL in it
		mac.Write([]byte(part + "\x00"))
	}
	mac.Write([]byte(id))
	return mac.Sum(nil)[:aes.BlockSize]
}

func (p *pseudonymizer) crypt(iv, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCTR(p.block, iv).XORKeyStream(out, text)
	return out
}

// subject is the sub under which the client knows a user: in ID tokens, access tokens, userinfo, introspection and logout
// tokens alike. An API that gets tokens of clients of several sectors cannot tell that they are one person's, and neither
// can a client that reads its own access token (docs/decisions/0023).
func (p *Provider) subject(c idp.Client, userID string) string {
	return p.pseudonym(c, nameOfUser, userID)
}

// userOf is the user whom the client knows under this sub; false if there cannot be one.
func (p *Provider) userOf(c idp.Client, sub string) (userID string, ok bool) {
	return p.unveil(c, nameOfUser, sub)
}

// sid is the session ID that the client sees: one that its tokens have in common with those of other sectors would tell what
// subject hides.
func (p *Provider) sid(c idp.Client, sessionID string) string {
	return p.pseudonym(c, nameOfSession, sessionID)
}

// sessionOf is the session behind a sid of the client; false if there cannot be one.
func (p *Provider) sessionOf(c idp.Client, sid string) (sessionID string, ok bool) {
	return p.unveil(c, nameOfSession, sid)
}

func (p *Provider) pseudonym(c idp.Client, purpose, id string) string {
	if !c.Pairwise() || id == "" {
		return id
	}
	return p.names.name(purpose, c.Sector(), id)
}

func (p *Provider) unveil(c idp.Client, purpose, name string) (string, bool) {
	if !c.Pairwise() || name == "" {
		return name, name != ""
	}
	return p.names.id(purpose, c.Sector(), name)
}
