package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// SigningKeys returns all signing keys, oldest first.
func (db *DB) SigningKeys(ctx context.Context) ([]idp.SigningKey, error) {
	return list(ctx, db, "list signing keys", func(row pgx.CollectableRow) (k idp.SigningKey, err error) {
		err = row.Scan(&k.ID, &k.Algorithm, (*string)(&k.State), &k.Sealed,
			(*instant)(&k.CreatedAt), (*instant)(&k.ActiveAt), (*instant)(&k.RetiredAt), (*instant)(&k.ExpiresAt))
		return k, err
	}, `SELECT id, algorithm, state, sealed, created_at, active_at, retired_at, expires_at FROM signing_keys
		ORDER BY created_at, id`)
}

// AddSigningKey adds a key. idp.ErrConflict if it is active and its algorithm already has an active key: another
// replica was first, so load its keys.
func (db *DB) AddSigningKey(ctx context.Context, k idp.SigningKey, ev ...idp.Event) error {
	var b batch
	b.Do(`INSERT INTO signing_keys (id, algorithm, state, sealed, created_at, active_at, retired_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.ID, k.Algorithm, string(k.State), k.Sealed, ms(k.CreatedAt), ms(k.ActiveAt), ms(k.RetiredAt), ms(k.ExpiresAt))
	b.events(ev)
	return db.run(ctx, "add signing key", &b)
}

// UpdateSigningKeys stores the states and times of keys, all or none. idp.ErrNotFound if one of them is gone,
// idp.ErrConflict if an algorithm would have two active keys.
func (db *DB) UpdateSigningKeys(ctx context.Context, keys []idp.SigningKey, ev ...idp.Event) error {
	var b batch
	update := func(k idp.SigningKey) {
		b.Hold(idp.ErrNotFound, "signing_keys", "id = $1", k.ID)
		b.Do(`UPDATE signing_keys SET state = $2, active_at = $3, retired_at = $4, expires_at = $5 WHERE id = $1`,
			k.ID, string(k.State), ms(k.ActiveAt), ms(k.RetiredAt), ms(k.ExpiresAt))
	}
	for _, k := range keys { // first the keys that stop being active, because an algorithm has one active key
		if k.State != idp.KeyActive {
			update(k)
		}
	}
	for _, k := range keys {
		if k.State == idp.KeyActive {
			update(k)
		}
	}
	b.events(ev)
	return db.run(ctx, "update signing keys", &b)
}
