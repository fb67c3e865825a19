package store_test

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/registrations"
)

var registrationCases = map[string]func(*fixture){
	"a dynamic client is changed only with its current token": func(f *fixture) {
		c := idp.Client{
			ID: "app", Name: "one", Dynamic: true, RegistrationHash: "h1", UsedAt: f.now, CreatedAt: f.now,
			UpdatedAt: f.now,
		}
		f.must(registrations.Register(f.ctx, f.DB, c, "", f.now, f.event(idp.EventClientAdded, "")))
		f.same(must2(f.Client(f.ctx, "app"))(f), c)
		f.refuses(registrations.Register(f.ctx, f.DB, c, "", f.now), idp.ErrConflict)
		c.Name, c.RegistrationHash = "two", "h2"
		f.must(registrations.Change(f.ctx, f.DB, c, c, "h1", f.event(idp.EventClientChanged, "")))
		f.same(must2(f.StoredClient(f.ctx, "app"))(f), c)
		f.refuses(registrations.Change(f.ctx, f.DB, c, c, "h1", f.event(idp.EventClientChanged, "")), idp.ErrNotFound)
		f.must(f.PutClient(f.ctx, idp.Client{ID: "operators", Name: "one"}))
		f.refuses(registrations.Change(f.ctx, f.DB, idp.Client{}, idp.Client{ID: "operators"}, ""), idp.ErrNotFound)
		f.same(len(f.events()), 2)
	},
	"an initial access token registers as many clients as it allows": func(f *fixture) {
		put := func(hash string, uses int, ttl time.Duration) {
			f.must(registrations.PutToken(f.ctx, f.DB, hash, uses, f.now, f.now.Add(ttl), f.event(idp.EventClientChanged, "")))
		}
		put("twice", 2, time.Hour)
		put("any", registrations.AnyUses, time.Hour)
		put("late", 1, 0)
		n := 0
		register := func(hash string) error {
			n++
			return registrations.Register(f.ctx, f.DB, idp.Client{ID: fmt.Sprint("app ", hash, n)}, hash, f.now)
		}
		for range 3 {
			f.must(register("any"))
		}
		f.refuses(register("late"), idp.ErrNotFound)
		f.refuses(register("unknown"), idp.ErrNotFound)
		f.same(must2(registrations.HasToken(f.ctx, f.DB, "twice", f.now))(f), true)
		won := f.race(8, idp.ErrNotFound, func(i int) error {
			return registrations.Register(f.ctx, f.DB, idp.Client{ID: fmt.Sprint("racer ", i)}, "twice", f.now)
		})
		f.same(won, 2)
		f.same(must2(registrations.HasToken(f.ctx, f.DB, "twice", f.now))(f), false)
		f.same(must2(registrations.HasToken(f.ctx, f.DB, "late", f.now))(f), false)
		f.same(len(must2(f.Clients(f.ctx))(f)), 5) // a refusal leaves no client
		f.same(must2(f.Sweep(f.ctx, f.now))(f), int64(1))
		f.must(registrations.RevokeTokens(f.ctx, f.DB))
		f.refuses(register("any"), idp.ErrNotFound)
	},
	"a token is not used up by a client that cannot be stored": func(f *fixture) {
		f.must(registrations.PutToken(f.ctx, f.DB, "once", 1, f.now, f.now.Add(time.Hour)))
		f.must(f.PutClient(f.ctx, idp.Client{ID: "taken"}))
		f.refuses(registrations.Register(f.ctx, f.DB, idp.Client{ID: "taken"}, "once", f.now), idp.ErrConflict)
		f.must(registrations.Register(f.ctx, f.DB, idp.Client{ID: "free"}, "once", f.now))
	},
	"unused dynamic clients are removed with their grants and families": func(f *fixture) {
		u := f.user("a@example.org")
		month := f.now.Add(-30 * 24 * time.Hour)
		for _, id := range []string{"idle", "busy"} {
			f.must(registrations.Register(f.ctx, f.DB, idp.Client{ID: id, Dynamic: true, UsedAt: month}, "", f.now))
		}
		f.must(f.PutClient(f.ctx, idp.Client{ID: "operators"}))
		f.must(f.PutGrant(f.ctx, idp.Grant{UserID: u.ID, ClientID: "idle", Scopes: []string{"openid"}}))
		gone := f.family(u, func(fam *idp.Family) { fam.ClientID = "idle" })
		f.must(registrations.Use(f.ctx, f.DB, "busy", f.now))
		f.must(registrations.Use(f.ctx, f.DB, "operators", f.now))
		f.same(must2(f.Client(f.ctx, "busy"))(f).UsedAt, f.now)
		f.same(must2(f.Client(f.ctx, "operators"))(f).UsedAt, time.Time{})
		f.same(must2(f.SweepClients(f.ctx, month.Add(-time.Millisecond), f.now))(f), int64(0))
		f.same(must2(f.SweepClients(f.ctx, month, f.now))(f), int64(1))
		_, _, err := f.FamilyWithUser(f.ctx, gone.ID)
		f.refuses(err, idp.ErrNotFound)
		_, err = f.Client(f.ctx, "idle")
		f.refuses(err, idp.ErrNotFound)
		f.same(len(must2(f.Clients(f.ctx))(f)), 2)
		f.same(len(must2(f.GrantsOf(f.ctx, u.ID))(f)), 0)
		f.same(f.events(), []idp.EventKind{idp.EventClientRemoved})
	},
}
