package store_test

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/registry"
)

var registryCases = map[string]func(*fixture){
	"of several changes of one version of a client, one succeeds": func(f *fixture) {
		was := idp.Client{ID: "app", Name: "App", CreatedAt: f.now, UpdatedAt: f.now}
		f.must(f.PutClient(f.ctx, was))
		r := registry.New(f.DB)
		f.same(f.race(8, idp.ErrConflict, func(i int) error {
			c := was
			c.UpdatedAt = f.now.Add(time.Duration(i+1) * time.Second)
			return r.Replace(f.ctx, was, c, f.event(idp.EventClientChanged, ""))
		}), 1)
		f.same(len(f.events()), 1)
		f.must(f.RemoveClient(f.ctx, "app"))
		f.refuses(r.Replace(f.ctx, was, was), idp.ErrConflict)
	},
	"clients are found by ID, name and redirect URI": func(f *fixture) {
		for _, c := range []idp.Client{
			{ID: "a1", Name: "Grafana & Söhne", RedirectURIs: []string{"https://grafana.example/cb"}},
			{ID: "b2", Name: "Wiki", URI: "https://grafana.example"},
			{ID: "c3", Name: "Log grafana"},
		} {
			c.CreatedAt = f.now
			f.must(f.PutClient(f.ctx, c))
		}
		r := registry.New(f.DB)
		for text, want := range map[string][]string{
			"":              {"a1", "b2", "c3"},
			"GRAFANA":       {"a1", "c3"},
			"grafana.ex":    {"a1"},
			"fana & söhne":  {"a1"},
			" b2 ":          {"b2"},
			"client_name":   nil,
			`%`:             nil,
			"https://other": nil,
		} {
			var ids []string
			for _, c := range must2(r.Search(f.ctx, text, "", 10))(f) {
				ids = append(ids, c.ID)
			}
			f.same(ids, want)
		}
		f.same(must2(r.Search(f.ctx, "", "a1", 1))(f)[0].ID, "b2")
	},
	"the last use of a client counts, in whatever order replicas write": func(f *fixture) {
		f.must(f.PutClient(f.ctx, idp.Client{ID: "app", CreatedAt: f.now}))
		one, two := registry.NewRecorder(f.DB), registry.NewRecorder(f.DB)
		one.SignedIn("app", f.now)
		two.SignedIn("app", f.now.Add(time.Minute))
		two.Failed("app", "invalid_client: wrong secret", f.now)
		two.UsedSecret("app", "s1", f.now)
		two.Tokens("gone", f.now)
		f.same(f.trips(func() {
			f.must(two.Flush(f.ctx))
			f.must(two.Flush(f.ctx)) // nothing is left
		}), int64(1))
		f.must(one.Flush(f.ctx))
		r := registry.New(f.DB)
		used := must2(r.Usage(f.ctx, "app", "gone"))(f)
		f.same(len(used), 1)
		f.same(used["app"].SignInAt.Equal(f.now.Add(time.Minute)), true)
		f.same(used["app"].Error, "invalid_client: wrong secret")
		f.same(used["app"].Secrets["s1"].Equal(f.now), true)
		f.must(f.RemoveClient(f.ctx, "app"))
		f.same(len(must2(r.Usage(f.ctx, "app"))(f)), 0)
	},
}
