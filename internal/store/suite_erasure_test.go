package store_test

import (
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/erasure"
	"github.com/stepward/stepward/internal/store/outbox"
)

func (f *fixture) erasures() *erasure.Erasures { return erasure.New(f.DB) }

// dueIDs returns the IDs of the users whose accounts are erased at a time.
func (f *fixture) dueIDs(now time.Time) (ids []string) {
	f.Helper()
	for _, u := range must2(f.erasures().Due(f.ctx, now))(f) {
		ids = append(ids, u.ID)
	}
	return ids
}

var erasureCases = map[string]func(*fixture){
	"a user asks for deletion once, and their tokens end": func(f *fixture) {
		u := f.confirmed("a@example.org")
		family := f.family(u, nil)
		won := f.race(4, idp.ErrNotFound, func(int) error {
			return f.erasures().Ask(f.ctx, u.ID, f.now, f.event(idp.EventDeletionAsked, u.ID))
		})
		f.same(won, 1)
		f.same(f.load(u).Disabled(), true)
		_, _, err := f.FamilyWithUser(f.ctx, family.ID)
		f.refuses(err, idp.ErrNotFound)
		f.same(must2(f.erasures().Of(f.ctx, u.ID))(f), erasure.Deletion{UserID: u.ID, AskedAt: f.now})
		f.same(f.events(), []idp.EventKind{idp.EventDeletionAsked})
	},
	"a user who changed their mind is enabled, and nothing is due": func(f *fixture) {
		u := f.user("a@example.org")
		f.refuses(f.erasures().Keep(f.ctx, u.ID, f.now), idp.ErrNotFound)
		f.must(f.erasures().Ask(f.ctx, u.ID, f.now))
		f.same(f.race(4, idp.ErrNotFound, func(int) error {
			return f.erasures().Keep(f.ctx, u.ID, f.now.Add(time.Hour), f.event(idp.EventDeletionStopped, u.ID))
		}), 1)
		f.same(f.load(u).Disabled(), false)
		f.same(f.dueIDs(f.now.Add(30*24*time.Hour)), []string(nil))
		f.must(f.erasures().Ask(f.ctx, u.ID, f.now.Add(2*time.Hour)))
	},
	"an account is erased a week after the wish, and a day after the reminder": func(f *fixture) {
		u := f.user("a@example.org")
		f.must(f.erasures().Ask(f.ctx, u.ID, f.now))
		end := f.now.Add(directory.DeletionWait)
		f.same(len(must2(f.erasures().ToRemind(f.ctx, end.Add(-directory.DeletionReminder-time.Millisecond)))(f)), 0)
		f.same(len(must2(f.erasures().ToRemind(f.ctx, end.Add(-directory.DeletionReminder)))(f)), 1)
		// A clock that jumped ahead erases nobody: there is a day after the reminder in any case.
		late := end.Add(24 * 365 * time.Hour)
		f.same(f.dueIDs(late), []string(nil))
		f.same(f.race(4, idp.ErrNotFound, func(int) error { return f.erasures().Remind(f.ctx, u.ID, late) }), 1)
		f.same(len(must2(f.erasures().ToRemind(f.ctx, late))(f)), 0)
		f.same(f.dueIDs(late.Add(directory.DeletionReminder-time.Millisecond)), []string(nil))
		f.refuses(f.erasures().EraseDue(f.ctx, u.ID, late), idp.ErrNotFound)
		f.same(f.dueIDs(late.Add(directory.DeletionReminder)), []string{u.ID})
		f.must(f.erasures().EraseDue(f.ctx, u.ID, late.Add(directory.DeletionReminder)))
		_, err := f.UserByID(f.ctx, u.ID)
		f.refuses(err, idp.ErrNotFound)
	},
	"an admin who disables the account stops the deletion, and one who enables it ends it": func(f *fixture) {
		u := f.user("a@example.org")
		f.must(f.erasures().Ask(f.ctx, u.ID, f.now))
		f.must(f.DisableUser(f.ctx, u.ID, f.now.Add(time.Minute)))
		f.refuses(f.erasures().Keep(f.ctx, u.ID, f.now), idp.ErrNotFound)
		late := f.now.Add(30 * 24 * time.Hour)
		f.same(len(must2(f.erasures().ToRemind(f.ctx, late))(f)), 0)
		f.must(f.EnableUser(f.ctx, u.ID, f.now.Add(time.Hour)))
		_, err := f.erasures().Of(f.ctx, u.ID)
		f.refuses(err, idp.ErrNotFound)
		f.must(f.erasures().Ask(f.ctx, u.ID, f.now.Add(2*time.Hour)))
		f.must(f.EnableUser(f.ctx, u.ID, f.now.Add(3*time.Hour)))
		f.same(f.load(u).Disabled(), false)
		f.same(len(must2(f.erasures().ToRemind(f.ctx, late))(f)), 0)
	},
	"nobody deletes the account of the last owner, or one that is recovered": func(f *fixture) {
		owner := idp.NewUser("owner@example.org", "Owner", f.now)
		owner.Role = directory.RoleOwner
		f.must(f.CreateUser(f.ctx, owner))
		f.passkey(owner)
		f.refuses(f.erasures().Ask(f.ctx, owner.ID, f.now), store.ErrLastOwner)

		u := f.confirmed("a@example.org")
		f.must(f.ways().Hold(f.ctx, u.ID, u.Email, "stop", f.now.Add(24*time.Hour), f.now))
		f.refuses(f.erasures().Ask(f.ctx, u.ID, f.now), idp.ErrClosed)
		f.must(f.ways().Stop(f.ctx, u.ID, f.now))
		f.must(f.Recover(f.ctx, newPasskey(u, f.now), f.now.Add(-time.Minute), f.now))
		f.refuses(f.erasures().Ask(f.ctx, u.ID, f.now.Add(idp.RecoveryClosed-time.Millisecond)), idp.ErrClosed)
		f.must(f.erasures().Ask(f.ctx, u.ID, f.now.Add(idp.RecoveryClosed)))
	},
	"an erased user leaves nothing but events about nobody": func(f *fixture) {
		u, admin := f.confirmed("a@example.org"), f.user("admin@example.org")
		f.passkey(u)
		f.family(u, nil)
		f.add(u, "a2@example.org")
		f.codes(u, "1")
		f.must(f.PutLink(f.ctx, idp.Link{Hash: "h", Kind: "enrol", UserID: u.ID, ExpiresAt: f.now.Add(time.Hour)}))
		mail := outbox.Mail{ID: idp.NewID(), To: "a2@example.org", CreatedAt: f.now, NextAt: f.now}
		f.must(outbox.EnqueueMail(f.ctx, f.DB, mail))
		own, named := f.event(idp.EventSignedIn, u.ID), f.event(idp.EventPasskeyAdded, u.ID)
		theirs := f.event(idp.EventUserChanged, u.ID)
		own.Address, own.Agent, own.Detail = "192.0.2.1", "Firefox", map[string]string{"purpose": "sign-in", "reason": "x"}
		named.Detail = map[string]string{"name": "Ada’s phone"}
		theirs.ActorID, theirs.Address, theirs.Agent = admin.ID, "192.0.2.9", "Safari"
		acting := f.event(idp.EventUserInvited, admin.ID)
		acting.ActorID, acting.Address = u.ID, "192.0.2.1"
		f.must(f.RecordEvents(f.ctx, own, named, theirs, acting))

		f.must(f.erasures().Erase(f.ctx, u.ID, f.now, f.event(idp.EventUserRemoved, u.ID)))
		f.refuses(f.erasures().Erase(f.ctx, u.ID, f.now), idp.ErrNotFound)
		_, err := outbox.ClaimMail(f.ctx, f.DB, f.now.Add(time.Hour), time.Minute)
		f.refuses(err, idp.ErrNotFound)
		_, err = f.TakeLink(f.ctx, "h", "enrol", f.now)
		f.refuses(err, idp.ErrNotFound)
		f.user("a2@example.org") // free again

		f.must(f.erasures().Pseudonymise(f.ctx, f.now))
		f.same(len(must2(f.EventsOf(f.ctx, u.ID, 10))(f)), 0)
		pseudonym := ""
		for _, e := range must2(f.Events(f.ctx, "", 100))(f) {
			if strings.HasPrefix(e.UserID, "erased-") {
				pseudonym = e.UserID
			}
			switch e.ID {
			case own.ID:
				f.same([]string{e.Address, e.Agent, e.Detail["reason"]}, []string{"", "", "x"})
			case named.ID:
				f.same(e.Detail["name"], "")
			case theirs.ID:
				f.same([]string{e.ActorID, e.Address, e.Agent}, []string{admin.ID, "192.0.2.9", "Safari"})
			case acting.ID:
				f.same([]string{e.UserID, e.ActorID, e.Address}, []string{admin.ID, pseudonymOf(f, own.ID), ""})
			}
		}
		f.same(len(must2(f.EventsOf(f.ctx, pseudonym, 100))(f)) >= 4, true)

		// What was under way writes one more. It gets the same name; after two days nothing leads to it.
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventLogoutGivenUp, u.ID)))
		f.must(f.erasures().Pseudonymise(f.ctx, f.now.Add(48*time.Hour)))
		f.same(len(must2(f.EventsOf(f.ctx, u.ID, 10))(f)), 0)
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventLogoutGivenUp, u.ID)))
		f.must(f.erasures().Pseudonymise(f.ctx, f.now.Add(49*time.Hour)))
		f.same(len(must2(f.EventsOf(f.ctx, u.ID, 10))(f)), 1)
	},
}

// pseudonymOf returns the user of an event.
func pseudonymOf(f *fixture, eventID string) string {
	f.Helper()
	for _, e := range must2(f.Events(f.ctx, "", 100))(f) {
		if e.ID == eventID {
			return e.UserID
		}
	}
	f.Fatal("no such event")
	return ""
}
