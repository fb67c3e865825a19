package store_test

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

var windowCases = map[string]func(*fixture){
	"a window is closed for all families of its authentication, earlier and later, and for no others": func(f *fixture) {
		u, other := f.user("a@example.org"), f.user("b@example.org")
		two := func(fam *idp.Family) { fam.Assurance.ActionClasses = []string{"payments", "admin"} }
		before := f.family(u, two)
		f.must(f.AddOpaque(f.ctx, store.OpaqueToken{Hash: "t", FamilyID: before.ID, ExpiresAt: f.now.Add(time.Hour)}))
		fresh := f.family(u, func(fam *idp.Family) { two(fam); fam.Assurance.AuthenticationID = "a2" })
		n := f.trips(func() {
			f.must(f.CloseWindow(f.ctx, u.ID, "a1", "payments", f.now, f.event(idp.EventWindowClosed, u.ID)))
		})
		f.same(n, int64(1))

		after := newFamily(u, f.now)
		two(&after)
		stored, _ := f.create(after, nil)
		f.same(stored.Assurance.ActionClasses, []string{"admin"})
		open := func(id string, want ...string) {
			f.Helper()
			got, _, err := f.FamilyWithUser(f.ctx, id)
			f.must(err)
			f.same(got.Assurance.ActionClasses, want)
		}
		open(before.ID, "admin")
		open(after.ID, "admin")
		open(fresh.ID, "payments", "admin")
		_, byToken, _, err := f.FamilyByOpaque(f.ctx, "t")
		f.must(err)
		f.same(byToken.Assurance.ActionClasses, []string{"admin"})
		rotated, _, err := f.RotateFamily(f.ctx, key(before), "first", "second", "app", f.now, 0)
		f.must(err)
		f.same(rotated.Assurance.ActionClasses, []string{"admin"})

		for range 2 { // closing twice is no error
			f.must(f.CloseWindow(f.ctx, u.ID, "a1", "admin", f.now))
		}
		open(before.ID)
		f.must(f.CloseWindow(f.ctx, other.ID, "a2", "payments", f.now)) // another user's: nothing happens
		open(fresh.ID, "payments", "admin")
		f.must(f.CloseWindow(f.ctx, other.ID, "a1", "payments", f.now))
		open(before.ID)
		f.same(f.events(), []idp.EventKind{idp.EventWindowClosed})
	},
	"windows closed at once are both closed": func(f *fixture) {
		u := f.user("a@example.org")
		fam := f.family(u, func(fam *idp.Family) { fam.Assurance.ActionClasses = []string{"c0", "c1", "c2", "c3", "c4"} })
		f.same(f.race(4, nil, func(i int) error {
			return f.CloseWindow(f.ctx, u.ID, "a1", []string{"c0", "c1", "c2", "c3"}[i], f.now)
		}), 4)
		got, _, err := f.FamilyWithUser(f.ctx, fam.ID)
		f.must(err)
		f.same(got.Assurance.ActionClasses, []string{"c4"})
	},
	"the recent families of a user are the live ones since a time, newest first": func(f *fixture) {
		u, other := f.user("a@example.org"), f.user("b@example.org")
		at := func(u idp.User, minutes int, change func(*idp.Family)) string {
			return f.family(u, func(fam *idp.Family) {
				fam.CreatedAt = f.now.Add(time.Duration(minutes) * time.Minute)
				if change != nil {
					change(fam)
				}
			}).ID
		}
		at(u, -60, nil)
		older, newer := at(u, -5, nil), at(u, -1, nil)
		at(u, -1, func(fam *idp.Family) { fam.RevokedAt = f.now })
		at(u, -1, func(fam *idp.Family) { fam.ExpiresAt = f.now })
		at(other, -1, nil)
		var ids []string
		for _, fam := range must2(f.RecentFamilies(f.ctx, u.ID, f.now.Add(-10*time.Minute)))(f) {
			ids = append(ids, fam.ID)
		}
		f.same(ids, []string{newer, older})
	},
}
