package store_test

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/store/recoveries"
)

// codes stores recovery codes with these hashes, now.
func (f *fixture) codes(u idp.User, hashes ...string) {
	f.Helper()
	f.codesAt(f.now, u, hashes...)
}

func (f *fixture) codesAt(now time.Time, u idp.User, hashes ...string) {
	f.Helper()
	var codes []idp.RecoveryCode
	for _, h := range hashes {
		codes = append(codes, idp.RecoveryCode{Hash: h, KeyID: "k", CreatedAt: f.now})
	}
	f.must(recoveries.ReplaceCodes(f.ctx, f.DB, u.ID, codes, now, f.event(idp.EventCodesMade, u.ID)))
}

// confirmed is user with a confirmed address.
func (f *fixture) confirmed(email string) idp.User {
	f.Helper()
	u := f.user(email)
	f.must(f.VerifyEmail(f.ctx, u.ID, email, f.now))
	return u
}

func (f *fixture) ways() *recoveries.Recoveries { return recoveries.New(f.DB) }

// change stores a changed user.
func (f *fixture) change(u idp.User, change func(*idp.User)) error {
	change(&u)
	u.UpdatedAt = f.now
	return f.UpdateUser(f.ctx, u)
}

var recoveryCases = map[string]func(*fixture){
	"new recovery codes replace the old ones": func(f *fixture) {
		u, other := f.confirmed("a@example.org"), f.confirmed("b@example.org")
		f.codes(other, "of-b")
		f.codes(u, "1", "2")
		f.codes(u, "3")
		f.same(must2(recoveries.CodesOf(f.ctx, f.DB, u.ID))(f), []idp.RecoveryCode{{Hash: "3", KeyID: "k", CreatedAt: f.now}})
		f.same(must2(recoveries.RedeemableCodes(f.ctx, f.DB, other.ID, other.Email))(f),
			[]idp.RecoveryCode{{Hash: "of-b", KeyID: "k", CreatedAt: f.now}})
		f.refuses(recoveries.ReplaceCodes(f.ctx, f.DB, "nobody", nil, f.now), idp.ErrNotFound)
	},
	"a recovery code is taken once, and by its user": func(f *fixture) {
		u, other := f.confirmed("a@example.org"), f.confirmed("b@example.org")
		f.codes(u, "1", "2")
		f.refuses(recoveries.TakeCode(f.ctx, f.DB, other.ID, other.Email, "1"), idp.ErrNotFound)
		f.same(f.race(8, idp.ErrNotFound, func(int) error {
			return recoveries.TakeCode(f.ctx, f.DB, u.ID, u.Email, "1", f.event(idp.EventRecoveryOpened, u.ID))
		}), 1)
		f.same(len(must2(recoveries.CodesOf(f.ctx, f.DB, u.ID))(f)), 1)
		f.same(len(must2(f.EventsOf(f.ctx, u.ID, 10))(f)), 2)
		f.refuses(recoveries.TakeCode(f.ctx, f.DB, u.ID, "former@example.org", "2"), idp.ErrNotFound)
		f.disable(must2(f.UserByID(f.ctx, u.ID))(f))
		f.refuses(recoveries.TakeCode(f.ctx, f.DB, u.ID, u.Email, "2"), idp.ErrNotFound)
	},
	"codes open nothing without a confirmed address, or after a hundred failures in a row": func(f *fixture) {
		left := func(u idp.User) int { return len(must2(recoveries.RedeemableCodes(f.ctx, f.DB, u.ID, u.Email))(f)) }
		unconfirmed, u := f.user("a@example.org"), f.confirmed("b@example.org")
		f.codes(unconfirmed, "1")
		f.same(left(unconfirmed), 0)
		f.codes(u, "2", "3")
		for range directory.MaxRecoveryFailures - 1 {
			f.must(recoveries.Fail(f.ctx, f.DB, u.ID))
		}
		f.same(left(u), 2)
		f.must(recoveries.TakeCode(f.ctx, f.DB, u.ID, u.Email, "2")) // a good one forgets the bad ones
		for range directory.MaxRecoveryFailures {
			f.same(left(u), 1)
			f.must(recoveries.Fail(f.ctx, f.DB, u.ID))
		}
		f.same(left(u), 0)
		f.must(recoveries.Fail(f.ctx, f.DB, "nobody"))
	},
	"a recovery suspends the other passkeys and ends all that was open": func(f *fixture) {
		u, other := f.confirmed("a@example.org"), f.confirmed("b@example.org")
		old, theirs := f.passkey(u), f.passkey(other)
		held := idp.Authentication{ID: idp.NewID(), UserID: u.ID, PasskeyID: old.ID, At: f.now}
		f.must(f.record(old, held))
		offline, kept := f.family(u, nil), f.family(other, nil)
		f.watched(u, "watched", "app")
		f.must(f.PutLink(f.ctx, idp.Link{
			Hash: "link", Kind: "recover", UserID: u.ID, CreatedAt: f.now,
			ExpiresAt: f.now.Add(time.Hour),
		}))

		k := newPasskey(u, f.now)
		f.must(f.Recover(f.ctx, k, f.now, f.now, f.event(idp.EventRecovered, u.ID)))
		k.StrongFrom = f.now.Add(idp.RecoveryClosed)
		suspended := old
		suspended.SuspendedAt = f.now
		f.same(must2(f.PasskeysOf(f.ctx, u.ID))(f), []idp.Passkey{suspended, k})
		byEmail, _, err := f.PasskeysByEmail(f.ctx, u.Email, nil)
		f.must(err)
		f.same(byEmail, []idp.Passkey{k})
		f.same(must2(f.PasskeysOf(f.ctx, other.ID))(f), []idp.Passkey{theirs})
		f.same(must2(f.UserByID(f.ctx, u.ID))(f).RecoveredAt, f.now)
		_, _, err = f.FamilyWithUser(f.ctx, offline.ID)
		f.refuses(err, idp.ErrNotFound)
		_, _, err = f.FamilyWithUser(f.ctx, kept.ID)
		f.must(err)
		f.same(f.queued(f.now), []string{"watched app " + u.ID})
		_, err = f.TakeLink(f.ctx, "link", "recover", f.now)
		f.refuses(err, idp.ErrNotFound)

		// A sign-in of the old passkey that was in progress yields nothing.
		late := newFamily(u, f.now)
		late.Assurance.AuthenticationID, late.Assurance.PasskeyID = held.ID, held.PasskeyID
		_, _, err = f.CreateFamily(f.ctx, late, nil)
		f.refuses(err, idp.ErrNotFound)
		f.refuses(f.record(old, idp.Authentication{
			ID: idp.NewID(), UserID: u.ID, PasskeyID: old.ID,
			At: f.now,
		}), idp.ErrNotFound)
		// A passkey that is added within a day is no stronger.
		second := newPasskey(u, f.now)
		f.must(f.AddPasskey(f.ctx, second))
		stored, _, err := f.PasskeyByCredentialID(f.ctx, second.CredentialID)
		f.must(err)
		f.same(stored.StrongFrom, f.now.Add(idp.RecoveryClosed))
	},
	"one of two recoveries that are open at once succeeds": func(f *fixture) {
		for round := range 5 {
			u := f.confirmed(fmt.Sprintf("u%d@example.org", round))
			f.passkey(u)
			opened := f.now
			f.same(f.race(4, idp.ErrNotFound, func(int) error {
				return f.Recover(f.ctx, newPasskey(u, f.now), opened, f.now.Add(time.Second), f.event(idp.EventRecovered, u.ID))
			}), 1)
			f.same(len(must2(f.PasskeysOf(f.ctx, u.ID))(f)), 2)
		}
		disabled := f.user("disabled@example.org")
		f.disable(disabled)
		f.refuses(f.Recover(f.ctx, newPasskey(disabled, f.now), f.now, f.now), idp.ErrNotFound)
	},
	"a request from before a recovery adds no passkey after it": func(f *fixture) {
		before := f.confirmed("a@example.org")
		f.must(f.AddPasskeyTo(f.ctx, before, newPasskey(before, f.now)))
		f.must(f.Recover(f.ctx, newPasskey(before, f.now), f.now, f.now))
		f.refuses(f.AddPasskeyTo(f.ctx, before, newPasskey(before, f.now)), idp.ErrNotFound)
		after := must2(f.UserByID(f.ctx, before.ID))(f)
		f.must(f.AddPasskeyTo(f.ctx, after, newPasskey(after, f.now)))
		f.disable(after)
		f.refuses(f.AddPasskeyTo(f.ctx, after, newPasskey(after, f.now)), idp.ErrNotFound)
	},
	"for a day after a recovery no passkey is removed or kept, and no codes are made": func(f *fixture) {
		u := f.confirmed("a@example.org")
		f.codes(u, "1")
		first, second := f.passkey(u), f.passkey(u)
		opened := f.now.Add(-idp.RecoveryClosed)
		k := newPasskey(u, f.now)
		f.must(f.Recover(f.ctx, k, opened, opened.Add(time.Minute)))
		f.refuses(f.KeepPasskey(f.ctx, u.ID, first.ID, f.now), idp.ErrClosed)
		f.refuses(f.RemovePasskey(f.ctx, u.ID, second.ID, true), idp.ErrClosed)
		f.refuses(recoveries.ReplaceCodes(f.ctx, f.DB, u.ID, nil, f.now), idp.ErrClosed)
		f.same(len(must2(recoveries.CodesOf(f.ctx, f.DB, u.ID))(f)), 1)

		later := f.now.Add(time.Minute)
		f.refuses(f.KeepPasskey(f.ctx, f.user("b@example.org").ID, first.ID, later), idp.ErrNotFound)
		f.refuses(f.KeepPasskey(f.ctx, u.ID, k.ID, later), idp.ErrNotFound) // it is not suspended
		f.must(f.KeepPasskey(f.ctx, u.ID, first.ID, later, f.event(idp.EventPasskeyKept, u.ID)))
		f.must(f.record(first, idp.Authentication{
			ID: idp.NewID(), UserID: u.ID, PasskeyID: first.ID,
			At: later,
		}))
		f.codesAt(later, u, "2")
	},
	"a suspended passkey does not count as a remaining one": func(f *fixture) {
		u := f.confirmed("a@example.org")
		old, k := f.passkey(u), newPasskey(u, f.now)
		long := f.now.Add(-2 * idp.RecoveryClosed)
		f.must(f.Recover(f.ctx, k, long, long.Add(time.Minute)))
		f.refuses(f.RemovePasskey(f.ctx, u.ID, k.ID, true), idp.ErrLastPasskey)
		f.must(f.RemovePasskey(f.ctx, u.ID, old.ID, true))
	},
	"a new link replaces the others of its kind": func(f *fixture) {
		u := f.user("a@example.org")
		link := func(hash string) recoveries.Link {
			return recoveries.Link{Link: idp.Link{
				Hash: hash, Kind: "recover", UserID: u.ID, CreatedAt: f.now, ExpiresAt: f.now.Add(time.Hour),
			}}
		}
		f.must(f.PutLink(f.ctx, idp.Link{
			Hash: "other", Kind: "enrol", UserID: u.ID, CreatedAt: f.now,
			ExpiresAt: f.now.Add(time.Hour),
		}))
		f.must(f.ways().ReplaceLink(f.ctx, link("1")))
		f.must(f.ways().ReplaceLink(f.ctx, link("2")))
		_, err := f.TakeLink(f.ctx, "1", "recover", f.now)
		f.refuses(err, idp.ErrNotFound)
		must2(f.TakeLink(f.ctx, "2", "recover", f.now))(f)
		must2(f.TakeLink(f.ctx, "other", "enrol", f.now))(f)
		f.disable(u)
		f.refuses(f.ways().ReplaceLink(f.ctx, link("3")), idp.ErrNotFound)
	},
	"a recovery by e-mail alone waits once, and its owner stops it": func(f *fixture) {
		u := f.confirmed("a@example.org")
		ready := f.now.Add(directory.MinRecoveryHold)
		hold := func(now time.Time, stop string) error {
			return f.ways().Hold(f.ctx, u.ID, u.Email, stop, now.Add(directory.MinRecoveryHold), now,
				f.event(idp.EventRecoveryHeld, u.ID))
		}
		open := func(now time.Time) error { return f.ways().OpenHeld(f.ctx, u.ID, u.Email, now) }
		f.same(f.race(4, idp.ErrConflict, func(int) error { return hold(f.now, "stop") }), 1)
		f.same(must2(f.UserByID(f.ctx, u.ID))(f).RecoveryReadyAt, ready)
		f.refuses(open(ready.Add(-time.Millisecond)), idp.ErrNotFound)
		f.must(open(ready))
		f.refuses(f.RecoverHeld(f.ctx, newPasskey(u, f.now), f.now, ready.Add(-time.Millisecond)), idp.ErrNotFound)
		f.refuses(open(ready.Add(directory.RecoveryOpen)), idp.ErrNotFound)
		f.must(hold(ready.Add(directory.RecoveryOpen), "newer")) // its time was over

		_, err := f.ways().UserByStopLink(f.ctx, "stop")
		f.refuses(err, idp.ErrNotFound)
		f.same(must2(f.ways().UserByStopLink(f.ctx, "newer"))(f).ID, u.ID)
		_, err = f.ways().UserByStopLink(f.ctx, "")
		f.refuses(err, idp.ErrNotFound)
		f.same(f.race(4, idp.ErrNotFound, func(int) error { return f.ways().Stop(f.ctx, u.ID, f.now) }), 1)
		_, err = f.ways().UserByStopLink(f.ctx, "newer")
		f.refuses(err, idp.ErrNotFound)
		f.refuses(open(ready), idp.ErrNotFound)
		f.refuses(hold(f.now.Add(directory.RecoveryStopped-time.Millisecond), "again"), idp.ErrClosed)
		f.must(hold(f.now.Add(directory.RecoveryStopped), "again"))
	},
	"the reminder of a recovery that waits is due half-way, and one caller sends it": func(f *fixture) {
		u := f.confirmed("a@example.org")
		half := f.now.Add(directory.MinRecoveryHold / 2)
		f.must(f.ways().Hold(f.ctx, u.ID, u.Email, "stop", f.now.Add(directory.MinRecoveryHold), f.now))
		f.same(len(must2(f.ways().DueReminders(f.ctx, half.Add(-time.Millisecond)))(f)), 0)
		f.same(must2(f.ways().DueReminders(f.ctx, half))(f), []string{u.ID})
		again := half.Add(time.Minute)
		f.same(f.race(4, idp.ErrNotFound, func(int) error {
			return f.ways().ClaimReminder(f.ctx, u.ID, half, again)
		}), 1)
		f.same(len(must2(f.ways().DueReminders(f.ctx, half))(f)), 0)
		f.must(f.ways().ClaimReminder(f.ctx, u.ID, again, again.Add(time.Minute))) // its sender went away
		f.must(f.ways().EndReminder(f.ctx, u.ID))
		f.refuses(f.ways().ClaimReminder(f.ctx, u.ID, again.Add(time.Hour), again.Add(2*time.Hour)), idp.ErrNotFound)
	},
	"a passkey, another address, a role and failures end a recovery by e-mail alone": func(f *fixture) {
		ready := f.now.Add(directory.MinRecoveryHold)
		held := func(email string) (idp.User, idp.Passkey) {
			u := f.confirmed(email)
			k := f.passkey(u)
			f.must(f.ways().Hold(f.ctx, u.ID, u.Email, "stop "+email, ready, f.now))
			return must2(f.UserByID(f.ctx, u.ID))(f), k
		}
		ended := func(u idp.User) {
			f.Helper()
			f.refuses(f.ways().OpenHeld(f.ctx, u.ID, u.Email, ready), idp.ErrNotFound)
			f.refuses(f.RecoverHeld(f.ctx, newPasskey(u, f.now), ready, ready), idp.ErrNotFound)
		}
		u, k := held("passkey@example.org")
		_, err := f.RecordAuthenticationAndStop(f.ctx, k, idp.Authentication{
			ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID, At: f.now,
		}, "")
		f.must(err)
		ended(u)
		u, _ = held("moved@example.org")
		f.must(f.change(u, func(u *idp.User) { u.Email = "new@example.org" }))
		u.Email = "new@example.org"
		ended(u)
		u, _ = held("admin@example.org")
		f.must(f.change(u, func(u *idp.User) { u.Role = "support" }))
		ended(u)
		f.refuses(f.ways().Hold(f.ctx, u.ID, u.Email, "x", ready, f.now), idp.ErrNotFound)
		u, _ = held("recovered@example.org")
		f.must(f.RecoverHeld(f.ctx, newPasskey(u, f.now), ready, ready))
		f.same(must2(f.UserByID(f.ctx, u.ID))(f).RecoveryReadyAt, time.Time{})
		u = f.confirmed("worn@example.org")
		f.same(must2(f.ways().MayUseEMail(f.ctx, u.ID, u.Email))(f), true)
		for range directory.MaxRecoveryFailures {
			f.must(recoveries.Fail(f.ctx, f.DB, u.ID))
		}
		f.same(must2(f.ways().MayUseEMail(f.ctx, u.ID, u.Email))(f), false)
		f.refuses(f.ways().Hold(f.ctx, u.ID, u.Email, "y", ready, f.now), idp.ErrNotFound)
		f.same(must2(f.ways().MayUseEMail(f.ctx, "nobody", "nobody@example.org"))(f), false)
	},
	"confirmed addresses that a user left are kept for three days": func(f *fixture) {
		u := f.confirmed("a@example.org")
		u.EmailVerified = true
		for _, next := range []string{"b@example.org", "c@example.org"} {
			f.must(f.change(u, func(u *idp.User) { u.Email = next }))
			u.Email = next
		}
		f.must(f.change(u, func(u *idp.User) { u.EmailVerified = false }))
		u.EmailVerified = false
		f.must(f.change(u, func(u *idp.User) { u.Email = "d@example.org" })) // c was never confirmed
		former := func(now time.Time) []string { return must2(addresses.New(f.DB).Told(f.ctx, u.ID, now))(f) }
		f.same(len(former(f.now.Add(directory.FormerAddressTold-time.Millisecond))), 2)
		f.same(len(former(f.now.Add(directory.FormerAddressTold))), 0)
	},
	"a link waits for its second admin, and its PIN has five tries": func(f *fixture) {
		u, maker, other := f.user("a@example.org"), f.user("maker@example.org"), f.user("other@example.org")
		l := recoveries.Link{PIN: "pin", MadeBy: maker.ID, Second: true, Link: idp.Link{
			Hash: "h", Kind: "recover", UserID: u.ID, CreatedAt: f.now, ExpiresAt: f.now.Add(time.Hour),
		}}
		f.must(f.ways().ReplaceLink(f.ctx, l))
		f.same(must2(f.ways().LinkOf(f.ctx, u.ID, f.now))(f), l)
		_, err := f.ways().TakeLink(f.ctx, l, f.now)
		f.refuses(err, idp.ErrNotFound)
		f.refuses(f.ways().ApproveLink(f.ctx, l, maker.ID, f.now), idp.ErrNotFound)
		f.refuses(f.ways().ApproveLink(f.ctx, l, u.ID, f.now), idp.ErrNotFound)
		f.refuses(f.ways().ApproveLink(f.ctx, l, other.ID, l.ExpiresAt), idp.ErrNotFound)
		f.must(f.ways().ApproveLink(f.ctx, l, other.ID, f.now, f.event(idp.EventRecoveryApproved, u.ID)))
		f.refuses(f.ways().ApproveLink(f.ctx, l, other.ID, f.now), idp.ErrNotFound)
		tries := f.race(8, idp.ErrNotFound, func(int) error { return f.ways().TryPIN(f.ctx, l.Hash, f.now) })
		f.same(tries, directory.MaxPINTries)
		must2(f.ways().TakeLink(f.ctx, l, f.now))(f)
	},
}
