package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A sealed blob is: version (1 octet), ID of the operator's key (8), nonce (12), AES-256-GCM ciphertext and tag.
const (
	sealVersion = 1
	sealIDLen   = 8
)

// ErrOperatorKey means that a signing key is encrypted under an operator's key that this process does not have.
var ErrOperatorKey = errors.New("encrypted under an unknown operator key")

// A Wrapper encrypts private keys under the operator's key. It also knows older keys, so that the operator's key can be
// changed: it encrypts under the current one and decrypts under all.
type Wrapper struct {
	current []byte // key ID
	ciphers map[string]cipher.AEAD
}

// NewWrapper returns a wrapper that encrypts under key and decrypts under key and the older ones. All are 32 random
// bytes.
func NewWrapper(key []byte, older ...[]byte) (*Wrapper, error) {
	w := &Wrapper{ciphers: map[string]cipher.AEAD{}}
	for i, k := range append([][]byte{key}, older...) {
		if len(k) != 32 {
			return nil, fmt.Errorf("the operator's key has %d bytes, not 32", len(k))
		}
		id, err := hkdf.Key(sha256.New, k, nil, "stepward operator key id", sealIDLen)
		if err != nil {
			return nil, fmt.Errorf("derive key id: %w", err)
		}
		sub, err := hkdf.Key(sha256.New, k, nil, "stepward signing keys at rest", 32)
		if err != nil {
			return nil, fmt.Errorf("derive sealing key: %w", err)
		}
		block, err := aes.NewCipher(sub)
		if err != nil {
			return nil, fmt.Errorf("derive sealing key: %w", err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("derive sealing key: %w", err)
		}
		if i == 0 {
			w.current = id
		}
		w.ciphers[string(id)] = aead
	}
	return w, nil
}

// Seal encrypts plain. context is authenticated, so that a blob only opens in its own place.
func (w *Wrapper) Seal(plain []byte, context string) []byte {
	aead := w.ciphers[string(w.current)]
	blob := make([]byte, 1+sealIDLen+aead.NonceSize(), 1+sealIDLen+aead.NonceSize()+len(plain)+aead.Overhead())
	blob[0] = sealVersion
	copy(blob[1:], w.current)
	nonce := blob[1+sealIDLen:]
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(blob, nonce, plain, []byte(context))
}

// Open decrypts the result of Seal in the same context. It returns ErrOperatorKey if another operator's key was used.
func (w *Wrapper) Open(blob []byte, context string) ([]byte, error) {
	const head = 1 + sealIDLen
	if len(blob) < head+12 || blob[0] != sealVersion {
		return nil, errors.New("not an encrypted key")
	}
	aead, ok := w.ciphers[string(blob[1:head])]
	if !ok {
		return nil, ErrOperatorKey
	}
	plain, err := aead.Open(nil, blob[head:head+12], blob[head+12:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %w", err)
	}
	return plain, nil
}
