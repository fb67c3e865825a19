package store_test

import "github.com/stepward/stepward/internal/store/rpid"

var rpidCases = map[string]func(*fixture){
	"the host of passkeys is recorded, and replaced only while there are no passkeys, or on purpose": func(f *fixture) {
		f.same(must2(rpid.Read(f.ctx, f.DB, "a.example"))(f), rpid.Record{})
		claim := func(host string, anew bool) rpid.Record { return must2(rpid.Claim(f.ctx, f.DB, host, anew))(f) }
		f.same(claim("a.example", false), rpid.Record{Host: "a.example"})
		f.same(claim("b.example", false), rpid.Record{Host: "b.example"})
		f.passkey(f.user("ada@example.org"))
		f.same(claim("b.example", false), rpid.Record{Host: "b.example"})
		f.same(claim("a.example", false), rpid.Record{Host: "b.example", Passkeys: 1})
		f.same(must2(rpid.Read(f.ctx, f.DB, "c.example"))(f), rpid.Record{Host: "b.example", Passkeys: 1})
		f.same(claim("a.example", true), rpid.Record{Host: "a.example"})
		f.same(must2(rpid.Read(f.ctx, f.DB, "b.example"))(f).Host, "a.example")
	},
	"passkeys whose host is not recorded are for no host until the operator says so": func(f *fixture) {
		f.passkey(f.user("ada@example.org"))
		f.same(must2(rpid.Read(f.ctx, f.DB, "a.example"))(f), rpid.Record{Passkeys: 1})
		f.same(must2(rpid.Claim(f.ctx, f.DB, "a.example", false))(f), rpid.Record{Passkeys: 1})
		f.same(must2(rpid.Claim(f.ctx, f.DB, "a.example", true))(f), rpid.Record{Host: "a.example"})
	},
}
