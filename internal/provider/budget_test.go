package provider

import (
	"net/url"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
)

// Design §7: round trips are the budget. Clients and keys are cached after warming up.
func TestRoundTripsStayWithinTheBudget(t *testing.T) {
	h := open(t)
	u := h.addUser()
	jwt := h.addClient(nil)
	opaque := h.addClient(func(c *idp.Client) { c.AccessFormat = idp.FormatOpaque })
	for _, c := range []idp.Client{jwt, opaque} {
		h.tokens(c, u) // warm
	}
	cost := func(name string, sql, ephemeral int64, f func()) {
		t.Helper()
		s, e := h.db.RoundTrips(), h.eph.RoundTrips()
		f()
		if s, e = h.db.RoundTrips()-s, h.eph.RoundTrips()-e; s > sql || e > ephemeral {
			t.Errorf("%s: %d SQL and %d ephemeral round trips, budget %d and %d", name, s, e, sql, ephemeral)
		}
	}
	for name, c := range map[string]idp.Client{"jwt": jwt, "opaque": opaque} {
		var code string
		var tok map[string]any
		cost(name+" authorize", 0, 1, func() { h.authorize(request(c, "scope", "openid offline_access")) })
		cost(name+" respond", 0, 1, func() {
			r, err := h.respond(h.outcome(u))
			check(t, err)
			code = r.query().Get("code")
		})
		cost(name+" code", 1, 1, func() { tok = h.exchange(c, code).json(t) })
		cost(name+" userinfo", 1, 0, func() { h.userinfo(tok["access_token"]) })
		cost(name+" introspection", 1, 0, func() { h.introspect(c, tok["access_token"]) })
		refresh := int64(1)
		if name == "opaque" {
			refresh = 2 // the new access token is a row, and the family it belongs to is known only after the rotation
		}
		cost(name+" refresh", refresh, 0, func() { tok = h.refresh(c, tok["refresh_token"]).json(t) })
		cost(name+" revocation", 1, 0, func() { h.post(oauth.PathRevoke, url.Values{"token": {tok["access_token"].(string)}}, basic(c)) })
		if tok["access_token"] == nil {
			t.Fatalf("%s: %v", name, tok)
		}
	}
	keyed := h.addKeyClient(nil, keys.ES256)
	h.believes(h.goodAssertion(keyed).text(t)) // warm
	form := withAssertion(exchangeForm(h.code(keyed, u)), h.goodAssertion(keyed).text(t))
	var tok map[string]any
	cost("code with private_key_jwt", 1, 2, func() { tok = h.post(oauth.PathToken, form).json(t) }) // one more: the replay mark
	form = withAssertion(url.Values{"token": {tok["access_token"].(string)}}, h.goodAssertion(keyed).text(t))
	cost("introspection with private_key_jwt", 1, 1, func() { h.post(oauth.PathIntrospect, form) })
	machine := h.addMachine(nil)
	h.machineToken(machine, "") // warm
	cost("client credentials", 0, 0, func() { tok = h.machineToken(machine, "").json(t) })
	cost("introspection of a machine's token", 0, 1, func() {
		if m := h.introspect(machine, tok["access_token"]); m["active"] != true {
			t.Errorf("%v", m)
		}
	})
	hears := h.addClient(func(c *idp.Client) { c.BackchannelLogoutURI = "https://app.example/logout" })
	h.tokens(hears, u) // warm
	code := h.code(hears, u)
	cost("code of a client that hears of logouts", 1, 1, func() { h.exchange(hears, code).json(t) })
	passer := h.addPasser(nil)
	subject := h.tokenFor(passer, u)
	exchanged := h.passed(passer, subject).json(t)["access_token"] // warm, and recorded
	cost("exchange", 1, 1, func() { h.passed(passer, subject) })   // the ephemeral one is that of the record
	cost("introspection of an exchanged token", 1, 1, func() {
		if m := h.introspect(passer, exchanged); m["active"] != true {
			t.Errorf("%v", m)
		}
	})
	tele := h.addDevice(nil)
	h.ask(tele) // warm
	var device, shown string
	cost("device authorization", 0, 1, func() { device, shown = h.asked(tele) })
	cost("pending poll", 0, 2, func() { h.poll(tele, device) })
	h.allowed(u, shown)
	cost("device code", 1, 2, func() {
		if m := h.poll(tele, device).json(t); m["access_token"] == nil {
			t.Errorf("%v", m)
		}
	})
	var reference string
	cost("push", 0, 1, func() { reference = h.pushed(jwt) })
	cost("authorize, pushed", 0, 2, func() { h.begun(jwt, reference) }) // one more: the request is read
	cost("respond, pushed", 0, 1, func() {
		_, err := h.respond(h.outcome(u))
		check(t, err)
	})
	cost("jwks", 0, 0, func() { h.get(oauth.PathJWKS) })
}

func BenchmarkTokens(b *testing.B) {
	h := openInBubble(b)
	u := h.addUser()
	c := h.addClient(nil)
	tok := h.tokens(c, u, "scope", "openid offline_access")
	b.Run("refresh", func(b *testing.B) {
		for b.Loop() {
			tok = h.refresh(c, tok["refresh_token"]).json(b)
		}
	})
	b.Run("userinfo", func(b *testing.B) {
		for b.Loop() {
			h.userinfo(tok["access_token"])
		}
	})
	s, err := h.keys.Signer(b.Context(), keys.ES256)
	check(b, err)
	r, err := h.keys.Current(b.Context())
	check(b, err)
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			_, err := s.Sign(keys.TypeIDToken, token.IDClaims{Issuer: h.url, Subject: u.ID, Audience: c.ID})
			check(b, err)
		}
	})
	b.Run("open", func(b *testing.B) {
		raw := tok["access_token"].(string)
		for b.Loop() {
			var claims token.AccessClaims
			check(b, r.Open(keys.TypeAccessToken, raw, &claims))
		}
	})
}
