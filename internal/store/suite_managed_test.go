package store_test

import (
	"fmt"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/store/roster"
)

// manage stores that a directory manages a user.
func (f *fixture) manage(u idp.User, m directory.Managed) error {
	var b store.Batch
	managed.PutUser(&b, u.ID, m)
	return f.RunBatch(f.ctx, "manage user", &b)
}

var managedCases = map[string]func(*fixture){
	"what a directory keeps of a user comes back, and goes with them": func(f *fixture) {
		r := managed.New(f.DB)
		u, other := f.user("ada@example.com"), f.user("bob@example.com")
		m := directory.Managed{
			ClientID: "entra", ExternalID: "E-1", UserName: "Ada", Attributes: `{"title":"x"}`,
			DisabledAt: f.now, RemovedAt: f.now,
		}
		f.must(f.manage(u, m))
		got := must2(r.User(f.ctx, u.ID))(f)
		f.same(got.Managed, m)
		f.same(got.User, u)
		f.same(must2(r.UserNamed(f.ctx, "ＡDA"))(f).ID, u.ID)
		f.refuses(f.manage(other, directory.Managed{ClientID: "okta", UserName: "aDa"}), idp.ErrConflict)
		f.same(must2(r.User(f.ctx, other.ID))(f).Managed, directory.Managed{})
		_, err := r.User(f.ctx, "nobody")
		f.refuses(err, idp.ErrNotFound)
	},
	"users are found by each key, except those whom their directory deleted": func(f *fixture) {
		r := managed.New(f.DB)
		ada, bob, gone := f.user("ada@example.com"), f.user("bob@example.com"), f.user("gone@example.com")
		f.must(f.manage(ada, directory.Managed{ClientID: "entra", ExternalID: "1", UserName: "ada"}))
		f.must(f.manage(gone, directory.Managed{ClientID: "entra", ExternalID: "1", UserName: "gone", RemovedAt: f.now}))
		for key, want := range map[managed.Key]string{
			{Of: "id", Value: ada.ID}: ada.ID, {Of: "userName", Value: "ADA"}: ada.ID, {Of: "email", Value: bob.Email}: bob.ID,
			{Of: "externalId", Value: "1", ClientID: "entra"}: ada.ID, {Of: "externalId", Value: "1", ClientID: "okta"}: "",
			{Of: "userName", Value: "gone"}: "", {Of: "id", Value: gone.ID}: "",
		} {
			found := must2(r.FindUsers(f.ctx, []managed.Key{key}, 10))(f)
			if len(found) > 1 || want == "" != (len(found) == 0) || want != "" && found[0].ID != want {
				f.Errorf("%v finds %d users", key, len(found))
			}
		}
		both := must2(r.FindUsers(f.ctx, []managed.Key{{Of: "id", Value: bob.ID}, {Of: "userName", Value: "ada"}}, 10))(f)
		f.same(len(both), 2)
		f.same(must2(r.CountUsers(f.ctx, 10))(f), 2)
		f.same(must2(r.CountUsers(f.ctx, 1))(f), 1)
		page := must2(r.Users(f.ctx, managed.Page{Offset: 1, Limit: 5}))(f)
		f.same(len(page), 1)
		f.same(len(must2(r.Users(f.ctx, managed.Page{After: page[0].ID, Limit: 5}))(f)), 0)
	},
	"a group changes with its members and what its directory keeps, or not at all": func(f *fixture) {
		r, rec := roster.New(f.DB), managed.New(f.DB)
		g, u, other := f.group("staff"), f.user("ada@example.com"), f.user("bob@example.com")
		f.must(r.AddMembers(f.ctx, g.ID, []string{other.ID}, f.now))
		g = must2(r.Group(f.ctx, g.ID))(f)
		changed := g
		changed.Name, changed.UpdatedAt = "crew", g.UpdatedAt.Add(1e6)
		keep := func(b *store.Batch) {
			managed.PutGroup(b, g.ID, directory.Managed{ClientID: "entra", ExternalID: "g-1"})
		}
		f.refuses(r.SyncGroup(f.ctx, roster.GroupChange{Was: g, Now: changed, Add: []string{u.ID, "nobody"}, Also: keep}),
			idp.ErrNotFound)
		f.same(must2(rec.Group(f.ctx, g.ID))(f), managed.Group{Group: g})
		f.must(r.SyncGroup(f.ctx, roster.GroupChange{
			Was: g, Now: changed, Add: []string{u.ID}, Remove: []string{other.ID}, Also: keep,
		}, f.event(idp.EventGroupChanged, "")))
		f.same(must2(rec.Group(f.ctx, g.ID))(f).ExternalID, "g-1")
		f.same(must2(rec.Members(f.ctx, []string{g.ID}, 9))(f), []managed.Member{{GroupID: g.ID, UserID: u.ID}})
		f.same(must2(rec.Among(f.ctx, g.ID, []string{u.ID, other.ID}))(f), map[string]bool{u.ID: true})
		for _, key := range []managed.Key{
			{Of: "id", Value: g.ID},
			{Of: "displayName", Value: "CREW"},
			{Of: "member", Value: u.ID},
			{Of: "externalId", Value: "g-1", ClientID: "entra"},
		} {
			f.same(len(must2(rec.FindGroups(f.ctx, []managed.Key{key}, 9))(f)), 1)
		}
		users := []managed.User{must2(rec.User(f.ctx, other.ID))(f), must2(rec.User(f.ctx, u.ID))(f)}
		f.must(rec.WithGroups(f.ctx, users))
		f.same(fmt.Sprintf("%d %s", len(users[0].Groups), users[1].Groups[0].Name), "0 crew")
		f.refuses(r.SyncGroup(f.ctx, roster.GroupChange{Was: g, Now: changed}), idp.ErrConflict)
	},
}
