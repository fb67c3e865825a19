package provider

import (
	"testing"
	"testing/synctest"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
)

func TestStrangersCannotFillTheStoreThroughPublicClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		app, server, tele := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone }), h.addClient(nil), h.addDevice(nil)
		h.pushed(app)
		h.asked(tele)
		var counts []*ephemeral.Op
		for range limit.Waiting.Most - 2 {
			counts = append(counts, &limit.Waiting.Of("192.0.2.1").Op)
		}
		check(t, h.eph.Do(t.Context(), counts...))
		for name, r := range map[string]reply{"push": h.push(app, request(app)), "device": h.ask(tele)} {
			wantError(t, r, 429, "temporarily_unavailable")
			if r.Header.Get("Retry-After") != "1800" {
				t.Errorf("%s: Retry-After %q", name, r.Header.Get("Retry-After"))
			}
		}
		h.pushed(server) // a client that authenticates has all its users behind one address
	})
}
