package store_test

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/store/roster"
)

func (f *fixture) book() *addresses.Addresses { return addresses.New(f.DB) }

// add gives a user one more address.
func (f *fixture) add(u idp.User, email string) addresses.Address {
	f.Helper()
	a := addresses.Address{ID: idp.NewID(), UserID: u.ID, Email: email, AddedAt: f.now}
	f.must(f.book().Add(f.ctx, a))
	return a
}

// load returns a user as they are stored now.
func (f *fixture) load(u idp.User) idp.User {
	f.Helper()
	return must2(f.UserByID(f.ctx, u.ID))(f)
}

var addressCases = map[string]func(*fixture){
	"a user is found by each of their addresses, and nobody else gets one of them": func(f *fixture) {
		u, other := f.confirmed("a@example.org"), f.confirmed("b@example.org")
		k := f.passkey(u)
		a := f.add(u, "a2@example.org")
		for _, email := range []string{u.Email, a.Email} {
			f.same(must2(f.UserByEmail(f.ctx, email))(f).ID, u.ID)
			keys, _, err := f.PasskeysByEmail(f.ctx, email, []byte("x"))
			f.must(err)
			f.same(len(keys), 1)
			f.same(keys[0].ID, k.ID)
			f.refuses(f.CreateUser(f.ctx, idp.NewUser(email, "C", f.now)), idp.ErrConflict)
			f.refuses(f.change(other, func(u *idp.User) { u.Email = email }), idp.ErrConflict)
			f.refuses(f.book().Add(f.ctx, addresses.Address{ID: idp.NewID(), UserID: other.ID, Email: email, AddedAt: f.now}),
				idp.ErrConflict)
			f.same(must2(f.book().Free(f.ctx, other.ID, email, f.now))(f), false)
		}
		f.same(must2(f.book().Free(f.ctx, other.ID, "free@example.org", f.now))(f), true)
		f.same(must2(roster.New(f.DB).Taken(f.ctx, []string{"a2@example.org", "a@example.org", "x@example.org"}))(f),
			map[string]bool{"a2@example.org": true, "a@example.org": true})
	},
	"an address that two users want at once goes to one": func(f *fixture) {
		u := f.user("a@example.org")
		won := f.race(8, idp.ErrConflict, func(i int) error {
			if i%2 == 0 {
				return f.CreateUser(f.ctx, idp.NewUser("x@example.org", "X", f.now))
			}
			return f.book().Add(f.ctx, addresses.Address{ID: idp.NewID(), UserID: u.ID, Email: "x@example.org", AddedAt: f.now})
		})
		f.same(won, 1)
	},
	"a user has at most five addresses": func(f *fixture) {
		u := f.user("a@example.org")
		for i := range directory.MaxAddresses - 1 {
			f.add(u, fmt.Sprintf("a%d@example.org", i))
		}
		f.refuses(f.book().Add(f.ctx, addresses.Address{ID: "x", UserID: u.ID, Email: "x@example.org", AddedAt: f.now}),
			addresses.ErrTooMany)
		f.same(len(must2(f.book().Of(f.ctx, u.ID))(f)), directory.MaxAddresses-1)
	},
	"a removed address is told for three days, and is free": func(f *fixture) {
		u, other := f.confirmed("a@example.org"), f.user("b@example.org")
		a := f.add(u, "a2@example.org")
		f.refuses(f.book().Remove(f.ctx, other.ID, a.ID, f.now), idp.ErrNotFound)
		f.same(must2(f.book().Told(f.ctx, u.ID, f.now))(f), []string{a.Email})
		f.must(f.book().Remove(f.ctx, u.ID, a.ID, f.now, f.event(idp.EventEmailRemoved, u.ID)))
		f.refuses(f.book().Remove(f.ctx, u.ID, a.ID, f.now, f.event(idp.EventEmailRemoved, u.ID)), idp.ErrNotFound)
		f.same(must2(f.book().Told(f.ctx, u.ID, f.now))(f), []string{a.Email})
		f.same(must2(f.book().Told(f.ctx, u.ID, f.now.Add(directory.FormerAddressTold)))(f), []string(nil))
		f.add(other, a.Email)
		f.same(f.events(), []idp.EventKind{idp.EventEmailRemoved})
	},
	"another address becomes the primary one, and the former one undoes that once": func(f *fixture) {
		u, other := f.confirmed("a@example.org"), f.user("b@example.org")
		old := f.add(u, "old@example.org")
		family := f.family(u, nil)
		f.now = f.now.Add(2 * directory.AddressUndo)
		a, second := f.add(u, "a2@example.org"), f.add(u, "a3@example.org")
		f.must(f.PutLink(f.ctx, idp.Link{Hash: "mailed", Kind: "enrol", UserID: u.ID, ExpiresAt: f.now.Add(time.Hour)}))
		f.refuses(f.book().MakePrimary(f.ctx, other.ID, a.ID, "link", f.now), idp.ErrNotFound)
		f.must(f.book().MakePrimary(f.ctx, u.ID, a.ID, "link", f.now, f.event(idp.EventEmailChanged, u.ID)))
		_, err := f.PeekLink(f.ctx, "mailed", "enrol", f.now) // it went to the former address
		f.refuses(err, idp.ErrNotFound)
		changed := f.load(u)
		f.same([]any{changed.Email, changed.EmailVerified}, []any{a.Email, true})
		f.same(len(must2(f.book().Of(f.ctx, u.ID))(f)), 3)
		// The thief throws the former address out, and goes on to a third one. Nobody else gets the former one.
		for _, more := range must2(f.book().Of(f.ctx, u.ID))(f) {
			if more.Email == u.Email {
				f.must(f.book().Remove(f.ctx, u.ID, more.ID, f.now))
			}
		}
		f.must(f.book().MakePrimary(f.ctx, u.ID, second.ID, "later", f.now.Add(time.Minute)))
		f.refuses(f.CreateUser(f.ctx, idp.NewUser(u.Email, "Thief", f.now)), idp.ErrConflict)
		f.same(must2(f.book().Free(f.ctx, other.ID, u.Email, f.now))(f), false)

		_, _, err = f.book().Undoable(f.ctx, "wrong", f.now)
		f.refuses(err, idp.ErrNotFound)
		_, _, err = f.book().Undoable(f.ctx, "link", f.now.Add(directory.AddressUndo))
		f.refuses(err, idp.ErrNotFound)
		found, former, err := f.book().Undoable(f.ctx, "link", f.now.Add(time.Hour))
		f.must(err)
		f.same([]string{found.ID, former}, []string{u.ID, u.Email})
		f.same(f.race(4, idp.ErrNotFound, func(int) error {
			return f.book().Undo(f.ctx, u.ID, former, "link", f.now.Add(time.Hour), f.event(idp.EventEmailUndone, u.ID))
		}), 1)
		back := f.load(u)
		f.same([]any{back.Email, back.EmailVerified}, []any{u.Email, true})
		// What the thief added is gone, what was there before stays; the later change cannot bring the thief back.
		left := must2(f.book().Of(f.ctx, u.ID))(f)
		f.same(len(left), 1)
		f.same(left[0].Email, old.Email)
		_, _, err = f.book().Undoable(f.ctx, "later", f.now.Add(time.Hour))
		f.refuses(err, idp.ErrNotFound)
		f.same(must2(f.book().Told(f.ctx, u.ID, f.now.Add(time.Hour)))(f), []string{second.Email, old.Email})
		_, _, err = f.FamilyWithUser(f.ctx, family.ID)
		f.refuses(err, idp.ErrNotFound)
		// Who reads the former mailbox gets no further.
		f.refuses(f.ways().Hold(f.ctx, u.ID, u.Email, "x", f.now.Add(24*time.Hour), f.now.Add(2*time.Hour)), idp.ErrClosed)
		// For a day nobody changes anything again.
		f.refuses(f.book().MakePrimary(f.ctx, u.ID, old.ID, "next", f.now.Add(2*time.Hour)), idp.ErrClosed)
		f.must(f.book().MakePrimary(f.ctx, u.ID, old.ID, "next", f.now.Add(idp.RecoveryClosed+2*time.Hour)))
	},
	"an address that was never confirmed leaves, and undoes nothing": func(f *fixture) {
		u := f.user("a@example.org")
		a := f.add(u, "a2@example.org")
		f.must(f.book().MakePrimary(f.ctx, u.ID, a.ID, "link", f.now))
		_, _, err := f.book().Undoable(f.ctx, "link", f.now)
		f.refuses(err, idp.ErrNotFound)
		f.same(len(must2(f.book().Of(f.ctx, u.ID))(f)), 0)
		f.user("a@example.org")
	},
	"addresses stay as they are after a recovery": func(f *fixture) {
		u := f.confirmed("a@example.org")
		a := f.add(u, "a2@example.org")
		f.must(f.Recover(f.ctx, newPasskey(u, f.now), f.now.Add(-time.Minute), f.now))
		later := f.now.Add(idp.RecoveryClosed - time.Millisecond)
		f.refuses(f.book().MakePrimary(f.ctx, u.ID, a.ID, "link", later), idp.ErrClosed)
		f.refuses(f.book().Remove(f.ctx, u.ID, a.ID, later), idp.ErrClosed)
		f.refuses(f.book().Add(f.ctx, addresses.Address{ID: "x", UserID: u.ID, Email: "x@example.org", AddedAt: later}),
			idp.ErrClosed)
		f.must(f.book().Remove(f.ctx, u.ID, a.ID, later.Add(time.Millisecond)))
	},
	"an admin makes one of a user's addresses the primary one, and the former one undoes that": func(f *fixture) {
		was := f.confirmed("a@example.org")
		was = f.load(was)
		a := f.add(was, "a2@example.org")
		u := was
		u.Email, u.UpdatedAt = a.Email, f.now.Add(time.Second)
		f.must(roster.New(f.DB).ChangeUser(f.ctx, was, u, nil, "link"))
		f.same(len(must2(f.book().Of(f.ctx, u.ID))(f)), 0)
		_, former, err := f.book().Undoable(f.ctx, "link", f.now)
		f.must(err)
		f.must(f.book().Undo(f.ctx, u.ID, former, "link", f.now.Add(time.Hour)))
		f.same(f.load(u).Email, was.Email)
	},
	"recovery by each confirmed address": func(f *fixture) {
		u := f.user("a@example.org") // not confirmed
		a := f.add(u, "a2@example.org")
		f.codes(u, "1", "2")
		f.same(len(must2(recoveries.RedeemableCodes(f.ctx, f.DB, u.ID, u.Email))(f)), 0)
		f.same(len(must2(recoveries.RedeemableCodes(f.ctx, f.DB, u.ID, a.Email))(f)), 2)
		f.refuses(recoveries.TakeCode(f.ctx, f.DB, u.ID, u.Email, "1"), idp.ErrNotFound)
		f.must(recoveries.TakeCode(f.ctx, f.DB, u.ID, a.Email, "1"))
		f.same(must2(f.ways().MayUseEMail(f.ctx, u.ID, u.Email))(f), false)
		f.same(must2(f.ways().MayUseEMail(f.ctx, u.ID, a.Email))(f), true)
	},
}
