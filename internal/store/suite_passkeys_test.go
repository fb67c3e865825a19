package store_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

var passkeyCases = map[string]func(*fixture){
	"a passkey comes back as it was stored, with its user, in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		k := idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, CredentialID: []byte{0, 1, 0xff}, PublicKey: []byte{0xa5, 0}, Flags: 0xdd,
			SignCount: 1<<32 - 1, UVInitialized: true,
			CounterRegressedAt: f.now, AAGUID: make([]byte, 16), AttestationType: "basic_full", AttestationFormat: "packed",
			AttestationVerifiedAt: f.now, KeyProtection: idp.KeyProtectionHardware,
			Transports: []string{"internal", "hybrid"}, Attachment: "platform",
			Extensions: json.RawMessage(`{"credProps":{"rk":true}}`),
			Name:       "Ada's key", CreatedAt: f.now, CreatedAgent: "Firefox on macOS",
			LastUsedAt: f.now, LastAgent: "Safari on iOS",
		}
		registered, statement := k, json.RawMessage(`{"b": 1, "a":"é"}`)
		registered.Attestation = statement
		f.must(f.AddPasskey(f.ctx, registered, f.event(idp.EventPasskeyAdded, u.ID)))
		f.same(must2(f.Attestation(f.ctx, k.ID))(f), statement) // kept apart
		n := f.trips(func() {
			stored, owner, err := f.PasskeyByCredentialID(f.ctx, k.CredentialID)
			f.must(err)
			f.same(stored, k)
			f.same(owner, u)
		})
		f.same(n, int64(1))
		f.same(f.events(), []idp.EventKind{idp.EventPasskeyAdded})
	},
	"attestation that proves nothing is not kept, and none outlives its passkey": func(f *fixture) {
		u := f.user("a@example.org")
		for format, want := range map[string]json.RawMessage{"none": nil, "packed": json.RawMessage(`{}`)} {
			k := newPasskey(u, f.now)
			k.AttestationFormat, k.Attestation = format, json.RawMessage(`{}`)
			f.must(f.AddPasskey(f.ctx, k))
			f.passkey(u)
			f.same(must2(f.Attestation(f.ctx, k.ID))(f), want)
			f.must(f.RemovePasskey(f.ctx, u.ID, k.ID, false))
			f.same(must2(f.Attestation(f.ctx, k.ID))(f), json.RawMessage(nil))
		}
	},
	"a passkey with nothing optional comes back": func(f *fixture) {
		k := f.passkey(f.user("a@example.org"))
		f.same(must2(f.PasskeysOf(f.ctx, k.UserID))(f), []idp.Passkey{k})
	},
	"an unknown credential is not found": func(f *fixture) {
		for _, id := range [][]byte{nil, {}, []byte("unknown")} {
			_, _, err := f.PasskeyByCredentialID(f.ctx, id)
			f.refuses(err, idp.ErrNotFound)
		}
	},
	"a credential belongs to one user": func(f *fixture) {
		k := f.passkey(f.user("a@example.org"))
		again := newPasskey(f.user("b@example.org"), f.now)
		again.CredentialID = k.CredentialID
		f.refuses(f.AddPasskey(f.ctx, again, f.event(idp.EventPasskeyAdded, "")), idp.ErrConflict)
		f.same(len(f.events()), 0)
	},
	"a passkey needs its user": func(f *fixture) {
		f.refuses(f.AddPasskey(f.ctx, newPasskey(idp.NewUser("a@example.org", "A", f.now), f.now)), idp.ErrNotFound)
	},
	"a user has at most MaxPasskeys, also when many are added at once": func(f *fixture) {
		u := f.user("a@example.org")
		for range store.MaxPasskeys - 2 {
			f.passkey(u)
		}
		won := f.race(8, store.ErrTooManyPasskeys, func(int) error {
			return f.AddPasskey(f.ctx, newPasskey(u, f.now), f.event(idp.EventPasskeyAdded, u.ID))
		})
		f.same(won, 2)
		f.same(len(must2(f.PasskeysOf(f.ctx, u.ID))(f)), store.MaxPasskeys)
		f.same(len(f.events()), 2)
	},
	"passkeys are listed oldest first, by user and by address": func(f *fixture) {
		u := f.user("a@example.org")
		f.passkey(f.user("b@example.org"))
		young, old := newPasskey(u, f.now), newPasskey(u, f.now.Add(-time.Hour))
		f.must(f.AddPasskey(f.ctx, young))
		f.must(f.AddPasskey(f.ctx, old))
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f), []idp.Passkey{old, young})
		byEmail := func(email, pivot string) (theirs, model []idp.Passkey) {
			theirs, model, err := f.PasskeysByEmail(f.ctx, email, []byte(pivot))
			f.must(err)
			return theirs, model
		}
		n := f.trips(func() {
			theirs, model := byEmail(u.Email, "zz") // after all of them: the first again
			f.same(theirs, []idp.Passkey{old, young})
			f.same(len(model) > 0, true)
		})
		f.same(n, int64(1))
		theirs, model := byEmail("nobody@example.org", string(old.CredentialID))
		f.same(theirs, []idp.Passkey(nil))
		f.same(model, []idp.Passkey{old, young})
		f.disable(u)
		theirs, _ = byEmail(u.Email, "")
		f.same(theirs, []idp.Passkey(nil))
	},
	"a passkey is renamed by its user only": func(f *fixture) {
		u, other := f.user("a@example.org"), f.user("b@example.org")
		k := f.passkey(u)
		f.refuses(f.RenamePasskey(f.ctx, other.ID, k.ID, "mine", f.event(idp.EventPasskeyRenamed, other.ID)), idp.ErrNotFound)
		f.must(f.RenamePasskey(f.ctx, u.ID, k.ID, "Desk key", f.event(idp.EventPasskeyRenamed, u.ID)))
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f)[0].Name, "Desk key")
		f.same(len(f.events()), 1)
	},
	"a passkey is removed by its user only, and never the last one": func(f *fixture) {
		u, other := f.user("a@example.org"), f.user("b@example.org")
		first, second := f.passkey(u), f.passkey(u)
		f.passkey(other)
		f.passkey(other)
		removed := f.event(idp.EventPasskeyRemoved, u.ID)
		f.refuses(f.RemovePasskey(f.ctx, other.ID, first.ID, false, removed), idp.ErrNotFound)
		f.refuses(f.RemovePasskey(f.ctx, "nobody", first.ID, false, removed), idp.ErrNotFound)
		f.must(f.RemovePasskey(f.ctx, u.ID, first.ID, false, removed))
		f.refuses(f.RemovePasskey(f.ctx, u.ID, first.ID, false, f.event(idp.EventPasskeyRemoved, u.ID)), idp.ErrNotFound)
		f.refuses(f.RemovePasskey(f.ctx, u.ID, second.ID, false, f.event(idp.EventPasskeyRemoved, u.ID)), idp.ErrLastPasskey)
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f), []idp.Passkey{second})
		f.same(len(f.events()), 1)
	},
	"two removals of the last two passkeys leave one": func(f *fixture) {
		for round := range 10 {
			u := f.user(fmt.Sprintf("u%d@example.org", round))
			keys := []idp.Passkey{f.passkey(u), f.passkey(u)}
			won := f.race(2, idp.ErrLastPasskey, func(i int) error {
				return f.RemovePasskey(f.ctx, u.ID, keys[i].ID, false, f.event(idp.EventPasskeyRemoved, u.ID))
			})
			f.same(won, 1)
			f.same(len(must2(f.PasskeysOf(f.ctx, u.ID))(f)), 1)
			f.same(len(must2(f.EventsOf(f.ctx, u.ID, 10))(f)), 1)
		}
	},
	"an assertion returns the grant of the requesting client, in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		k := f.passkey(u)
		f.client("app")
		g := idp.Grant{UserID: u.ID, ClientID: "app", Scopes: []string{"email", "openid"}, CreatedAt: f.now, UpdatedAt: f.now}
		f.must(f.PutGrant(f.ctx, g))
		for client, want := range map[string]*idp.Grant{"app": &g, "other": nil, "": nil} {
			a := idp.Authentication{ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID, At: f.now}
			n := f.trips(func() { f.same(must2(f.RecordAuthentication(f.ctx, k, a, client))(f), want) })
			f.same(n, int64(1))
		}
	},
	"an assertion is recorded with its changes to the passkey, in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		k := f.passkey(u)
		k.Flags, k.SignCount, k.UVInitialized, k.LastUsedAt, k.LastAgent = 0x1d, 7, true, f.now.Add(time.Minute),
			"Safari on iOS"
		a := idp.Authentication{
			ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID, At: f.now, Purpose: idp.PurposeStepUp, Interaction: "i",
			ActionClasses: []string{"payments"}, UserVerified: true, BackupEligible: true,
		}
		n := f.trips(func() { f.must(f.record(k, a, f.event(idp.EventSteppedUp, u.ID))) })
		f.same(n, int64(1))
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f), []idp.Passkey{k})
		f.refuses(f.record(k, a), idp.ErrConflict) // it is there, and once
		f.same(f.events(), []idp.EventKind{idp.EventSteppedUp})
	},
	"of several assertions with the same count, a device-bound passkey records one": func(f *fixture) {
		for round := range 5 {
			u := f.user(fmt.Sprintf("count%d@example.org", round))
			k := f.passkey(u)
			k.Flags &^= idp.FlagBackupEligible | idp.FlagBackedUp
			k.SignCount += 5
			won := f.race(8, idp.ErrConflict, func(int) error {
				return f.record(k, idp.Authentication{
					ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID,
					At: f.now,
				})
			})
			f.same(won, 1)
		}
	},
	"a synced passkey may repeat a count": func(f *fixture) {
		u := f.user("synced@example.org")
		k := f.passkey(u)
		k.Flags |= idp.FlagBackupEligible
		k.SignCount += 5
		for range 2 {
			f.must(f.record(k, idp.Authentication{
				ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID,
				At: f.now,
			}))
		}
	},
	"the signature counter never goes down": func(f *fixture) {
		u := f.user("a@example.org")
		k := f.passkey(u)
		k.Flags |= idp.FlagBackupEligible // of a device-bound one, a count that did not grow is refused
		f.same(f.race(8, nil, func(i int) error {
			used := k
			used.SignCount = uint32(i + 1)
			return f.record(used, idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: f.now})
		}), 8)
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f)[0].SignCount, uint32(8))
		f.must(f.record(k, idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: f.now}))
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f)[0].SignCount, uint32(8))
	},
	"an assertion of a passkey that was removed meanwhile, or of another user, is not recorded": func(f *fixture) {
		u, other := f.user("a@example.org"), f.user("b@example.org")
		k := f.passkey(u)
		f.passkey(u)
		signedIn := f.event(idp.EventSignedIn, u.ID)
		k.SignCount = 9
		f.refuses(f.record(k, idp.Authentication{ID: idp.NewID(), UserID: other.ID, At: f.now},
			signedIn), idp.ErrNotFound)
		f.must(f.RemovePasskey(f.ctx, u.ID, k.ID, false))
		f.refuses(f.record(k, idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: f.now}, signedIn),
			idp.ErrNotFound)
		f.same(len(f.events()), 0)
	},
	"a counter that went backwards is recorded and not changed": func(f *fixture) {
		u := f.user("a@example.org")
		k := newPasskey(u, f.now)
		k.SignCount = 5
		f.must(f.AddPasskey(f.ctx, k))
		f.must(f.RegressPasskey(f.ctx, k.ID, f.now, f.event(idp.EventPasskeyRegressed, u.ID)))
		k.CounterRegressedAt = f.now
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f), []idp.Passkey{k})
		f.refuses(f.RegressPasskey(f.ctx, "unknown", f.now, f.event(idp.EventPasskeyRegressed, u.ID)), idp.ErrNotFound)
		f.same(len(f.events()), 1)
	},
}
