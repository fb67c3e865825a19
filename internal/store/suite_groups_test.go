package store_test

import (
	"fmt"
	"strings"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/erasure"
	"github.com/stepward/stepward/internal/store/roster"
)

// group stores a group of this name, in the groups of these names.
func (f *fixture) group(name string, within ...string) directory.Group {
	f.Helper()
	r := roster.New(f.DB)
	g := directory.Group{ID: idp.NewID(), Name: name, CreatedAt: f.now, UpdatedAt: f.now}
	f.must(r.CreateGroup(f.ctx, g))
	for _, parent := range within {
		f.must(r.Nest(f.ctx, g.ID, must2(r.GroupByName(f.ctx, parent))(f).ID))
	}
	return g
}

// effective returns the names of all groups of a user.
func (f *fixture) effective(u idp.User) string {
	f.Helper()
	return names(must2(f.MembershipOf(f.ctx, u.ID))(f).Groups)
}

func names(groups []directory.Group) string {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, " ")
}

var groupCases = map[string]func(*fixture){
	"a group comes back as it was stored, and its name is taken in every spelling": func(f *fixture) {
		r := roster.New(f.DB)
		g := directory.Group{ID: idp.NewID(), Name: "Straße", Description: "All of us", CreatedAt: f.now, UpdatedAt: f.now}
		f.must(r.CreateGroup(f.ctx, g, f.event(idp.EventGroupCreated, "")))
		f.same(must2(r.Group(f.ctx, g.ID))(f), g)
		f.same(must2(r.GroupByName(f.ctx, "STRASSE"))(f), g)
		again := g
		again.ID, again.Name = idp.NewID(), "strasse"
		f.refuses(r.CreateGroup(f.ctx, again, f.event(idp.EventGroupCreated, "")), idp.ErrConflict)
		f.same(f.events(), []idp.EventKind{idp.EventGroupCreated})
		_, err := r.Group(f.ctx, again.ID)
		f.refuses(err, idp.ErrNotFound)
	},
	"a change of a group that has changed since is a conflict": func(f *fixture) {
		r := roster.New(f.DB)
		g, other := f.group("a"), f.group("b")
		changed := g
		changed.Name, changed.UpdatedAt = "c", f.now.Add(1e6)
		f.must(r.ChangeGroup(f.ctx, g, changed))
		f.refuses(r.ChangeGroup(f.ctx, g, changed), idp.ErrConflict)
		changed.Name = other.Name
		f.refuses(r.ChangeGroup(f.ctx, changed, changed), idp.ErrConflict)
		f.same(names(must2(r.Groups(f.ctx, "", 10))(f)), "b c")
		f.same(names(must2(r.Groups(f.ctx, "b", 10))(f)), "c")
		f.same(names(must2(r.Groups(f.ctx, "", 1))(f)), "b")
	},
	"a member of a group is a member of the groups that it is in": func(f *fixture) {
		r := roster.New(f.DB)
		u, other := f.user("a@example.org"), f.user("b@example.org")
		f.group("staff")
		f.group("berlin", "staff")
		dev := f.group("dev", "staff")
		web := f.group("web", "dev", "berlin")
		f.must(r.AddMembers(f.ctx, web.ID, []string{u.ID, u.ID}, f.now))
		f.same(f.effective(u), "berlin dev staff web")
		f.same(f.effective(other), "")
		f.same(names(must2(r.GroupsOf(f.ctx, u.ID))(f)), "web")
		f.same(names(must2(r.ParentsOf(f.ctx, web.ID))(f)), "berlin dev")
		f.same(names(must2(r.ChildrenOf(f.ctx, dev.ID))(f)), "web")
		f.same(must2(r.Members(f.ctx, web.ID, "", 10))(f), []idp.User{u})
		f.same(must2(r.CountMembers(f.ctx, web.ID, 10))(f), 1)

		f.must(r.Unnest(f.ctx, web.ID, dev.ID))
		f.same(f.effective(u), "berlin staff web") // still staff, through berlin
		f.refuses(r.Unnest(f.ctx, web.ID, dev.ID), idp.ErrNotFound)
		f.must(r.RemoveGroup(f.ctx, must2(r.GroupByName(f.ctx, "berlin"))(f).ID))
		f.same(f.effective(u), "web")
		f.must(r.Nest(f.ctx, web.ID, dev.ID))
		f.same(f.effective(u), "dev staff web")
		f.must(r.RemoveMembers(f.ctx, web.ID, []string{u.ID, other.ID}, f.now))
		f.same(f.effective(u), "")
	},
	"a user is put into exactly the groups that are named": func(f *fixture) {
		r := roster.New(f.DB)
		u := f.user("a@example.org")
		a, b, c := f.group("a"), f.group("b"), f.group("c")
		f.must(r.SetGroups(f.ctx, u.ID, []string{a.ID, b.ID}, f.now))
		f.must(r.SetGroups(f.ctx, u.ID, []string{b.ID, c.ID}, f.now))
		f.same(f.effective(u), "b c")
		f.refuses(r.SetGroups(f.ctx, u.ID, []string{a.ID, "nothing"}, f.now), idp.ErrNotFound)
		f.same(f.effective(u), "b c")
		f.must(r.SetGroups(f.ctx, u.ID, nil, f.now))
		f.same(f.effective(u), "")
		f.refuses(r.SetGroups(f.ctx, "nobody", []string{a.ID}, f.now), idp.ErrNotFound)
	},
	"of members who are added together, all exist or none is added": func(f *fixture) {
		r := roster.New(f.DB)
		u, g := f.user("a@example.org"), f.group("a")
		f.refuses(r.AddMembers(f.ctx, g.ID, []string{u.ID, "nobody"}, f.now, f.event(idp.EventGroupMembers, "")),
			idp.ErrNotFound)
		f.refuses(r.AddMembers(f.ctx, "nothing", []string{u.ID}, f.now), idp.ErrNotFound)
		f.same(f.effective(u), "")
		f.same(len(f.events()), 0)
	},
	"no group is in itself, and no chain is longer than four": func(f *fixture) {
		r := roster.New(f.DB)
		a := f.group("a")
		b := f.group("b", "a")
		c := f.group("c", "b")
		f.refuses(r.Nest(f.ctx, a.ID, a.ID), roster.ErrCycle)
		f.refuses(r.Nest(f.ctx, a.ID, c.ID), roster.ErrCycle)
		f.must(r.Nest(f.ctx, c.ID, b.ID)) // is there already
		d := f.group("d", "c")
		e := f.group("e")
		f.refuses(r.Nest(f.ctx, e.ID, d.ID), roster.ErrTooDeep)
		f.refuses(r.Nest(f.ctx, a.ID, e.ID), roster.ErrTooDeep)
		f.refuses(r.Nest(f.ctx, e.ID, "nothing"), idp.ErrNotFound)
		u := f.user("u@example.org")
		f.must(r.AddMembers(f.ctx, d.ID, []string{u.ID}, f.now))
		f.same(f.effective(u), "a b c d")
	},
	"of groups that are put into each other at once, one is in the other": func(f *fixture) {
		r := roster.New(f.DB)
		g := []directory.Group{f.group("a"), f.group("b")}
		won := f.race(8, roster.ErrCycle, func(i int) error { return r.Nest(f.ctx, g[i%2].ID, g[(i+1)%2].ID) })
		if won == 0 {
			f.Fatal("nobody won")
		}
		f.same(len(must2(r.ParentsOf(f.ctx, g[0].ID))(f))+len(must2(r.ParentsOf(f.ctx, g[1].ID))(f)), 1)
	},
	"a family is read with the membership of its user, at no cost": func(f *fixture) {
		r := roster.New(f.DB)
		u := f.user("a@example.org")
		f.must(r.AddMembers(f.ctx, f.group("a").ID, []string{u.ID}, f.now))
		family, owner := f.create(newFamily(u, f.now), nil)
		f.same(names(owner.Membership.Groups), "a")
		f.same(f.trips(func() {
			_, owner, err := f.FamilyWithUser(f.ctx, family.ID)
			f.must(err)
			f.same(names(owner.Membership.Groups), "a")
		}), int64(1))
		_, owner, err := f.RotateFamily(f.ctx, key(family), "first", "second", family.ClientID, f.now, 0)
		f.must(err)
		f.same(names(owner.Membership.Groups), "a")
	},
	"a family that is for groups is created for their members alone": func(f *fixture) {
		r := roster.New(f.DB)
		u := f.user("a@example.org")
		f.client("app")
		f.group("staff")
		g := f.group("dev", "staff")
		family := newFamily(u, f.now)
		family.OnlyFor = []string{"other", "staff"}
		_, _, err := f.CreateFamily(f.ctx, family, nil, f.event(idp.EventTokensIssued, u.ID))
		f.refuses(err, idp.ErrNotFound)
		f.same(len(f.events()), 0)
		f.must(r.AddMembers(f.ctx, g.ID, []string{u.ID}, f.now))
		_, _, err = f.CreateFamily(f.ctx, family, nil)
		f.must(err)
	},
	"the last owner who can sign in is not disabled, removed or demoted": func(f *fixture) {
		owner := f.user("owner@example.org")
		f.passkey(owner)
		was := owner
		owner.Role = directory.RoleOwner
		f.must(roster.New(f.DB).ChangeUser(f.ctx, was, owner, nil, ""))
		second := idp.NewUser("second@example.org", "S", f.now)
		second.Role = directory.RoleOwner
		f.must(f.CreateUser(f.ctx, second)) // without a passkey: of no help
		admin := owner
		admin.Role = directory.RoleAdmin
		f.refuses(roster.New(f.DB).ChangeUser(f.ctx, owner, admin, nil, ""), store.ErrLastOwner)
		f.refuses(f.DisableUser(f.ctx, owner.ID, f.now), store.ErrLastOwner)
		f.refuses(erasure.New(f.DB).Erase(f.ctx, owner.ID, f.now), store.ErrLastOwner)
		f.passkey(second)
		won := f.race(2, store.ErrLastOwner, func(i int) error {
			return f.DisableUser(f.ctx, []string{owner.ID, second.ID}[i], f.now)
		})
		f.same(won, 1)
		f.same(must2(f.HasOwner(f.ctx))(f), true)
	},
	"a change of a user who has changed since is a conflict": func(f *fixture) {
		u := f.user("a@example.org")
		changed := u
		changed.Name, changed.UpdatedAt = "B", f.now.Add(1e6)
		f.must(roster.New(f.DB).ChangeUser(f.ctx, u, changed, nil, ""))
		f.refuses(roster.New(f.DB).ChangeUser(f.ctx, u, changed, nil, "",
			f.event(idp.EventUserChanged, u.ID)), idp.ErrConflict)
		f.same(len(f.events()), 0)
		f.must(f.DisableUser(f.ctx, u.ID, f.now.Add(1e6)))
		f.refuses(roster.New(f.DB).ChangeUser(f.ctx, changed, changed, nil, ""), idp.ErrConflict)
	},
	"claims have values of one type, which go with them": func(f *fixture) {
		r := roster.New(f.DB)
		u, g := f.user("a@example.org"), f.group("dev")
		tier := directory.Claim{
			Name: "tier", Type: directory.ClaimString, Scope: "profile",
			SeenBy: []directory.Party{"admin"}, CreatedAt: f.now, UpdatedAt: f.now,
		}
		f.must(r.PutClaim(f.ctx, tier))
		tags := directory.Claim{Name: "tags", Type: directory.ClaimList, Scope: "email", CreatedAt: f.now, UpdatedAt: f.now}
		f.must(r.PutClaim(f.ctx, tags))
		f.same(must2(r.Claims(f.ctx))(f), []directory.Claim{tags, tier})
		types := map[string]directory.ClaimType{
			"tier": directory.ClaimString, "tags": directory.ClaimList,
			"other": directory.ClaimList,
		}
		f.must(r.SetUserClaims(f.ctx, u.ID, types, roster.Values{"tier": `"gold"`, "tags": `["a"]`}, f.now))
		f.must(r.SetGroupClaims(f.ctx, g.ID, types, roster.Values{"tags": `["b","a"]`, "tier": `"silver"`}, f.now))
		f.must(r.AddMembers(f.ctx, g.ID, []string{u.ID}, f.now))
		f.same(must2(f.MembershipOf(f.ctx, u.ID))(f).Claims(), []directory.Value{
			{Claim: "tags", Type: directory.ClaimList, Scope: "email", JSON: `["a","b"]`},
			{Claim: "tier", Type: directory.ClaimString, Scope: "profile", JSON: `"gold"`},
		})
		f.must(r.SetUserClaims(f.ctx, u.ID, types, roster.Values{"tier": "", "tags": ""}, f.now))
		f.same(must2(r.UserClaims(f.ctx, u.ID))(f), []directory.Value(nil))
		f.same(len(must2(r.GroupClaims(f.ctx, g.ID))(f)), 2)
		f.same(must2(f.MembershipOf(f.ctx, u.ID))(f).Claims()[1], directory.Value{
			Claim: "tier", Type: directory.ClaimString,
			Scope: "profile", JSON: `"silver"`, Group: "dev",
		})

		wrong := tier
		wrong.Type = directory.ClaimNumber
		f.refuses(r.PutClaim(f.ctx, wrong), roster.ErrInUse)
		f.refuses(r.SetUserClaims(f.ctx, u.ID, types, roster.Values{"other": `["a"]`}, f.now), idp.ErrNotFound)
		types["tier"] = directory.ClaimNumber
		f.refuses(r.SetUserClaims(f.ctx, u.ID, types, roster.Values{"tier": `1`}, f.now), idp.ErrNotFound)
		f.must(r.RemoveClaim(f.ctx, "tier"))
		f.refuses(r.RemoveClaim(f.ctx, "tier"), idp.ErrNotFound)
		f.must(r.PutClaim(f.ctx, wrong)) // nothing of the former is left
		f.same(len(must2(f.MembershipOf(f.ctx, u.ID))(f).Values), 1)
	},
	"many groups are read in one round trip": func(f *fixture) {
		r := roster.New(f.DB)
		u := f.user("a@example.org")
		var ids []string
		for i := range 60 {
			ids = append(ids, f.group(fmt.Sprintf("g%02d", i)).ID)
		}
		f.must(r.SetGroups(f.ctx, u.ID, ids, f.now))
		f.same(f.trips(func() { f.same(len(must2(f.MembershipOf(f.ctx, u.ID))(f).Groups), 60) }), int64(1))
	},
}
