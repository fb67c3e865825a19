package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// Rotate does what is due at now for the keys of every algorithm. It may run at any time and on several replicas at
// once: the next run repairs what two of them did twice.
//
//	created ──▶ next ──(published for Ahead, active one Every old)──▶ active ──▶ retired ──(Keep)──▶ gone
func (k *Ring) Rotate(ctx context.Context, now time.Time) error { return k.rotate(ctx, now, false) }

// RotateNow replaces every active key at once, even if its successor was not announced. The old keys stay published for
// verification. Clients fetch the JWKS again when they see an unknown key.
func (k *Ring) RotateNow(ctx context.Context, now time.Time) error { return k.rotate(ctx, now, true) }

func (k *Ring) rotate(ctx context.Context, now time.Time, force bool) error {
	stored, err := k.cfg.DB.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	var changed []idp.SigningKey
	var events []idp.Event
	var failed []error
	retire := func(key idp.SigningKey, keep time.Duration) {
		key.State, key.RetiredAt, key.ExpiresAt = idp.KeyRetired, now, now.Add(keep)
		changed = append(changed, key)
		events = append(events, keyEvent(idp.EventKeyRetired, key, now))
	}
	for _, alg := range Algorithms {
		active, ok := activeOf(stored, alg)
		if !ok {
			continue // not announced
		}
		next, announced := oldest(stored, alg, idp.KeyNext)
		for _, key := range stored { // a lost race left a second one
			if key.Algorithm == alg && key.State == idp.KeyNext && key.ID != next.ID {
				retire(key, 0) // it never signed
			}
		}
		if force && !announced {
			if next, err = k.announce(ctx, alg, now); mayStayActive(alg, err) {
				continue
			} else if err != nil {
				failed = append(failed, err) // other algorithms do not wait for a key that the agent lacks
				continue
			}
		}
		age := now.Sub(active.ActiveAt)
		switch {
		case force, age >= k.cfg.Every && announced && now.Sub(next.CreatedAt) >= k.cfg.Ahead:
			next.State, next.ActiveAt = idp.KeyActive, now
			changed = append(changed, next)
			retire(active, k.cfg.Keep)
		case age >= k.cfg.Every-k.cfg.Ahead && !announced:
			if _, err := k.announce(ctx, alg, now); err != nil && !mayStayActive(alg, err) {
				failed = append(failed, err)
			}
		}
	}
	if len(changed) > 0 {
		if err := k.cfg.DB.UpdateSigningKeys(ctx, changed, events...); err != nil {
			return fmt.Errorf("update signing keys: %w", err)
		}
	}
	if err := k.lock(ctx); err != nil {
		return errors.Join(append(failed, err)...)
	}
	defer k.unlock()
	_, err = k.load(ctx)
	return errors.Join(append(failed, err)...)
}

// mayStayActive reports whether a key may stay in use because nothing can replace it: a key from before the agent, of
// an algorithm that the agent has no key for. It may be unused, and an error in every run would hide those that matter.
func mayStayActive(alg string, err error) bool { return alg != ES256 && errors.Is(err, errNotHeld) }

// announce creates and publishes the key that will sign next.
func (k *Ring) announce(ctx context.Context, alg string, now time.Time) (idp.SigningKey, error) {
	fresh, err := k.make(ctx, alg, idp.KeyNext, now)
	if err != nil {
		return idp.SigningKey{}, err
	}
	// A conflict means that another replica has announced the same key of the agent.
	if err := k.cfg.DB.AddSigningKey(ctx, fresh, keyEvent(idp.EventKeyAdded, fresh, now)); err != nil &&
		!errors.Is(err, idp.ErrConflict) {
		return idp.SigningKey{}, fmt.Errorf("add signing key: %w", err)
	}
	return fresh, nil
}
