package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/store/leases"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/store/registrations"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

var outboxCases = map[string]func(*fixture){
	"a link can be looked at, and is taken once": func(f *fixture) {
		l := idp.Link{Hash: "h", Kind: "enrol", UserID: "u", CreatedAt: f.now, ExpiresAt: f.now.Add(time.Hour)}
		f.must(f.PutLink(f.ctx, l, f.event(idp.EventUserInvited, "u")))
		f.same(must2(f.PeekLink(f.ctx, "h", "enrol", f.now))(f), l)
		for _, try := range []struct {
			hash, kind string
			at         time.Duration
		}{{"other", "enrol", 0}, {"h", "verify", 0}, {"h", "enrol", time.Hour}} {
			_, err := f.PeekLink(f.ctx, try.hash, try.kind, f.now.Add(try.at))
			f.refuses(err, idp.ErrNotFound)
			_, err = f.TakeLink(f.ctx, try.hash, try.kind, f.now.Add(try.at))
			f.refuses(err, idp.ErrNotFound)
		}
		won := f.race(8, idp.ErrNotFound, func(int) error {
			got, err := f.TakeLink(f.ctx, "h", "enrol", f.now)
			if err == nil && got != l {
				f.Errorf("took %+v", got)
			}
			return err
		})
		f.same(won, 1)
		_, err := f.PeekLink(f.ctx, "h", "enrol", f.now)
		f.refuses(err, idp.ErrNotFound)
		f.same(f.events(), []idp.EventKind{idp.EventUserInvited})
	},
	"mail is claimed once, is due again when its lease ends, and is removed when delivered": func(f *fixture) {
		m := outbox.Mail{
			ID: idp.NewID(), To: "a@example.org", Subject: "Code", Text: "text", HTML: "<p>", CreatedAt: f.now,
			NextAt: f.now,
		}
		f.must(outbox.EnqueueMail(f.ctx, f.DB, m))
		_, err := outbox.ClaimMail(f.ctx, f.DB, f.now.Add(-time.Millisecond), time.Minute)
		f.refuses(err, idp.ErrNotFound)
		won := f.race(8, idp.ErrNotFound, func(int) error {
			_, err := outbox.ClaimMail(f.ctx, f.DB, f.now, time.Minute)
			return err
		})
		f.same(won, 1)
		_, err = outbox.ClaimMail(f.ctx, f.DB, f.now.Add(time.Minute-time.Millisecond), time.Minute)
		f.refuses(err, idp.ErrNotFound)
		got := must2(outbox.ClaimMail(f.ctx, f.DB, f.now.Add(time.Minute), time.Minute))(f)
		m.Attempts, m.NextAt = 2, f.now.Add(2*time.Minute)
		f.same(got, m)
		f.must(outbox.FinishMail(f.ctx, f.DB, m.ID, "mailbox full", f.now.Add(time.Hour)))
		_, err = outbox.ClaimMail(f.ctx, f.DB, f.now.Add(time.Hour-time.Millisecond), time.Minute)
		f.refuses(err, idp.ErrNotFound)
		f.same(must2(outbox.ClaimMail(f.ctx, f.DB, f.now.Add(time.Hour), time.Minute))(f).Attempts, 3)
		f.must(outbox.FinishMail(f.ctx, f.DB, m.ID, "", time.Time{}))
		_, err = outbox.ClaimMail(f.ctx, f.DB, f.now.Add(24*time.Hour), time.Minute)
		f.refuses(err, idp.ErrNotFound)
	},
	"mail that is given up is removed": func(f *fixture) {
		f.must(outbox.EnqueueMail(f.ctx, f.DB, outbox.Mail{ID: "m", CreatedAt: f.now, NextAt: f.now}))
		f.must(outbox.FinishMail(f.ctx, f.DB, "m", "no such address", time.Time{}))
		_, err := outbox.ClaimMail(f.ctx, f.DB, f.now.Add(24*time.Hour), time.Minute)
		f.refuses(err, idp.ErrNotFound)
	},
	"eight callers who claim eight messages get one each": func(f *fixture) {
		for i := range 8 {
			f.must(outbox.EnqueueMail(f.ctx, f.DB, outbox.Mail{ID: fmt.Sprint(i), CreatedAt: f.now, NextAt: f.now}))
		}
		var mu sync.Mutex
		var claimed []string
		f.race(8, idp.ErrNotFound, func(int) error {
			m, err := outbox.ClaimMail(f.ctx, f.DB, f.now, time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				claimed = append(claimed, m.ID)
			}
			return err
		})
		slices.Sort(claimed)
		f.same(slices.Compact(slices.Clone(claimed)), claimed)
	},
	"a lease has one holder, who may renew it, until it expires": func(f *fixture) {
		var mu sync.Mutex
		var holder string
		f.race(8, nil, func(i int) error {
			me := fmt.Sprint(i)
			got, err := leases.Take(f.ctx, f.DB, "rotate", me, time.Minute, f.now)
			mu.Lock()
			defer mu.Unlock()
			if got {
				if holder != "" {
					f.Errorf("%s and %s have it", holder, me)
				}
				holder = me
			}
			return err
		})
		lease := func(who string, at time.Duration, want bool) {
			f.Helper()
			f.same(must2(leases.Take(f.ctx, f.DB, "rotate", who, time.Minute, f.now.Add(at)))(f), want)
		}
		lease(holder, 30*time.Second, true)
		lease("other", time.Minute, false)
		lease("other", 90*time.Second, true)
		lease(holder, 91*time.Second, false)
		f.same(must2(leases.Take(f.ctx, f.DB, "sweep", "other", time.Minute, f.now))(f), true)
	},
	"a lease that ends too far in the future counts as expired": func(f *fixture) {
		const month = 31 * 24 * time.Hour
		f.same(must2(leases.Take(f.ctx, f.DB, "rotate", "ahead", 2*time.Minute, f.now.Add(month)))(f), true)
		f.same(must2(leases.Take(f.ctx, f.DB, "rotate", "other", 2*time.Minute, f.now))(f), true)
		f.same(must2(leases.Take(f.ctx, f.DB, "rotate", "third", 2*time.Minute, f.now))(f), false)
		f.same(must2(leases.Take(f.ctx, f.DB, "rotate", "read the clock before", 2*time.Minute,
			f.now.Add(-6*time.Second)))(f), false)
	},
	"the database returns its time": func(f *fixture) {
		before := time.Now().Add(-time.Millisecond)
		now := must2(f.Now(f.ctx))(f)
		if now.Before(before) || now.After(time.Now().Add(time.Millisecond)) {
			f.Errorf("%v is not between %v and %v", now, before, time.Now())
		}
	},
}

var sweepCases = map[string]func(*fixture){
	"a sweep takes what has expired and leaves the rest": func(f *fixture) {
		const year = 400 * 24 * time.Hour
		u := f.user("a@example.org")
		k := f.passkey(u)
		live := f.family(u, nil)
		f.must(f.AddOpaque(f.ctx, store.OpaqueToken{Hash: "live", FamilyID: live.ID, ExpiresAt: f.now.Add(time.Hour)}))
		f.must(f.PutLink(f.ctx, idp.Link{Hash: "live", ExpiresAt: f.now.Add(time.Millisecond)}))
		f.must(outbox.EnqueueMail(f.ctx, f.DB, outbox.Mail{ID: "live", CreatedAt: f.now, NextAt: f.now}))
		f.must(f.AddSigningKey(f.ctx, idp.SigningKey{ID: "live", Algorithm: "ES256", State: idp.KeyActive}))
		f.must(f.record(k, idp.Authentication{ID: "live", UserID: u.ID, At: f.now},
			f.event(idp.EventSignedIn, u.ID)))
		f.must(f.CloseWindow(f.ctx, u.ID, "live", "payments", f.now))
		f.same(must2(f.Sweep(f.ctx, f.now))(f), int64(0))

		f.must(f.CloseWindow(f.ctx, u.ID, "dead", "payments", f.now.Add(-24*time.Hour)))
		dead := f.family(u, func(fam *idp.Family) { fam.ExpiresAt = f.now })
		f.must(f.AddOpaque(f.ctx, store.OpaqueToken{
			Hash: "of the dead", FamilyID: dead.ID,
			ExpiresAt: f.now.Add(time.Hour),
		})) // goes with it, not counted
		f.must(f.AddOpaque(f.ctx, store.OpaqueToken{Hash: "dead", FamilyID: live.ID, ExpiresAt: f.now}))
		f.must(f.PutLink(f.ctx, idp.Link{Hash: "dead", ExpiresAt: f.now}))
		f.must(outbox.EnqueueMail(f.ctx, f.DB, outbox.Mail{ID: "dead", CreatedAt: f.now.Add(-72 * time.Hour), NextAt: f.now}))
		f.must(f.AddSigningKey(f.ctx, idp.SigningKey{
			ID: "dead", Algorithm: "ES256", State: idp.KeyRetired, ExpiresAt: f.now,
		}))
		old := idp.Authentication{ID: idp.NewIDAt(f.now.Add(-year)), UserID: u.ID, At: f.now.Add(-year)}
		f.must(f.record(k, old, f.aging(1, 0, 0)...))
		must2(leases.Take(f.ctx, f.DB, "dead", "me", 0, f.now))(f)
		f.same(must2(f.Sweep(f.ctx, f.now))(f), int64(9))
		f.same(must2(f.Sweep(f.ctx, f.now))(f), int64(0))

		_, _, _, err := f.FamilyByOpaque(f.ctx, "live")
		f.must(err)
		must2(f.PeekLink(f.ctx, "live", "", f.now))(f)
		f.same(must2(outbox.ClaimMail(f.ctx, f.DB, f.now, time.Minute))(f).ID, "live")
		f.same(len(must2(f.SigningKeys(f.ctx))(f)), 1)
		f.same(len(f.events()), 1)
	},
	"a sweep deletes 500 rows a statement": func(f *fixture) {
		var events []idp.Event
		for range 1100 {
			events = append(events, idp.NewEvent("", "", f.now.Add(-400*24*time.Hour)))
		}
		f.must(f.RecordEvents(f.ctx, events...))
		idle := f.trips(func() { must2(f.Sweep(f.ctx, f.now.Add(-time.Second)))(f) })
		busy := f.trips(func() { f.same(must2(f.Sweep(f.ctx, f.now))(f), int64(1100)) })
		f.same(busy-idle, int64(2)) // three bites instead of one
	},
	"after a jump of the clock no live rows are deleted for a day": func(f *fixture) {
		const month = 31 * 24 * time.Hour
		fill := func(n int, left time.Duration) { f.must(f.RecordEvents(f.ctx, f.aging(n, left, 0)...)) }
		alive := func() int { return len(must2(f.Events(f.ctx, "", 5000))(f)) }
		sweep := func(at time.Duration) *store.SweepHeld {
			f.Helper()
			_, err := f.Sweep(f.ctx, f.now.Add(at))
			held, ok := errors.AsType[*store.SweepHeld](err)
			if !ok {
				f.must(err)
			}
			return held
		}
		fill(500, 30*time.Minute)
		fill(1001, 30*24*time.Hour)
		if held := sweep(0); held != nil {
			f.Fatal(held)
		}
		first, again := sweep(month), sweep(month+time.Minute)
		if first == nil || !first.First ||
			first.Table != "journal" && first.Table != "events" || first.Rows != 1001 || again == nil || again.First {
			f.Fatalf("%v, then %v", first, again)
		}
		f.same(alive(), 1501)
		if held := sweep(time.Minute); held != nil { // the clock is right again
			f.Fatal(held)
		}
		if held := sweep(time.Hour); held != nil {
			f.Fatal(held)
		}
		f.same(alive(), 1001)
		if held := sweep(month); held == nil || !held.First {
			f.Fatal(held)
		}
		if held := sweep(month + 24*time.Hour); held != nil { // the clock was not corrected in time
			f.Fatal(held)
		}
		f.same(alive(), 0)
	},
	"after a long pause a sweep deletes a part, and under a wrong clock no signing key": func(f *fixture) {
		f.must(f.RecordEvents(f.ctx, f.aging(6000, 2*time.Hour, time.Minute)...))
		must2(f.Sweep(f.ctx, f.now))(f)
		f.same(must2(f.Sweep(f.ctx, f.now.Add(20*time.Hour)))(f), int64(1081)) // 18 % of them
		f.must(f.AddSigningKey(f.ctx, idp.SigningKey{
			ID: "old", Algorithm: "ES256", State: idp.KeyRetired,
			ExpiresAt: f.now.Add(48 * time.Hour),
		}))
		_, err := f.Sweep(f.ctx, f.now.Add(49*time.Hour))
		if held, ok := errors.AsType[*store.SweepHeld](err); !ok || held.Table != "signing_keys" {
			f.Error(err)
		}
		f.same(len(must2(f.SigningKeys(f.ctx))(f)), 1)
	},
	"a jump of the clock removes no clients": func(f *fixture) {
		const month = 30 * 24 * time.Hour
		for range 1001 {
			f.must(registrations.Register(f.ctx, f.DB, idp.Client{ID: idp.NewID(), UsedAt: f.now}, "", f.now))
		}
		f.same(must2(f.SweepClients(f.ctx, f.now.Add(-month), f.now))(f), int64(0))
		_, err := f.SweepClients(f.ctx, f.now, f.now.Add(month))
		if held, ok := errors.AsType[*store.SweepHeld](err); !ok || held.Table != "clients" {
			f.Error(err)
		}
	},
}

// aging returns n events. A sweep takes the first after left, and each further one after each more.
func (f *fixture) aging(n int, left, each time.Duration) (events []idp.Event) {
	for i := range n {
		at := f.now.Add(-400*24*time.Hour + left + time.Duration(i)*each)
		events = append(events, idp.NewEvent("", "", at))
	}
	return events
}
