package store_test

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

var clientCases = map[string]func(*fixture){
	"a client comes back as it was stored": func(f *fixture) {
		age := time.Hour
		c := idp.Client{
			ID: "app", Name: "App", URI: "https://app", Contacts: []string{"a@example.org"}, Policy: idp.PolicyStandard,
			Native: true, ResourceServer: true,
			AuthMethod: idp.AuthMethodBasic, Secrets: []idp.ClientSecret{{
				ID: "s", Hash: "h", CreatedAt: f.now,
				ExpiresAt: f.now.Add(time.Hour),
			}},
			RedirectURIs: []string{"https://app/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"},
			DefaultMaxAge: &age, AccessFormat: idp.FormatOpaque, AccessTTL: time.Minute, CreatedAt: f.now, UpdatedAt: f.now,
		}
		f.must(f.PutClient(f.ctx, c, f.event(idp.EventClientAdded, "")))
		f.same(must2(f.Client(f.ctx, "app"))(f), c)
		f.same(must2(f.StoredClient(f.ctx, "app"))(f), c)
		f.same(must2(f.Clients(f.ctx))(f), []idp.Client{c})
		f.same(f.events(), []idp.EventKind{idp.EventClientAdded})
	},
	"clients are cached, unknown ones too, and own writes are seen at once": func(f *fixture) {
		ask := func(wantTrips int64, wantName string) {
			f.Helper()
			n := f.trips(func() {
				c, err := f.Client(f.ctx, "app")
				if wantName == "" {
					f.refuses(err, idp.ErrNotFound)
					return
				}
				f.must(err)
				f.same(c.Name, wantName)
			})
			f.same(n, wantTrips)
		}
		c := idp.Client{ID: "app", Name: "one", CreatedAt: f.now, UpdatedAt: f.now}
		ask(1, "")
		ask(0, "")
		f.must(f.PutClient(f.ctx, c))
		ask(1, "one")
		ask(0, "one")
		c.Name, c.CreatedAt, c.UpdatedAt = "two", f.now.Add(time.Hour), f.now.Add(time.Hour)
		f.must(f.PutClient(f.ctx, c))
		ask(1, "two")
		f.same(must2(f.StoredClient(f.ctx, "app"))(f).CreatedAt, f.now)
		f.must(f.DisableClient(f.ctx, "app", f.now))
		f.must(f.PutClient(f.ctx, c)) // loaded before it was disabled: it stays disabled
		ask(1, "")
		f.same(must2(f.StoredClient(f.ctx, "app"))(f).DisabledAt, f.now)
		f.must(f.EnableClient(f.ctx, "app", f.now))
		ask(1, "two")
		f.must(f.RemoveClient(f.ctx, "app", f.event(idp.EventClientRemoved, "")))
		ask(1, "")
		f.refuses(f.RemoveClient(f.ctx, "app", f.event(idp.EventClientRemoved, "")), idp.ErrNotFound)
		f.same(len(f.events()), 1)
	},
	"made-up clients do not push real ones out of the cache": func(f *fixture) {
		f.must(f.PutClient(f.ctx, idp.Client{ID: "app", CreatedAt: f.now}))
		must2(f.Client(f.ctx, "app"))(f)
		for i := range 1100 {
			_, err := f.Client(f.ctx, fmt.Sprint("made up ", i))
			f.refuses(err, idp.ErrNotFound)
		}
		f.same(f.trips(func() { must2(f.Client(f.ctx, "app"))(f) }), int64(0))
	},
	"a removed client takes its grants and families with it": func(f *fixture) {
		u := f.user("a@example.org")
		f.must(f.PutClient(f.ctx, idp.Client{ID: "app", CreatedAt: f.now}))
		f.must(f.PutGrant(f.ctx, idp.Grant{UserID: u.ID, ClientID: "app", Scopes: []string{"openid"}}))
		gone, stays := f.family(u, nil), f.family(u, func(fam *idp.Family) { fam.ClientID = "another" })
		f.must(f.RemoveClient(f.ctx, "app"))
		_, _, err := f.FamilyWithUser(f.ctx, gone.ID)
		f.refuses(err, idp.ErrNotFound)
		_, _, err = f.FamilyWithUser(f.ctx, stays.ID)
		f.must(err)
		f.same(len(must2(f.GrantsOf(f.ctx, u.ID))(f)), 0)
	},
}

var keyCases = map[string]func(*fixture){
	"keys rotate together: one leaves, one comes": func(f *fixture) {
		active := idp.SigningKey{
			ID: "k1", Algorithm: "ES256", State: idp.KeyActive, Sealed: []byte{1}, CreatedAt: f.now,
			ActiveAt: f.now,
		}
		next := idp.SigningKey{
			ID: "k2", Algorithm: "ES256", State: idp.KeyNext, Sealed: []byte{2},
			CreatedAt: f.now.Add(time.Second),
		}
		other := idp.SigningKey{
			ID: "k3", Algorithm: "EdDSA", State: idp.KeyActive, Sealed: []byte{3},
			CreatedAt: f.now.Add(time.Minute),
		}
		for _, k := range []idp.SigningKey{active, next, other} {
			f.must(f.AddSigningKey(f.ctx, k, f.event(idp.EventKeyAdded, "")))
		}
		f.same(must2(f.SigningKeys(f.ctx))(f), []idp.SigningKey{active, next, other})
		active.State, active.RetiredAt, active.ExpiresAt = idp.KeyRetired, f.now, f.now.Add(time.Hour)
		next.State, next.ActiveAt = idp.KeyActive, f.now
		f.must(f.UpdateSigningKeys(f.ctx, []idp.SigningKey{next, active}, f.event(idp.EventKeyRetired, "")))
		f.same(must2(f.SigningKeys(f.ctx))(f), []idp.SigningKey{active, next, other})
		f.refuses(f.UpdateSigningKeys(f.ctx, []idp.SigningKey{other, {ID: "gone"}}, f.event(idp.EventKeyRetired, "")),
			idp.ErrNotFound)
		f.same(len(f.events()), 4)
	},
	"one of eight replicas that make the first key at once succeeds": func(f *fixture) {
		won := f.race(8, idp.ErrConflict, func(i int) error {
			return f.AddSigningKey(f.ctx, idp.SigningKey{ID: fmt.Sprint(i), Algorithm: "ES256", State: idp.KeyActive})
		})
		f.same(won, 1)
		f.same(len(must2(f.SigningKeys(f.ctx))(f)), 1)
	},
}
