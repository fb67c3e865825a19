package store_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/outbox"
)

// watched stores a family of this session whose client wants to hear of the session's end.
func (f *fixture) watched(u idp.User, sid, client string) idp.Family {
	f.Helper()
	return f.family(u, func(fam *idp.Family) {
		fam.SessionID, fam.ClientID, fam.Offline, fam.WatchFrom = sid, client, false, f.now.Add(time.Minute)
	})
}

// queued returns the sessions and clients of the outbox, and claims them for an hour.
func (f *fixture) queued(at time.Time) (found []string) {
	f.Helper()
	for _, client := range must2(outbox.ClientsToTell(f.ctx, f.DB, at))(f) {
		for {
			l, err := outbox.ClaimLogout(f.ctx, f.DB, client, at, time.Hour)
			if err != nil {
				f.refuses(err, idp.ErrNotFound)
				break
			}
			found = append(found, l.SessionID+" "+l.ClientID+" "+l.UserID)
		}
	}
	slices.Sort(found)
	return found
}

var logoutCases = map[string]func(*fixture){
	"the end of a session ends what must not outlive it": func(f *fixture) {
		u := f.user("a@example.org")
		bound := f.family(u, func(fam *idp.Family) { fam.Offline = false })
		offline := f.family(u, nil)
		elsewhere := f.family(u, func(fam *idp.Family) { fam.Offline, fam.SessionID = false, "another" })
		none := f.family(u, func(fam *idp.Family) { fam.Offline, fam.SessionID = false, "" })
		f.same(must2(f.EndSession(f.ctx, u.ID, "sid", f.now, f.event(idp.EventSignedOut, u.ID)))(f), []string(nil))
		must2(f.EndSession(f.ctx, u.ID, "", f.now))(f)
		must2(f.EndSession(f.ctx, u.ID, "other", f.now))(f)
		must2(f.EndSession(f.ctx, f.user("b@example.org").ID, "another", f.now))(f) // nobody ends the session of another
		_, _, err := f.FamilyWithUser(f.ctx, bound.ID)
		f.refuses(err, idp.ErrNotFound)
		for _, fam := range []idp.Family{offline, elsewhere, none} {
			_, _, err := f.FamilyWithUser(f.ctx, fam.ID)
			f.must(err)
		}
		f.same(f.events(), []idp.EventKind{idp.EventSignedOut})
		f.same(f.queued(f.now), []string(nil)) // no client wanted to hear of it
	},
	"the clients that want to hear of the end of a session are queued once each, offline ones too": func(f *fixture) {
		u := f.user("a@example.org")
		f.watched(u, "sid", "app")
		f.watched(u, "sid", "app")
		f.family(u, func(fam *idp.Family) { fam.ClientID, fam.WatchFrom = "offline", f.now })
		f.watched(u, "other", "app")
		f.family(u, func(fam *idp.Family) { fam.SessionID, fam.WatchFrom = "", f.now }) // of no session
		f.same(must2(f.EndSession(f.ctx, u.ID, "sid", f.now))(f), []string{"app", "offline"})
		f.same(must2(f.EndSession(f.ctx, u.ID, "sid", f.now))(f), []string(nil))
		f.same(f.queued(f.now.Add(-time.Millisecond)), []string(nil))
		f.same(f.queued(f.now), []string{"sid app " + u.ID, "sid offline " + u.ID})
		f.same(f.queued(f.now), []string(nil))
		select {
		case <-f.LogoutsQueued():
		default:
			f.Error("no signal that logouts are queued")
		}
	},
	"a session ends and its clients are queued together or not at all": func(f *fixture) {
		u := f.user("a@example.org")
		fam := f.watched(u, "sid", "app")
		ev := f.event(idp.EventSignedOut, u.ID)
		f.must(f.RecordEvents(f.ctx, ev))
		_, err := f.EndSession(f.ctx, u.ID, "sid", f.now, ev) // an event that is there already fails the batch
		f.refuses(err, idp.ErrConflict)
		_, _, err = f.FamilyWithUser(f.ctx, fam.ID)
		f.must(err)
		f.same(f.queued(f.now), []string(nil))
		f.same(must2(f.EndSession(f.ctx, u.ID, "sid", f.now))(f), []string{"app"})
	},
	"disabling a user revokes tokens and tells the clients of all sessions; enabling restores neither": func(f *fixture) {
		u, other := f.user("a@example.org"), f.user("b@example.org")
		mine, others := f.family(u, nil), f.family(other, nil)
		f.watched(u, "one", "app")
		f.watched(u, "two", "app")
		f.watched(other, "three", "app")
		f.must(f.DisableUser(f.ctx, u.ID, f.now, f.event(idp.EventUserDisabled, u.ID)))
		f.refuses(f.DisableUser(f.ctx, u.ID, f.now, f.event(idp.EventUserDisabled, u.ID)), idp.ErrNotFound)
		f.same(must2(f.UserByID(f.ctx, u.ID))(f).DisabledAt, f.now)
		f.same(f.queued(f.now), []string{"one app " + u.ID, "two app " + u.ID})
		f.must(f.EnableUser(f.ctx, u.ID, f.now, f.event(idp.EventUserEnabled, u.ID)))
		f.refuses(f.EnableUser(f.ctx, u.ID, f.now), idp.ErrNotFound)
		_, _, err := f.FamilyWithUser(f.ctx, mine.ID)
		f.refuses(err, idp.ErrNotFound)
		_, _, err = f.FamilyWithUser(f.ctx, others.ID)
		f.must(err)
		f.same(f.events(), []idp.EventKind{idp.EventUserDisabled, idp.EventUserEnabled})
	},
	"a disabled client is unknown, its tokens end, and enabling brings back the client alone": func(f *fixture) {
		u := f.user("a@example.org")
		f.must(f.PutClient(f.ctx, idp.Client{ID: "app", Name: "App", CreatedAt: f.now}))
		fam := f.family(u, nil)
		must2(f.Client(f.ctx, "app"))(f) // cached
		f.must(f.DisableClient(f.ctx, "app", f.now, f.event(idp.EventClientDisabled, "")))
		f.refuses(f.DisableClient(f.ctx, "app", f.now), idp.ErrNotFound)
		_, err := f.Client(f.ctx, "app")
		f.refuses(err, idp.ErrNotFound)
		f.must(f.EnableClient(f.ctx, "app", f.now, f.event(idp.EventClientEnabled, "")))
		f.refuses(f.EnableClient(f.ctx, "app", f.now), idp.ErrNotFound)
		must2(f.Client(f.ctx, "app"))(f)
		_, _, err = f.FamilyWithUser(f.ctx, fam.ID)
		f.refuses(err, idp.ErrNotFound)
	},
	"watched sessions are checked when due, and the clients of expired ones are queued": func(f *fixture) {
		u := f.user("a@example.org")
		for _, sid := range []string{"lives", "gone"} {
			f.watched(u, sid, "app")
			f.watched(u, sid, "second")
		}
		due := f.now.Add(time.Minute)
		f.same(must2(outbox.WatchedSessions(f.ctx, f.DB, due.Add(-time.Millisecond), 10))(f), []string(nil))
		f.same(must2(outbox.WatchedSessions(f.ctx, f.DB, due, 10))(f), []string{"gone", "lives"})
		f.same(len(must2(outbox.WatchedSessions(f.ctx, f.DB, due, 1))(f)), 1)
		again := due.Add(time.Hour)
		f.must(outbox.SettleSessions(f.ctx, f.DB, map[string]time.Time{"lives": again}, []string{"gone"}, due))
		f.same(f.queued(due), []string{"gone app " + u.ID, "gone second " + u.ID})
		f.same(must2(outbox.WatchedSessions(f.ctx, f.DB, again.Add(-time.Millisecond), 10))(f), []string(nil))
		f.same(must2(outbox.WatchedSessions(f.ctx, f.DB, again, 10))(f), []string{"lives"})
	},
	"a logout is claimed by one, comes back when its lease ends, and leaves when it was heard": func(f *fixture) {
		u := f.user("a@example.org")
		f.watched(u, "sid", "app")
		must2(f.EndSession(f.ctx, u.ID, "sid", f.now))(f)
		won := f.race(8, idp.ErrNotFound, func(int) error {
			_, err := outbox.ClaimLogout(f.ctx, f.DB, "app", f.now, time.Minute)
			return err
		})
		f.same(won, 1)
		_, err := outbox.ClaimLogout(f.ctx, f.DB, "app", f.now.Add(time.Minute-time.Millisecond), time.Minute)
		f.refuses(err, idp.ErrNotFound)
		l := must2(outbox.ClaimLogout(f.ctx, f.DB, "app", f.now.Add(time.Minute), time.Minute))(f)
		f.same(l.Attempts, 2)
		stale := l
		stale.Attempts = 1 // the expired claim, which may not end the current one
		f.must(outbox.FinishLogout(f.ctx, f.DB, stale))
		f.must(outbox.PostponeLogout(f.ctx, f.DB, l, "answered 400", f.now.Add(time.Hour), false))
		l = must2(outbox.ClaimLogout(f.ctx, f.DB, "app", f.now.Add(time.Hour), time.Minute))(f)
		f.same([]any{l.Attempts, l.LastError, l.CreatedAt}, []any{3, "answered 400", f.now})
		f.must(outbox.FinishLogout(f.ctx, f.DB, l))
		f.same(f.queued(f.now.Add(24*time.Hour)), []string(nil))
	},
	"if a session ends again while its logout is delivered, the logout is sent again": func(f *fixture) {
		u := f.user("a@example.org")
		end := func(at time.Time, how func() error) outbox.Logout {
			f.watched(u, "sid", "app")
			f.must(how())
			return must2(outbox.ClaimLogout(f.ctx, f.DB, "app", at, time.Minute))(f)
		}
		first := end(f.now, func() error { // it was not found
			return outbox.SettleSessions(f.ctx, f.DB, nil, []string{"sid"}, f.now)
		})
		end(f.now.Add(time.Second), func() error {
			_, err := f.EndSession(f.ctx, u.ID, "sid", f.now.Add(time.Second))
			return err
		})
		f.must(outbox.FinishLogout(f.ctx, f.DB, first))
		f.must(outbox.PostponeLogout(f.ctx, f.DB, first, "late", f.now.Add(-time.Hour), false))
		f.same(f.queued(f.now.Add(30*time.Second)), []string(nil))
		f.same(f.queued(f.now.Add(time.Hour)), []string{"sid app " + u.ID})
	},
	"the longest due logout of a client comes first, and one failure to reach it postpones them all": func(f *fixture) {
		u := f.user("a@example.org")
		for i, client := range []string{"app", "app", "app", "other"} {
			f.watched(u, fmt.Sprint(i), client)
			must2(f.EndSession(f.ctx, u.ID, fmt.Sprint(i), f.now.Add(-time.Duration(i)*time.Second)))(f)
		}
		l := must2(outbox.ClaimLogout(f.ctx, f.DB, "app", f.now, time.Minute))(f)
		f.same(l.SessionID, "2")
		next := f.now.Add(time.Hour)
		f.must(outbox.PostponeLogout(f.ctx, f.DB, l, "no answer in time", next, true))
		f.same(f.queued(next.Add(-time.Millisecond)), []string{"3 other " + u.ID})
		f.same(f.queued(next), []string{"0 app " + u.ID, "1 app " + u.ID, "2 app " + u.ID})
	},
	"a logout that waited too long is given up with its event": func(f *fixture) {
		u := f.user("a@example.org")
		for _, sid := range []string{"old", "new"} {
			f.watched(u, sid, "app")
		}
		must2(f.EndSession(f.ctx, u.ID, "old", f.now.Add(-time.Hour)))(f)
		must2(f.EndSession(f.ctx, u.ID, "new", f.now))(f)
		given := func() int {
			return must2(outbox.GiveUpLogouts(f.ctx, f.DB, f.now.Add(-time.Hour), 10, func(l outbox.Logout) idp.Event {
				e := f.event(idp.EventLogoutGivenUp, l.UserID)
				e.SessionID = l.SessionID
				return e
			}))(f)
		}
		f.same([]int{given(), given()}, []int{1, 0})
		events := must2(f.Events(f.ctx, "", 10))(f)
		f.same([]any{len(events), events[0].Kind, events[0].SessionID}, []any{1, idp.EventLogoutGivenUp, "old"})
		f.same(f.queued(f.now), []string{"new app " + u.ID})
	},
	"a removed client leaves no logouts behind": func(f *fixture) {
		u := f.user("a@example.org")
		f.must(f.PutClient(f.ctx, idp.Client{ID: "app", Name: "App", CreatedAt: f.now}))
		f.watched(u, "ended", "app")
		f.watched(u, "lives", "app")
		must2(f.EndSession(f.ctx, u.ID, "ended", f.now))(f)
		f.must(f.RemoveClient(f.ctx, "app"))
		f.same(f.queued(f.now), []string(nil))
		f.same(must2(outbox.WatchedSessions(f.ctx, f.DB, f.now.Add(time.Hour), 10))(f), []string(nil))
	},
	"ending a session takes one round trip, with many clients and with none": func(f *fixture) {
		u := f.user("a@example.org")
		for i := range 50 {
			f.watched(u, "sid", fmt.Sprint(i))
		}
		f.same(f.trips(func() { must2(f.EndSession(f.ctx, u.ID, "nothing", f.now))(f) }), int64(1))
		f.same(f.trips(func() { must2(f.EndSession(f.ctx, u.ID, "sid", f.now))(f) }), int64(1))
	},
}
