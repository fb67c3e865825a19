package passkey

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
)

// Rules say which passkeys may be registered. The zero value allows all. Registered passkeys stay usable when the rules
// change.
type Rules struct {
	DeviceBound bool        // no synced passkeys
	Allowed     []uuid.UUID // only these models, proven by their attestation; empty: all
	Forbidden   []uuid.UUID // not these, by what they claim to be
}

// Rules returns the rules of all users. Those of groups are checked by package enrol.
func (c *Ceremonies) Rules() Rules { return c.rules }

// check returns ErrSynced or ErrModel if the passkey may not be registered. Without an attestation, a passkey may lie
// about everything here: only Allowed keeps out an authenticator that wants to get in.
func (r Rules) check(k idp.Passkey) error {
	if r.DeviceBound && k.Synced() {
		return ErrSynced
	}
	model, err := uuid.FromBytes(k.AAGUID)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	proven := !k.AttestationVerifiedAt.IsZero()
	if slices.Contains(r.Forbidden, model) || len(r.Allowed) > 0 && !(proven && slices.Contains(r.Allowed, model)) {
		return fmt.Errorf("%w: %s, proven: %t", ErrModel, model, proven)
	}
	return nil
}

// admit checks the attestation of a new passkey, and the rules.
func (c *Ceremonies) admit(k idp.Passkey, now time.Time) (idp.Passkey, error) {
	k = c.CheckAttestation(k, now)
	if err := c.rules.check(k); err != nil {
		return idp.Passkey{}, err
	}
	return k, nil
}
