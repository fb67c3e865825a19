package passkey

import (
	"crypto/hkdf"
	"crypto/sha256"

	"github.com/stepward/stepward/internal/idp"
)

// shapes are common combinations of ID length and transports.
var shapes = [...]struct {
	idLength   int
	transports []string
}{
	{20, []string{"hybrid", "internal"}}, // iCloud Keychain
	{16, []string{"hybrid", "internal"}}, // Google Password Manager, 1Password
	{32, []string{"internal"}},           // Windows Hello
	{48, []string{"nfc", "usb"}},         // security keys
}

// Decoys returns made-up passkeys, always the same for one address, so that the response for an unknown address looks
// like any other (WebAuthn L3 §14.6.2). The address must be normalised.
func (c *Ceremonies) Decoys(email string) []idp.Passkey {
	random, err := hkdf.Key(sha256.New, c.decoyKey, nil, "stepward/decoys/v1\x00"+email, 256)
	if err != nil {
		panic(err) // only for an absurd length
	}
	next := func(n int) []byte {
		var head []byte
		head, random = random[:n], random[n:]
		return head
	}
	keys := make([]idp.Passkey, 1+next(1)[0]%2) // most people have one or two
	for i := range keys {
		shape := shapes[next(1)[0]%byte(len(shapes))]
		keys[i] = idp.Passkey{CredentialID: next(shape.idLength), Transports: shape.transports}
	}
	return keys
}
