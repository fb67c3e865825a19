package passkey

import (
	"crypto/hkdf"
	"crypto/sha256"
	"strconv"

	"github.com/stepward/stepward/internal/idp"
)

// usual is the list of decoys where there are no passkeys to take the shape of.
var usual = []idp.Passkey{{CredentialID: make([]byte, 20), Transports: []string{"hybrid", "internal"}}}

// Pivot returns 16 bytes that an address stands for, always the same: they pick the user whose passkeys its decoys look
// like. The address must be normalised.
func (c *Ceremonies) Pivot(email string) []byte { return c.derived("pivot", email, 16) }

// Decoys returns made-up passkeys, always the same for one address and model, so that the response for an unknown
// address looks like any other (WebAuthn L3 §14.6.2): as many as in model, with IDs as long and the same transports.
// The address must be normalised.
func (c *Ceremonies) Decoys(email string, model []idp.Passkey) []idp.Passkey {
	if len(model) == 0 {
		model = usual
	}
	decoys := make([]idp.Passkey, len(model))
	for i, k := range model {
		decoys[i] = idp.Passkey{
			CredentialID: c.derived(strconv.Itoa(i), email, len(k.CredentialID)),
			Transports:   k.Transports,
		}
	}
	return decoys
}

func (c *Ceremonies) derived(purpose, email string, length int) []byte {
	key, err := hkdf.Key(sha256.New, c.decoyKey, nil, "stepward/decoys/v2\x00"+purpose+"\x00"+email, length)
	if err != nil {
		panic(err) // only for an absurd length; credential IDs have at most 1023 bytes
	}
	return key
}
