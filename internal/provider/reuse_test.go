package provider

import (
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

func TestACodeThatIsUsedTwiceAtOnceLeavesNothingAlive(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	for range 20 {
		code := h.code(c, u, "scope", "openid offline_access")
		var answers [3]reply
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = h.exchange(c, code) })
		}
		all.Wait()
		for _, r := range answers {
			if r.StatusCode != 200 {
				wantError(t, r, 400, "invalid_grant")
				continue
			}
			wantError(t, h.userinfo(r.json(t)["access_token"]), 401, "invalid_token")
			wantError(t, h.refresh(c, r.json(t)["refresh_token"]), 400, "invalid_grant")
		}
	}
}

// A store that falls back to an older state, as Redis does in a failover, returns a spent code again.
func TestARestoredSpentCodeRevokesItsFamily(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	code := idp.Secret(h.code(c, u, "scope", "openid offline_access"))
	entry := &ephemeral.Op{Verb: ephemeral.Get, Key: "code:" + code.Hash()}
	check(t, h.eph.Do(t.Context(), entry))
	tok := h.exchange(c, code.Reveal()).json(t)
	back := &ephemeral.Op{Verb: ephemeral.Put, Key: entry.Key, Value: entry.Result, TTL: time.Minute}
	forgotten := &ephemeral.Op{Verb: ephemeral.Delete, Key: "code-used:" + code.Hash()}
	check(t, h.eph.Do(t.Context(), back, forgotten))
	wantError(t, h.exchange(c, code.Reveal()), 400, "invalid_grant")
	wantError(t, h.userinfo(tok["access_token"]), 401, "invalid_token")
	wantError(t, h.refresh(c, tok["refresh_token"]), 400, "invalid_grant")
	if n := kinds(t, h, idp.EventCodeReused); n != 1 {
		t.Errorf("%d events code.reused", n)
	}
}

func TestACodeIsRejectedAfterItsSessionHasEnded(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	codes := []string{h.code(c, u, "scope", "openid"), h.code(c, u, "scope", "openid offline_access")}
	tv := h.addDevice(nil)
	device, shown := h.asked(tv, "scope", "openid")
	h.allowed(u, shown)
	_, err := h.db.EndSession(t.Context(), u.ID, "sid-1", time.Now())
	check(t, err)
	for _, code := range codes {
		wantError(t, h.exchange(c, code), 400, "invalid_grant")
	}
	wantError(t, h.poll(tv, device), 400, "invalid_grant")
}
