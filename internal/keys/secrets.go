package keys

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/sealed"
)

// Secrets are the secrets of an installation, one for each purpose. They are stored under the operator's key, and so
// outlive it: pairwise subs and recovery codes stay valid when it changes.
type Secrets struct {
	// Of older installations, which derived these from the operator's key itself.
	named map[string][]byte
	seed  []byte // all others are derived from it
}

// formerPurposes are what installations without stored secrets derived from the operator's key. Do not add any.
var formerPurposes = []string{"decoy", "refresh", "subject", "recovery-codes"}

const (
	seedName       = "seed"
	secretsContext = "secrets of the installation"
)

// Key returns the 32 bytes for a purpose.
func (s *Secrets) Key(purpose string) []byte {
	if key := s.named[purpose]; key != nil {
		return key
	}
	return derive(s.seed, purpose)
}

// derive derives a key for one purpose (RFC 5869).
func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, "stepward/"+purpose, 32)
	if err != nil {
		panic(err) // only for lengths that HKDF does not support
	}
	return derived
}

// LoadSecrets returns the secrets of the installation, and makes them if there are none. operator are the operator's
// keys, the current one first. It returns ErrOperatorKey if none of them opens what is stored.
//
// An installation from before has signing keys. Its secrets become what it derived from the operator's key, so that
// nothing changes, also for replicas of the version before that run beside this one.
func LoadSecrets(ctx context.Context, db *store.DB, operator [][]byte) (*Secrets, error) {
	w, err := NewWrapper(operator[0], operator[1:]...)
	if err != nil {
		return nil, err
	}
	blob, err := sealed.Secrets(ctx, db)
	if err != nil {
		return nil, err
	}
	if blob == nil {
		made, err := makeSecrets(ctx, db, operator)
		if err != nil {
			return nil, err
		}
		content, err := json.Marshal(made)
		if err != nil {
			return nil, fmt.Errorf("make secrets: %w", err)
		}
		if err := sealed.AddSecrets(ctx, db, w.Seal(content, secretsContext)); err != nil {
			return nil, err
		}
		if blob, err = sealed.Secrets(ctx, db); err != nil { // another replica may have been first
			return nil, err
		}
	}
	content, err := w.Open(blob, secretsContext)
	if err != nil {
		return nil, fmt.Errorf("open secrets: %w", err)
	}
	s := &Secrets{}
	if err := json.Unmarshal(content, &s.named); err != nil {
		return nil, fmt.Errorf("open secrets: %w", err)
	}
	s.seed = s.named[seedName]
	delete(s.named, seedName)
	if len(s.seed) != 32 {
		return nil, fmt.Errorf("open secrets: the seed has %d bytes", len(s.seed))
	}
	return s, nil
}

func makeSecrets(ctx context.Context, db *store.DB, operator [][]byte) (map[string][]byte, error) {
	stored, err := db.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // never fails
	made := map[string][]byte{seedName: seed}
	if len(stored) == 0 {
		return made, nil
	}
	for _, key := range operator {
		w, err := NewWrapper(key)
		if err != nil {
			return nil, err
		}
		if !w.sealedIt(stored[len(stored)-1].Sealed) {
			continue
		}
		for _, purpose := range formerPurposes {
			made[purpose] = derive(key, purpose)
		}
		return made, nil
	}
	return nil, ErrOperatorKey
}

// sealedIt reports whether a blob is encrypted under the current key.
func (w *Wrapper) sealedIt(blob []byte) bool {
	return len(blob) > 1+sealIDLen && bytes.Equal(blob[1:1+sealIDLen], w.current)
}
