package store_test

import (
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/erasure"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/internal/store/roster"
)

// sends adds a client that people are sent to.
func (f *fixture) sends(clientID string) *provisioning.Records {
	f.Helper()
	r := provisioning.New(f.DB)
	f.must(f.PutClient(f.ctx, idp.Client{ID: clientID, Name: clientID, CreatedAt: f.now, UpdatedAt: f.now}))
	f.must(r.Put(f.ctx, provisioning.Target{}, provisioning.Target{
		ClientID: clientID, Settings: provisioning.Settings{BaseURL: "https://app.example"}, Token: []byte{1},
		UpdatedAt: f.now,
	}))
	return r
}

// due returns the IDs of users who may have to be sent.
func (f *fixture) due(r *provisioning.Records, clientID string) (ids []string) {
	f.Helper()
	for _, t := range must2(r.Due(f.ctx, clientID, f.now.Add(time.Hour), 100))(f) {
		ids = append(ids, t.UserID)
	}
	return ids
}

var provisioningCases = map[string]func(*fixture){
	"a change marks its user for each application, in its transaction": func(f *fixture) {
		before := f.user("before@example.com")
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventUserChanged, before.ID)))
		r := f.sends("a")
		f.sends("b")
		f.same(len(f.due(r, "a")), 0)
		for _, kind := range []idp.EventKind{
			idp.EventUserChanged, idp.EventUserDisabled, idp.EventEmailChanged, idp.EventGroupMembers, idp.EventDeletionAsked,
		} {
			f.must(f.RecordEvents(f.ctx, f.event(kind, before.ID)))
			for _, id := range []string{"a", "b"} {
				f.same(f.due(r, id), []string{before.ID})
				t := must2(r.Due(f.ctx, id, f.now.Add(time.Hour), 1))(f)[0]
				f.must(r.Finish(f.ctx, t))
			}
		}
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventSignedIn, before.ID), f.event(idp.EventPasskeyAdded, before.ID)))
		f.same(len(f.due(r, "a")), 0)
		// What is refused marks nobody.
		taken := idp.NewUser("before@example.com", "B", f.now)
		f.refuses(f.CreateUser(f.ctx, taken, f.event(idp.EventUserCreated, taken.ID)), idp.ErrConflict)
		f.same(len(f.due(r, "a")), 0)
	},
	"a change while a user is sent keeps the mark": func(f *fixture) {
		u := f.user("ada@example.com")
		r := f.sends("a")
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventUserChanged, u.ID)))
		t := must2(r.Due(f.ctx, "a", f.now.Add(time.Hour), 1))(f)[0]
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventUserChanged, u.ID)))
		f.must(r.Finish(f.ctx, t))
		f.same(f.due(r, "a"), []string{u.ID})
		f.must(r.Postpone(f.ctx, t, "late", f.now.Add(48*time.Hour))) // of the same old claim
		f.same(f.due(r, "a"), []string{u.ID})
	},
	"changes that concern many, or the client, have everybody looked at": func(f *fixture) {
		r := f.sends("a")
		f.sends("b")
		wanted := func(id string) int64 { return must2(r.Target(f.ctx, id))(f).Wanted }
		f.must(f.RecordEvents(f.ctx, f.event(idp.EventGroupNested, ""), f.event(idp.EventMovedIn, "")))
		f.same(wanted("a"), int64(2))
		changed := f.event(idp.EventClientChanged, "")
		changed.ClientID = "b"
		f.must(f.RecordEvents(f.ctx, changed))
		f.same(wanted("a"), int64(2))
		f.same(wanted("b"), int64(3))
		f.must(r.Swept(f.ctx, "b", 3, f.now))
		f.same(must2(r.Target(f.ctx, "b"))(f).Swept, int64(3))
	},
	"what an application has comes back with the groups of a user, and survives them": func(f *fixture) {
		u, other := f.user("ada@example.com"), f.user("bob@example.com")
		r := f.sends("a")
		g := directory.Group{ID: idp.NewID(), Name: "staff", CreatedAt: f.now, UpdatedAt: f.now}
		f.must(roster.New(f.DB).CreateGroup(f.ctx, g))
		f.must(roster.New(f.DB).AddMembers(f.ctx, g.ID, []string{u.ID}, f.now))
		f.must(r.PutGroup(f.ctx, "a", provisioning.Group{ID: g.ID, RemoteID: "g1", Sent: "staff"}))
		f.must(r.PutLink(f.ctx, "a", u.ID, provisioning.Link{RemoteID: "1", Digest: "d"}))
		in := provisioning.Membership{ClientID: "a", UserID: u.ID, GroupID: g.ID}
		f.must(r.PutMember(f.ctx, in, true))
		f.must(r.PutMember(f.ctx, in, true))
		people := must2(r.People(f.ctx, "a", "", 10))(f)
		f.same(len(people), 2)
		for _, p := range people {
			want := provisioning.Link{}
			if p.User.ID == u.ID {
				want = provisioning.Link{RemoteID: "1", Digest: "d", Groups: []string{g.ID}}
				f.same(p.User.Membership.Groups[0].Name, "staff")
			}
			f.same(p.Link, want)
		}
		f.same(must2(r.State(f.ctx, "a"))(f), provisioning.State{Users: 1, Groups: 1})
		// The user is removed: the application has yet to learn it.
		f.must(erasure.New(f.DB).Erase(f.ctx, u.ID, f.now, f.event(idp.EventUserRemoved, u.ID)))
		f.same(f.due(r, "a"), []string{u.ID})
		p := must2(r.Person(f.ctx, "a", u.ID))(f)
		f.same(p.Removed, true)
		f.same(p.Link.RemoteID, "1")
		f.must(r.PutLink(f.ctx, "a", u.ID, provisioning.Link{}))
		f.same(must2(r.Person(f.ctx, "a", u.ID))(f).Link, provisioning.Link{})
		f.must(r.PutLink(f.ctx, "a", other.ID, provisioning.Link{RemoteID: "2"}))
		f.must(r.PutGroup(f.ctx, "a", provisioning.Group{ID: g.ID}))
		f.same(len(must2(r.Groups(f.ctx, "a"))(f)), 0)
		// A client that is removed takes all of it along.
		f.must(f.RemoveClient(f.ctx, "a"))
		_, err := r.Target(f.ctx, "a")
		f.refuses(err, idp.ErrNotFound)
		f.must(r.PutLink(f.ctx, "a", other.ID, provisioning.Link{RemoteID: "3"})) // a delivery on its way
		f.same(must2(r.Person(f.ctx, "a", other.ID))(f).Link, provisioning.Link{})
	},
	"one replica sends to an application at a time": func(f *fixture) {
		r := f.sends("a")
		take := func(holder string, after time.Duration) bool {
			return must2(r.Take(f.ctx, "a", holder, f.now.Add(after), time.Minute))(f)
		}
		f.same(take("x", 0), true)
		f.same(take("y", time.Second), false)
		f.same(take("x", time.Second), true)
		f.same(take("y", 2*time.Minute), true)
		f.must(r.Leave(f.ctx, "a", "y"))
		f.same(take("x", 2*time.Minute), true)
		f.must(r.Pause(f.ctx, "a", provisioning.ByAdmin, f.now))
		f.same(take("x", 2*time.Minute), false)
		f.refuses(r.Pause(f.ctx, "a", provisioning.ByAdmin, f.now), idp.ErrNotFound)
		f.must(r.Resume(f.ctx, "a"))
		f.refuses(r.Resume(f.ctx, "a"), idp.ErrNotFound)
	},
	"of two changes of an application one is refused, and another address begins anew": func(f *fixture) {
		r := f.sends("a")
		was := must2(r.Target(f.ctx, "a"))(f)
		now := was
		now.Settings.BaseURL, now.UpdatedAt = "https://other.example", f.now.Add(time.Second)
		f.must(r.PutLink(f.ctx, "a", "u", provisioning.Link{RemoteID: "1"}))
		f.must(r.Put(f.ctx, was, now))
		f.same(must2(r.State(f.ctx, "a"))(f).Users, 0)
		f.refuses(r.Put(f.ctx, was, now), idp.ErrConflict)
		f.refuses(r.Put(f.ctx, provisioning.Target{}, provisioning.Target{ClientID: "nobody"}), idp.ErrNotFound)
		f.refuses(r.Put(f.ctx, provisioning.Target{}, now), idp.ErrConflict)
	},
	"what failed is counted until something succeeds": func(f *fixture) {
		u := f.user("ada@example.com")
		r := f.sends("a")
		f.must(r.Failed(f.ctx, "a", "answered 500", f.now, f.now.Add(time.Minute)))
		f.must(r.Failed(f.ctx, "a", "answered 502", f.now.Add(time.Hour), f.now.Add(2*time.Hour)))
		t := must2(r.Target(f.ctx, "a"))(f)
		f.same([]any{t.Failures, t.FailingSince.UTC(), t.LastError}, []any{2, f.now, "answered 502"})
		f.must(r.Succeeded(f.ctx, "a", f.now))
		t = must2(r.Target(f.ctx, "a"))(f)
		f.same([]any{t.Failures, t.FailingSince.IsZero(), t.RetryAt.IsZero()}, []any{0, true, true})
		f.must(r.Enqueue(f.ctx, "a", []string{u.ID, u.ID}, f.now))
		task := must2(r.Due(f.ctx, "a", f.now, 10))(f)[0]
		f.must(r.Postpone(f.ctx, task, "answered 400", f.now.Add(time.Hour)))
		f.same(must2(r.State(f.ctx, "a"))(f), provisioning.State{Waiting: 1, Refused: 1, Error: "answered 400"})
		f.must(r.SendAll(f.ctx, "a"))
		f.same(len(must2(r.Due(f.ctx, "a", f.now, 10))(f)), 1)
	},
}
