package store_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

var grantCases = map[string]func(*fixture){
	"consents add up": func(f *fixture) {
		u := f.user("a@example.org")
		_, err := f.Grant(f.ctx, u.ID, "app")
		f.refuses(err, idp.ErrNotFound)
		g := idp.Grant{UserID: u.ID, ClientID: "app", Scopes: []string{"openid", "email"}, CreatedAt: f.now, UpdatedAt: f.now}
		f.must(f.PutGrant(f.ctx, g, f.event(idp.EventConsentGranted, u.ID)))
		later := g
		later.Scopes, later.CreatedAt, later.UpdatedAt = []string{"email", "profile"}, f.now.Add(time.Hour),
			f.now.Add(time.Hour)
		f.must(f.PutGrant(f.ctx, later, f.event(idp.EventConsentGranted, u.ID)))
		want := idp.Grant{
			UserID: u.ID, ClientID: "app", Scopes: []string{"email", "openid", "profile"}, CreatedAt: f.now,
			UpdatedAt: f.now.Add(time.Hour),
		}
		f.same(must2(f.Grant(f.ctx, u.ID, "app"))(f), want)

		other := idp.Grant{UserID: u.ID, ClientID: "another", Scopes: []string{"openid"}, CreatedAt: f.now, UpdatedAt: f.now}
		f.must(f.PutGrant(f.ctx, other))
		f.same(must2(f.GrantsOf(f.ctx, u.ID))(f), []idp.Grant{other, want})
		f.same(must2(f.GrantsOf(f.ctx, "nobody"))(f), []idp.Grant(nil))
		f.same(len(f.events()), 2)
	},
	"consents at once add up": func(f *fixture) {
		u := f.user("a@example.org")
		scopes := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		f.same(f.race(8, nil, func(i int) error {
			return f.PutGrant(f.ctx, idp.Grant{
				UserID: u.ID, ClientID: "app", Scopes: scopes[i : i+1], CreatedAt: f.now,
				UpdatedAt: f.now,
			})
		}), 8)
		f.same(must2(f.Grant(f.ctx, u.ID, "app"))(f).Scopes, scopes)
	},
	"a grant needs its user": func(f *fixture) {
		f.refuses(f.PutGrant(f.ctx, idp.Grant{UserID: "nobody", ClientID: "app", Scopes: []string{"openid"}}),
			idp.ErrNotFound)
	},
	"a grant takes its families with it, and no others": func(f *fixture) {
		u := f.user("a@example.org")
		for _, client := range []string{"app", "another"} {
			f.must(f.PutGrant(f.ctx, idp.Grant{
				UserID: u.ID, ClientID: client, Scopes: []string{"openid"}, CreatedAt: f.now,
				UpdatedAt: f.now,
			}))
		}
		gone, stays := f.family(u, nil), f.family(u, func(fam *idp.Family) { fam.ClientID = "another" })
		f.must(f.RemoveGrant(f.ctx, u.ID, "app", f.event(idp.EventConsentRevoked, u.ID)))
		_, _, err := f.FamilyWithUser(f.ctx, gone.ID)
		f.refuses(err, idp.ErrNotFound)
		_, _, err = f.FamilyWithUser(f.ctx, stays.ID)
		f.must(err)
		f.same(len(must2(f.GrantsOf(f.ctx, u.ID))(f)), 1)
		f.refuses(f.RemoveGrant(f.ctx, u.ID, "app", f.event(idp.EventConsentRevoked, u.ID)), idp.ErrNotFound)
		f.same(len(f.events()), 1)
	},
}

// basis returns what the look-up of an access token reads of a family.
func basis(f idp.Family) idp.Family {
	return idp.Family{
		ID: f.ID, ClientID: f.ClientID, UserID: f.UserID, SessionID: f.SessionID, Assurance: f.Assurance, Claims: f.Claims,
	}
}

// stored returns all of a live family.
func (f *fixture) stored(fam idp.Family) idp.Family {
	f.Helper()
	all := must2(f.RecentFamilies(f.ctx, fam.UserID, time.Time{}))(f)
	i := slices.IndexFunc(all, func(other idp.Family) bool { return other.ID == fam.ID })
	if i < 0 {
		f.Fatalf("family %s is gone", fam.ID)
	}
	return all[i]
}

var familyCases = map[string]func(*fixture){
	"a family comes back as it was stored, with its user, each in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		want := newFamily(u, f.now)
		f.client(want.ClientID)
		_ = must2(f.Client(f.ctx, want.ClientID))(f) // from now on it is in the cache
		n := f.trips(func() {
			got, owner := f.create(want, nil, f.event(idp.EventTokensIssued, u.ID))
			f.same(got, want)
			f.same(owner, u)
		})
		f.same(n, int64(1))
		n = f.trips(func() {
			got, owner, err := f.FamilyWithUser(f.ctx, want.ID)
			f.must(err)
			f.same(got, basis(want))
			f.same(owner, u)
		})
		f.same(n, int64(1))
		f.same(f.events(), []idp.EventKind{idp.EventTokensIssued})
	},
	"families without refresh tokens do not collide": func(f *fixture) {
		u := f.user("a@example.org")
		for range 2 {
			f.family(u, func(fam *idp.Family) { fam.HandleHash, fam.CurrentHash = "", "" })
		}
		_, _, err := f.RotateFamily(f.ctx, store.FamilyKey{HandleHash: ""}, "", "next", "app", f.now, time.Minute)
		f.refuses(err, idp.ErrNotFound)
	},
	"no family, no token and no event for a user who is gone or disabled": func(f *fixture) {
		u := f.user("a@example.org")
		f.disable(u)
		for _, u := range []idp.User{u, idp.NewUser("b@example.org", "B", f.now)} {
			fam := newFamily(u, f.now)
			f.client(fam.ClientID)
			token := &store.OpaqueToken{Hash: "t", FamilyID: fam.ID, IssuedAt: f.now, ExpiresAt: f.now.Add(time.Minute)}
			_, _, err := f.CreateFamily(f.ctx, fam, token, f.event(idp.EventTokensIssued, u.ID))
			f.refuses(err, idp.ErrNotFound)
			f.refuses(f.AddOpaque(f.ctx, *token), idp.ErrNotFound)
		}
		f.same(len(f.events()), 0)
	},
	"no family of a client that is gone or disabled, even if it is in the cache": func(f *fixture) {
		u := f.user("a@example.org")
		fam := newFamily(u, f.now)
		_, _, err := f.CreateFamily(f.ctx, fam, nil)
		f.refuses(err, idp.ErrNotFound)
		f.client(fam.ClientID)
		f.must(f.DisableClient(f.ctx, fam.ClientID, f.now))
		_, _, err = f.CreateFamily(f.ctx, fam, nil)
		f.refuses(err, idp.ErrNotFound)
		f.must(f.EnableClient(f.ctx, fam.ClientID, f.now))
		f.create(fam, nil)
	},
	"no family of a session that has ended, offline or not": func(f *fixture) {
		u := f.user("a@example.org")
		fam := newFamily(u, f.now)
		f.client(fam.ClientID)
		must2(f.EndSession(f.ctx, u.ID, fam.SessionID, f.now))(f)
		for _, offline := range []bool{true, false} {
			fam.Offline = offline
			_, _, err := f.CreateFamily(f.ctx, fam, nil)
			f.refuses(err, idp.ErrNotFound)
		}
		fam.SessionID = "another"
		f.create(fam, nil)
	},
	"a code that was used twice yields nothing, in either order": func(f *fixture) {
		u := f.user("a@example.org")
		for range 20 {
			fam := newFamily(u, f.now)
			f.client(fam.ClientID)
			f.race(2, idp.ErrNotFound, func(i int) error {
				if i == 0 {
					_, _, err := f.CreateFamily(f.ctx, fam, nil)
					return err
				}
				_, err := f.SpendFamily(f.ctx, fam.ID, f.now, f.event(idp.EventCodeReused, ""))
				return err
			})
			_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
			f.refuses(err, idp.ErrNotFound)
		}
	},
	"ending the basis of a family while it is created leaves nothing alive": func(f *fixture) {
		for round := range 8 {
			u := f.user(fmt.Sprintf("u%d@example.org", round))
			for what, end := range map[string]func(fam idp.Family) error{
				"session": func(fam idp.Family) error { _, err := f.EndSession(f.ctx, u.ID, fam.SessionID, f.now); return err },
				"client":  func(fam idp.Family) error { return f.DisableClient(f.ctx, fam.ClientID, f.now) },
				"grant":   func(fam idp.Family) error { return f.RemoveGrant(f.ctx, u.ID, fam.ClientID) },
			} {
				fam := newFamily(u, f.now)
				fam.ClientID, fam.SessionID, fam.Offline, fam.Granted = fmt.Sprint(what, round), idp.NewID(), false, true
				f.client(fam.ClientID)
				f.must(f.PutGrant(f.ctx, idp.Grant{
					UserID: u.ID, ClientID: fam.ClientID, Scopes: []string{"openid"},
					CreatedAt: f.now, UpdatedAt: f.now,
				}))
				f.race(2, idp.ErrNotFound, func(i int) error {
					if i == 0 {
						_, _, err := f.CreateFamily(f.ctx, fam, nil)
						return err
					}
					return end(fam)
				})
				_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
				f.refuses(err, idp.ErrNotFound)
			}
			fam := newFamily(u, f.now)
			f.client(fam.ClientID)
			f.race(2, idp.ErrNotFound, func(i int) error {
				if i == 0 {
					_, _, err := f.CreateFamily(f.ctx, fam, nil)
					return err
				}
				return f.DisableUser(f.ctx, u.ID, f.now)
			})
			f.must(f.EnableUser(f.ctx, u.ID, f.now))
			_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
			f.refuses(err, idp.ErrNotFound)
		}
	},
	"a granted family is created only if its grant exists, in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		fam := newFamily(u, f.now)
		f.client(fam.ClientID)
		fam.Granted = true
		for _, client := range []string{"another", "app"} {
			_, _, err := f.CreateFamily(f.ctx, fam, nil, f.event(idp.EventTokensIssued, u.ID))
			f.refuses(err, idp.ErrNotFound)
			f.must(f.PutGrant(f.ctx, idp.Grant{
				UserID: u.ID, ClientID: client, Scopes: []string{"openid"}, CreatedAt: f.now,
				UpdatedAt: f.now,
			}))
		}
		f.same(len(f.events()), 0)
		f.same(f.trips(func() {
			_, _, err := f.CreateFamily(f.ctx, fam, nil)
			f.must(err)
		}), int64(1))
		f.must(f.RemoveGrant(f.ctx, u.ID, "app"))
		_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
		f.refuses(err, idp.ErrNotFound)
	},
	"an opaque token finds its family and user in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		fam := newFamily(u, f.now)
		f.client(fam.ClientID)
		_ = must2(f.Client(f.ctx, fam.ClientID))(f)
		first := store.OpaqueToken{
			Hash: "t1", FamilyID: fam.ID, Scopes: []string{"openid"},
			Audience: []string{"https://api"}, Details: fam.Details, IssuedAt: f.now, ExpiresAt: f.now.Add(time.Minute),
		}
		n := f.trips(func() { f.create(fam, &first) })
		f.same(n, int64(1))
		second := first
		second.Hash, second.Scopes, second.Confirmation = "t2", nil, idp.Confirmation{JKT: "thumbprint", X5T: "certificate"}
		f.must(f.AddOpaque(f.ctx, second))
		for _, want := range []store.OpaqueToken{first, second} {
			n = f.trips(func() {
				token, family, user, err := f.FamilyByOpaque(f.ctx, want.Hash)
				f.must(err)
				f.same(token, want)
				f.same(family, basis(fam))
				f.same(user, u)
			})
			f.same(n, int64(1))
		}
		f.refuses(f.AddOpaque(f.ctx, first), idp.ErrConflict)
	},
	"expired, revoked and disabled are all not found": func(f *fixture) {
		gone := func(fam idp.Family, token string) {
			f.Helper()
			_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
			f.refuses(err, idp.ErrNotFound)
			_, _, _, err = f.FamilyByOpaque(f.ctx, token)
			f.refuses(err, idp.ErrNotFound)
			_, _, err = f.RotateFamily(f.ctx, key(fam), "first", "second", "app", f.now, time.Minute)
			f.refuses(err, idp.ErrNotFound)
		}
		token := func(fam idp.Family) string {
			f.Helper()
			f.must(f.AddOpaque(f.ctx, store.OpaqueToken{
				Hash: "of " + fam.ID, FamilyID: fam.ID,
				ExpiresAt: f.now.Add(time.Hour),
			}))
			return "of " + fam.ID
		}
		u := f.user("a@example.org")
		expired := f.family(u, func(fam *idp.Family) { fam.ExpiresAt = f.now })
		gone(expired, token(expired))
		revoked := f.family(u, nil)
		f.must(f.RevokeFamily(f.ctx, revoked.ID, "", f.now))
		gone(revoked, token(revoked))
		of := f.family(u, nil)
		hash := token(of)
		f.disable(u)
		gone(of, hash)

		v := f.user("b@example.org")
		live := f.family(v, nil)
		f.must(f.AddOpaque(f.ctx, store.OpaqueToken{Hash: "old", FamilyID: live.ID, ExpiresAt: f.now}))
		_, _, _, err := f.FamilyByOpaque(f.ctx, "old")
		f.refuses(err, idp.ErrNotFound)
	},
	"a rotation makes the presented token the previous one, in one round trip": func(f *fixture) {
		u := f.user("a@example.org")
		fam := f.family(u, nil)
		n := f.trips(func() {
			got, owner, err := f.RotateFamily(f.ctx, key(fam), "first", "second", "app", f.now, time.Minute)
			f.must(err)
			fam.PreviousHash, fam.CurrentHash, fam.RotatedAt = "first", "second", f.now
			f.same(got, fam)
			f.same(owner, u)
		})
		f.same(n, int64(1))
		f.same(f.stored(fam), fam)
	},
	"the previous token is good for the grace and not a millisecond longer": func(f *fixture) {
		fam := f.family(f.user("a@example.org"), nil)
		rotate := func(presented, next string, at time.Duration) error {
			_, _, err := f.RotateFamily(f.ctx, key(fam), presented, next, "app", f.now.Add(at), 10*time.Second)
			return err
		}
		f.must(rotate("first", "second", 0))
		f.must(rotate("first", "second", 10*time.Second-time.Millisecond))
		f.refuses(rotate("first", "second", 10*time.Second), idp.ErrNotFound)
		f.must(rotate("second", "third", 11*time.Second))
		f.refuses(rotate("first", "second", 11*time.Second), idp.ErrNotFound) // two generations old
		f.must(rotate("second", "third", 12*time.Second))
		got := f.stored(fam)
		f.same([]string{got.PreviousHash, got.CurrentHash}, []string{"second", "third"})
		f.same(got.RotatedAt, f.now.Add(11*time.Second))
	},
	"a rotation that is taken back leaves the token as it was": func(f *fixture) {
		fam := f.family(f.user("a@example.org"), nil)
		rotate := func(presented, next string, at time.Duration) error {
			_, _, err := f.RotateFamily(f.ctx, key(fam), presented, next, "app", f.now.Add(at), 10*time.Second)
			return err
		}
		undo := func(presented, next string, at time.Duration) {
			f.must(f.UndoRotation(f.ctx, fam.ID, presented, next, f.now.Add(at)))
		}
		f.must(rotate("first", "second", 0))
		undo("first", "second", 0)
		f.refuses(rotate("second", "third", time.Second), idp.ErrNotFound) // it was never delivered
		f.must(rotate("first", "second", time.Minute))
		undo("first", "second", 0) // of another rotation
		f.must(rotate("second", "third", 2*time.Minute))
		undo("first", "second", time.Minute) // too late
		f.must(rotate("third", "fourth", 3*time.Minute))
		f.refuses(rotate("second", "third", 3*time.Minute), idp.ErrNotFound)
	},
	"looking at a family by its refresh token changes nothing": func(f *fixture) {
		fam := f.family(f.user("a@example.org"), nil)
		look := func(presented, client string, at time.Duration) error {
			got, err := f.FamilyByRefresh(f.ctx, key(fam), presented, client, f.now.Add(at), 10*time.Second)
			if err == nil && got.ID != fam.ID {
				f.T.Errorf("family %s", got.ID)
			}
			return err
		}
		f.must(look("first", "app", 0))
		f.refuses(look("first", "other", 0), idp.ErrNotFound)
		f.refuses(look("second", "app", 0), idp.ErrNotFound)
		_, _, err := f.RotateFamily(f.ctx, key(fam), "first", "second", "app", f.now, 10*time.Second)
		f.must(err)
		f.must(look("second", "app", 0))
		f.must(look("first", "app", 9*time.Second))
		f.refuses(look("first", "app", 10*time.Second), idp.ErrNotFound)
	},
	"without a grace the current token works once": func(f *fixture) {
		fam := f.family(f.user("a@example.org"), nil)
		won := f.race(8, idp.ErrNotFound, func(int) error {
			_, _, err := f.RotateFamily(f.ctx, key(fam), "first", "second", "app", f.now, 0)
			return err
		})
		f.same(won, 1)
	},
	"presenting the current token eight times at once rotates it once": func(f *fixture) {
		fam := f.family(f.user("a@example.org"), nil)
		won := f.race(8, nil, func(i int) error {
			got, _, err := f.RotateFamily(f.ctx, key(fam), "first", "second", "app",
				f.now.Add(time.Duration(i)*time.Millisecond), time.Minute)
			if err == nil && (got.CurrentHash != "second" || got.PreviousHash != "first") {
				f.Errorf("rotated to %q after %q", got.CurrentHash, got.PreviousHash)
			}
			return err
		})
		f.same(won, 8)
		got := f.stored(fam)
		f.same([]string{got.PreviousHash, got.CurrentHash}, []string{"first", "second"})
	},
	"a refresh token works for its client only, and not in part": func(f *fixture) {
		fam := f.family(f.user("a@example.org"), nil)
		for _, try := range [][3]string{
			{fam.HandleHash, "first", "thief"},
			{fam.HandleHash, "guess", "app"},
			{fam.HandleHash, "", "app"},
			{"unknown", "first", "app"},
		} {
			_, _, err := f.RotateFamily(f.ctx, store.FamilyKey{HandleHash: try[0]}, try[1], "next", try[2], f.now, time.Minute)
			f.refuses(err, idp.ErrNotFound)
		}
		_, _, err := f.RotateFamily(f.ctx, key(fam), "first", "second", "app", f.now, time.Minute)
		f.must(err)
	},
}
