// Package sealed keeps what is encrypted under the operator's key: the secrets of the installation, and the exchange of
// all that is encrypted when that key changes. It knows no key.
package sealed

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// secretsName is their row in installation.
const secretsName = "secrets"

// Secrets returns the encrypted secrets of the installation, or nil if there are none yet.
func Secrets(ctx context.Context, db *store.DB) ([]byte, error) {
	found, err := store.List(ctx, db, "load secrets", func(row store.Row) (text string, err error) {
		err = row.Scan(&text)
		return text, err
	}, `SELECT value FROM installation WHERE name = $1`, secretsName)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	blob, err := base64.StdEncoding.DecodeString(found[0])
	if err != nil {
		return nil, fmt.Errorf("secrets of the installation: %w", err)
	}
	return blob, nil
}

// AddSecrets stores them unless there are any: of several replicas that start together, the first one wins.
func AddSecrets(ctx context.Context, db *store.DB, blob []byte) error {
	var b store.Batch
	b.Do(`INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
		secretsName, base64.StdEncoding.EncodeToString(blob))
	return db.RunBatch(ctx, "add secrets", &b)
}

// A Change replaces an encrypted value by the same one under another key.
type Change struct {
	KeyID    string // of a signing key; empty: the secrets of the installation
	Was, Now []byte
}

// Reseal makes the changes in one transaction, with the event. A value that somebody else changed meanwhile stays.
func Reseal(ctx context.Context, db *store.DB, changes []Change, ev idp.Event) error {
	var b store.Batch
	for _, c := range changes {
		if c.KeyID == "" {
			b.Do(`UPDATE installation SET value = $2 WHERE name = $1 AND value = $3`, secretsName,
				base64.StdEncoding.EncodeToString(c.Now), base64.StdEncoding.EncodeToString(c.Was))
			continue
		}
		b.Do(`UPDATE signing_keys SET sealed = $2 WHERE id = $1 AND sealed = $3`, c.KeyID, c.Now, c.Was)
	}
	b.Events([]idp.Event{ev})
	return db.RunBatch(ctx, "encrypt under another key", &b)
}
