package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/sealed"
)

// Reseal encrypts everything under the current operator's key that is still under an older one, and returns how much
// that was. Replicas may run meanwhile, and make new keys, as long as they know both operator's keys. It returns
// ErrOperatorKey, and changes nothing, if something is encrypted under a key that w does not know.
func Reseal(ctx context.Context, db *store.DB, w *Wrapper, now time.Time) (resealed int, err error) {
	const rounds = 10 // a replica that makes a key under the old one is rare
	for range rounds {
		changes, err := stale(ctx, db, w)
		if err != nil || len(changes) == 0 {
			return resealed, err
		}
		ev := idp.NewEvent(idp.EventOperatorKey, "", now)
		ev.Detail = map[string]string{"by": "operator"}
		if err := sealed.Reseal(ctx, db, changes, ev); err != nil {
			return resealed, err
		}
		resealed += len(changes)
	}
	return resealed, fmt.Errorf("others keep encrypting under an older key: is it the first one of a replica?")
}

// stale returns what has to change so that only the current key is needed.
func stale(ctx context.Context, db *store.DB, w *Wrapper) (changes []sealed.Change, err error) {
	add := func(id string, blob []byte, context string) error {
		if w.sealedIt(blob) {
			return nil
		}
		content, err := w.Open(blob, context)
		if err != nil {
			return err
		}
		changes = append(changes, sealed.Change{KeyID: id, Was: blob, Now: w.Seal(content, context)})
		return nil
	}
	stored, err := db.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	for _, key := range stored {
		if err := add(key.ID, key.Sealed, sealContext(key.ID, key.Algorithm)); err != nil {
			return nil, fmt.Errorf("signing key %s: %w", key.ID, err)
		}
	}
	blob, err := sealed.Secrets(ctx, db)
	if err != nil || blob == nil {
		return changes, err
	}
	if err := add("", blob, secretsContext); err != nil {
		return nil, fmt.Errorf("secrets of the installation: %w", err)
	}
	return changes, nil
}

// Withdraw takes a signing key out of use and out of the JWKS at once: what it signed is no longer accepted. If it is
// active, the announced key takes its place, or a new one. idp.ErrNotFound if there is no such key, or it has left the
// JWKS already.
//
// It is stored as a retired key whose time is over, which replicas of older versions understand.
func (k *Ring) Withdraw(ctx context.Context, kid string, now time.Time) error {
	stored, err := k.cfg.DB.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	var changed []idp.SigningKey
	for _, key := range published(stored, now) {
		if key.ID != kid {
			continue
		}
		if key.State == idp.KeyActive {
			next, announced := oldest(stored, key.Algorithm, idp.KeyNext)
			if !announced {
				if next, err = k.announce(ctx, key.Algorithm, now); err != nil {
					return err
				}
			}
			next.State, next.ActiveAt = idp.KeyActive, now
			changed = append(changed, next)
		}
		key.State, key.RetiredAt, key.ExpiresAt = idp.KeyRetired, now, now
		changed = append(changed, key)
		if err := k.cfg.DB.UpdateSigningKeys(ctx, changed, keyEvent(idp.EventKeyWithdrawn, key, now)); err != nil {
			return fmt.Errorf("update signing keys: %w", err)
		}
		if err := k.lock(ctx); err != nil {
			return err
		}
		defer k.unlock()
		_, err = k.load(ctx)
		return err
	}
	return fmt.Errorf("signing key %s: %w", kid, idp.ErrNotFound)
}
