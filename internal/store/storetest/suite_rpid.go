package storetest

import (
	"github.com/stepward/stepward/internal/store"
)

var rpidCases = map[string]func(*fixture){
	"the host of passkeys is recorded, and replaced only while there are no passkeys, or on purpose": func(f *fixture) {
		f.same(must2(f.RPID(f.ctx, "a.example"))(f), store.RPID{})
		claim := func(host string, anew bool) store.RPID { return must2(f.ClaimRPID(f.ctx, host, anew))(f) }
		f.same(claim("a.example", false), store.RPID{Host: "a.example"})
		f.same(claim("b.example", false), store.RPID{Host: "b.example"})
		f.passkey(f.user("ada@example.org"))
		f.same(claim("b.example", false), store.RPID{Host: "b.example"})
		f.same(claim("a.example", false), store.RPID{Host: "b.example", Passkeys: 1})
		f.same(must2(f.RPID(f.ctx, "c.example"))(f), store.RPID{Host: "b.example", Passkeys: 1})
		f.same(claim("a.example", true), store.RPID{Host: "a.example"})
		f.same(must2(f.RPID(f.ctx, "b.example"))(f).Host, "a.example")
	},
	"passkeys whose host is not recorded are for no host until the operator says so": func(f *fixture) {
		f.passkey(f.user("ada@example.org"))
		f.same(must2(f.RPID(f.ctx, "a.example"))(f), store.RPID{Passkeys: 1})
		f.same(must2(f.ClaimRPID(f.ctx, "a.example", false))(f), store.RPID{Passkeys: 1})
		f.same(must2(f.ClaimRPID(f.ctx, "a.example", true))(f), store.RPID{Host: "a.example"})
	},
}
