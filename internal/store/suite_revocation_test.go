package store_test

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

var revocationCases = map[string]func(*fixture){
	"a reused refresh token revokes its family once, with one event": func(f *fixture) {
		u := f.user("a@example.org")
		fam := f.family(u, nil)
		won := f.race(8, idp.ErrNotFound, func(int) error {
			id, err := f.ReuseOfFamily(f.ctx, key(fam), f.now, f.event(idp.EventRefreshReused, ""))
			if err == nil && id != fam.ID {
				f.Errorf("revoked %q", id)
			}
			return err
		})
		f.same(won, 1)
		_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
		f.refuses(err, idp.ErrNotFound)
		events := must2(f.EventsOf(f.ctx, u.ID, 10))(f)
		f.same(len(events), 1)
		f.same([]string{events[0].UserID, events[0].ClientID, events[0].SessionID}, []string{u.ID, "app", "sid"})
	},
	"a refusal that says nothing about reuse revokes nothing": func(f *fixture) {
		u, disabled := f.user("a@example.org"), f.user("b@example.org")
		expired := f.family(u, func(fam *idp.Family) { fam.ExpiresAt = f.now })
		blocked := f.family(disabled, nil)
		f.disable(disabled)
		for _, handle := range []string{expired.HandleHash, blocked.HandleHash, "unknown", ""} {
			_, err := f.ReuseOfFamily(f.ctx, store.FamilyKey{HandleHash: handle}, f.now, f.event(idp.EventRefreshReused, ""))
			f.refuses(err, idp.ErrNotFound)
		}
		f.same(len(f.events()), 0)
		disabled.DisabledAt = time.Time{}
		f.must(f.UpdateUser(f.ctx, disabled))
		_, _, err := f.FamilyWithUser(f.ctx, blocked.ID)
		f.must(err)
	},
	"a family is revoked by its ID, refresh token or opaque token, by its client only, and once": func(f *fixture) {
		u := f.user("a@example.org")
		ways := map[string]func(fam idp.Family, client string) error{
			"ID": func(fam idp.Family, client string) error {
				return f.RevokeFamily(f.ctx, fam.ID, client, f.now, f.event(idp.EventTokensRevoked, u.ID))
			},
			"refresh token": func(fam idp.Family, client string) error {
				return f.RevokeFamilyByHandle(f.ctx, key(fam), client, f.now,
					f.event(idp.EventTokensRevoked, u.ID))
			},
			"opaque token": func(fam idp.Family, client string) error {
				return f.RevokeOpaque(f.ctx, "of "+fam.ID, client, f.now, f.event(idp.EventTokensRevoked, u.ID))
			},
		}
		for name, revoke := range ways {
			for _, client := range []string{"app", ""} {
				fam, other := f.family(u, nil), f.family(u, nil)
				f.must(f.AddOpaque(f.ctx, store.OpaqueToken{
					Hash: "of " + fam.ID, FamilyID: fam.ID,
					ExpiresAt: f.now.Add(time.Hour),
				}))
				before := len(f.events())
				f.refuses(revoke(fam, "thief"), idp.ErrNotFound)
				f.must(revoke(fam, client))
				f.refuses(revoke(fam, client), idp.ErrNotFound)
				if got := len(f.events()); got != before+1 {
					f.Fatalf("by %s: %d events", name, got-before)
				}
				_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
				f.refuses(err, idp.ErrNotFound)
				_, _, err = f.FamilyWithUser(f.ctx, other.ID)
				f.must(err)
			}
		}
		f.refuses(f.RevokeFamilyByHandle(f.ctx, store.FamilyKey{HandleHash: ""}, "", f.now), idp.ErrNotFound)
		f.refuses(f.RevokeOpaque(f.ctx, "", "", f.now), idp.ErrNotFound)
	},
}
