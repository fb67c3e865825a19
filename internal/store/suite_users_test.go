package store_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

var userCases = map[string]func(*fixture){
	"a user comes back as it was stored": func(f *fixture) {
		u := idp.NewUser("ada@example.org", "Ada Łovelace 🙂", f.now)
		u.EmailVerified, u.Role = true, directory.RoleAdmin
		u.Profile = idp.Profile{GivenName: "Ada", Address: idp.Address{Country: "GB"}, PhoneVerified: true}
		f.must(f.CreateUser(f.ctx, u, f.event(idp.EventUserCreated, u.ID)))
		f.same(must2(f.UserByID(f.ctx, u.ID))(f), u)
		f.same(must2(f.UserByEmail(f.ctx, u.Email))(f), u)
		f.same(f.events(), []idp.EventKind{idp.EventUserCreated})
	},
	"an unknown user is not found": func(f *fixture) {
		_, err := f.UserByID(f.ctx, "unknown")
		f.refuses(err, idp.ErrNotFound)
		_, err = f.UserByEmail(f.ctx, "")
		f.refuses(err, idp.ErrNotFound)
		f.refuses(f.UpdateUser(f.ctx, idp.NewUser("a@example.org", "A", f.now), f.event(idp.EventUserChanged, "")),
			idp.ErrNotFound)
		f.same(f.events(), []idp.EventKind(nil))
	},
	"text that Postgres refuses is found nowhere, on both engines": func(f *fixture) {
		for _, email := range []string{"a\x00b", "\xff\xfe"} {
			_, err := f.UserByEmail(f.ctx, email)
			f.refuses(err, idp.ErrNotFound)
		}
		u := f.user("a@example.org")
		f.must(f.RecordEvents(f.ctx, idp.Event{
			ID: idp.NewID(), At: f.now, Kind: idp.EventSignedIn, UserID: u.ID,
			Agent: "a\x00b\xff",
		}))
		f.same(must2(f.EventsOf(f.ctx, u.ID, 1))(f)[0].Agent, "a\uFFFDb\uFFFD")
	},
	"an address belongs to one user, and a refused user leaves no event": func(f *fixture) {
		f.user("a@example.org")
		f.refuses(f.CreateUser(f.ctx, idp.NewUser("a@example.org", "B", f.now), f.event(idp.EventUserCreated, "")),
			idp.ErrConflict)
		b := f.user("b@example.org")
		b.Email = "a@example.org"
		f.refuses(f.UpdateUser(f.ctx, b, f.event(idp.EventUserChanged, b.ID)), idp.ErrConflict)
		f.same(must2(f.UserByID(f.ctx, b.ID))(f).Email, "b@example.org")
		f.same(f.events(), []idp.EventKind(nil))
	},
	"one of eight users who take an address at once gets it": func(f *fixture) {
		won := f.race(8, idp.ErrConflict, func(int) error {
			return f.CreateUser(f.ctx, idp.NewUser("a@example.org", "A", f.now), f.event(idp.EventUserCreated, ""))
		})
		f.same(won, 1)
		f.same(len(f.events()), 1)
	},
	"a change of the user keeps the handle": func(f *fixture) {
		u := f.user("a@example.org")
		changed := u
		changed.Handle = []byte("another")
		changed.Email, changed.EmailVerified, changed.Name, changed.Role = "new@example.org", true, "New", directory.RoleAdmin
		changed.Profile.Nickname = "N"
		changed.UpdatedAt, changed.DisabledAt = f.now.Add(time.Second), f.now.Add(time.Minute)
		f.must(f.UpdateUser(f.ctx, changed, f.event(idp.EventUserChanged, u.ID)))
		changed.Handle = u.Handle
		f.same(must2(f.UserByID(f.ctx, u.ID))(f), changed)
		f.same(f.events(), []idp.EventKind{idp.EventUserChanged})
	},
	"users are listed page by page": func(f *fixture) {
		var ids []string
		for i := range 5 {
			ids = append(ids, f.user(fmt.Sprintf("u%d@example.org", i)).ID)
		}
		var listed []string
		for after := ""; ; {
			page := must2(f.Users(f.ctx, after, 2))(f)
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				listed = append(listed, u.ID)
			}
			after = listed[len(listed)-1]
		}
		f.same(listed, ids)
	},
	"there is an owner once an enabled one has a passkey": func(f *fixture) {
		has := func(want bool) {
			f.Helper()
			f.same(must2(f.HasOwner(f.ctx))(f), want)
		}
		f.passkey(f.user("user@example.org"))
		has(false)
		admin := idp.NewUser("admin@example.org", "A", f.now)
		admin.Role = directory.RoleOwner
		f.must(f.CreateUser(f.ctx, admin))
		has(false)
		f.passkey(admin)
		has(true)
		f.disable(admin)
		has(false)
	},
	"a user enrols with a passkey or not at all": func(f *fixture) {
		u := idp.NewUser("a@example.org", "A", f.now)
		k := newPasskey(u, f.now)
		f.must(f.EnrolUser(f.ctx, u, k, f.event(idp.EventUserCreated, u.ID), f.event(idp.EventPasskeyAdded, u.ID)))
		stored, owner, err := f.PasskeyByCredentialID(f.ctx, k.CredentialID)
		f.must(err)
		f.same(stored, k)
		f.same(owner, u)

		other := idp.NewUser("b@example.org", "B", f.now)
		again := newPasskey(other, f.now)
		again.CredentialID = k.CredentialID
		f.refuses(f.EnrolUser(f.ctx, other, again, f.event(idp.EventUserCreated, other.ID)), idp.ErrConflict)
		_, err = f.UserByID(f.ctx, other.ID)
		f.refuses(err, idp.ErrNotFound)
		f.same(len(f.events()), 2)
	},
	"a changed profile keeps the role, the address, and whether the user is disabled": func(f *fixture) {
		u := f.user("a@example.org")
		f.must(f.UpdateProfile(f.ctx, u.ID, "New", idp.Profile{Nickname: "N"}, f.now.Add(time.Second),
			f.event(idp.EventUserChanged, u.ID)))
		u.Name, u.Profile.Nickname, u.UpdatedAt = "New", "N", f.now.Add(time.Second)
		f.same(must2(f.UserByID(f.ctx, u.ID))(f), u)
		f.disable(u)
		f.refuses(f.UpdateProfile(f.ctx, u.ID, "Again", idp.Profile{}, f.now, f.event(idp.EventUserChanged, u.ID)),
			idp.ErrNotFound)
		f.same(len(f.events()), 1)
	},
	"an event comes back as it was stored, newest first for its user": func(f *fixture) {
		e := idp.Event{
			ID: idp.NewID(), At: f.now, Kind: idp.EventSteppedUp, UserID: "u", ActorID: "admin", ClientID: "app",
			SessionID: "s", PasskeyID: "k",
			Address: "2001:db8::1", Agent: "Firefox on macOS", RequestID: "r", Detail: map[string]string{"class": "payments"},
		}
		later := idp.Event{ID: idp.NewID(), At: f.now.Add(time.Second), Kind: idp.EventSignedOut, UserID: "u"}
		others := idp.Event{ID: idp.NewID(), At: f.now, Kind: idp.EventSignedIn, UserID: "v"}
		unowned := idp.Event{ID: idp.NewID(), At: f.now, Kind: idp.EventClientAuthRefused}
		f.must(f.RecordEvents(f.ctx, e, later, others, unowned))
		f.same(must2(f.EventsOf(f.ctx, "u", 10))(f), []idp.Event{later, e})
		f.same(must2(f.EventsOf(f.ctx, "u", 1))(f), []idp.Event{later})
		f.same(must2(f.EventsOf(f.ctx, "", 10))(f), []idp.Event(nil))
		f.same(must2(f.Events(f.ctx, "", 10))(f), []idp.Event{e, later, others, unowned})
		f.same(must2(f.Events(f.ctx, later.ID, 1))(f), []idp.Event{others})
		f.same(f.trips(func() { f.must(f.RecordEvents(f.ctx)) }), int64(0))
	},
	"a batch that fails at its last statement leaves nothing of the first": func(f *fixture) {
		known := f.event(idp.EventUserCreated, "")
		f.must(f.RecordEvents(f.ctx, known))
		u := idp.NewUser("a@example.org", "A", f.now)
		f.refuses(f.CreateUser(f.ctx, u, f.event(idp.EventUserCreated, u.ID), known), idp.ErrConflict) // the same event twice
		_, err := f.UserByID(f.ctx, u.ID)
		f.refuses(err, idp.ErrNotFound)
		f.same(len(f.events()), 1)
	},
	"an error does not show what was in the statement": func(f *fixture) {
		f.user("ada@example.org")
		err := f.CreateUser(f.ctx, idp.NewUser("ada@example.org", "A", f.now))
		if strings.Contains(err.Error(), "ada@") || strings.Contains(err.Error(), "INSERT") {
			f.Fatal(err)
		}
	},
}
