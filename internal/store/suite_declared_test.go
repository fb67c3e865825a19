package store_test

import (
	"errors"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/registrations"
)

var errGivenUp = errors.New("given up")

var declaredCases = map[string]func(*fixture){
	"what happens in a transaction is read in it, and happens as a whole": func(f *fixture) {
		c := idp.Client{ID: "app", Name: "App", CreatedAt: f.now, UpdatedAt: f.now}
		add := func(end error) error {
			return f.Transact(f.ctx, "add", []string{"groups", "claims"}, func(tx *store.DB) error {
				f.must(tx.PutClient(f.ctx, c, f.event(idp.EventClientAdded, "")))
				f.same(must2(tx.StoredClient(f.ctx, "app"))(f).Name, "App")
				f.same(must2(tx.Client(f.ctx, "app"))(f).Name, "App")
				return end
			})
		}
		_, err := f.Client(f.ctx, "app")
		f.refuses(err, idp.ErrNotFound)
		f.refuses(add(errGivenUp), errGivenUp)
		_, err = f.StoredClient(f.ctx, "app")
		f.refuses(err, idp.ErrNotFound)
		f.same(len(f.events()), 0)
		f.must(add(nil))
		f.same(must2(f.Client(f.ctx, "app"))(f).Name, "App") // although it was cached as unknown
		f.same(f.events(), []idp.EventKind{idp.EventClientAdded})
	},
	"a transaction whose batch failed changes nothing": func(f *fixture) {
		f.must(f.PutClient(f.ctx, idp.Client{ID: "b", CreatedAt: f.now}))
		err := f.Transact(f.ctx, "add", nil, func(tx *store.DB) error {
			f.must(registrations.Register(f.ctx, tx, idp.Client{ID: "a"}, "", f.now))
			return registrations.Register(f.ctx, tx, idp.Client{ID: "b"}, "", f.now)
		})
		f.refuses(err, idp.ErrConflict)
		_, err = f.StoredClient(f.ctx, "a")
		f.refuses(err, idp.ErrNotFound)
	},
	"an object has one file that manages it": func(f *fixture) {
		m := declared.New(f.DB)
		one := declared.Mark{Kind: declared.Client, ID: "app", Source: "one.yaml", Digest: "d", At: f.now}
		f.must(m.Replace(f.ctx, "one.yaml", []declared.Mark{one, {Kind: declared.Group, ID: "g"}}))
		f.refuses(m.Replace(f.ctx, "two.yaml", []declared.Mark{{Kind: declared.Client, ID: "app"}}), idp.ErrConflict)
		f.must(m.Replace(f.ctx, "two.yaml", []declared.Mark{{Kind: declared.Claim, ID: "app"}}))
		f.must(m.Replace(f.ctx, "one.yaml", []declared.Mark{one}))
		all := must2(m.All(f.ctx))(f)
		f.same(all[1], one)
		f.same(len(all), 2)
		f.same(must2(m.Of(f.ctx, declared.Claim, "app"))(f), "two.yaml")
		f.same(must2(m.Of(f.ctx, declared.Group, "g"))(f), "")
		f.same(must2(m.Sources(f.ctx, declared.Client, "app", "other"))(f), map[string]string{"app": "one.yaml"})
		f.same(must2(m.Sources(f.ctx, declared.Group))(f), map[string]string{})
	},
}
