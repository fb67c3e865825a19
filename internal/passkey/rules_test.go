package passkey_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

func TestRulesSayWhichPasskeysMayBeAdded(t *testing.T) {
	maker := newAttestor(t)
	model, other := uuid.UUID(maker.AAGUID), uuid.UUID{7}
	proven := func() *passkeytest.Authenticator { return attestedKey(maker) }
	claimed := func() *passkeytest.Authenticator { // without a proof
		a := passkeytest.New(origin)
		a.AAGUID = maker.AAGUID
		return a
	}
	synced := func() *passkeytest.Authenticator {
		a := passkeytest.New(origin)
		a.Flags |= idp.FlagBackupEligible | idp.FlagBackedUp
		return a
	}
	for name, c := range map[string]struct {
		rules passkey.Rules
		key   func() *passkeytest.Authenticator
		want  error
	}{
		"all, synced":                 {passkey.Rules{}, synced, nil},
		"device-bound, synced":        {passkey.Rules{DeviceBound: true}, synced, passkey.ErrSynced},
		"device-bound, device-bound":  {passkey.Rules{DeviceBound: true}, claimed, nil},
		"allowed and proven":          {passkey.Rules{Allowed: []uuid.UUID{other, model}}, proven, nil},
		"allowed but only claimed":    {passkey.Rules{Allowed: []uuid.UUID{model}}, claimed, passkey.ErrModel},
		"another than allowed":        {passkey.Rules{Allowed: []uuid.UUID{other}}, proven, passkey.ErrModel},
		"no model, and some allowed":  {passkey.Rules{Allowed: []uuid.UUID{{}}}, synced, passkey.ErrModel},
		"forbidden and proven":        {passkey.Rules{Forbidden: []uuid.UUID{model}}, proven, passkey.ErrModel},
		"forbidden and claimed":       {passkey.Rules{Forbidden: []uuid.UUID{model}}, claimed, passkey.ErrModel},
		"another than forbidden":      {passkey.Rules{Forbidden: []uuid.UUID{other}}, proven, nil},
		"forbidden comes before all":  {passkey.Rules{Allowed: []uuid.UUID{model}, Forbidden: []uuid.UUID{model}}, proven, passkey.ErrModel},
		"allowed, proven, not synced": {passkey.Rules{DeviceBound: true, Allowed: []uuid.UUID{model}}, proven, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, direct(maker.Entry()), func(config *passkey.Config) { config.Rules = c.rules })
			if _, err := h.tryRegister(h.newUser("ada"), c.key()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
