package login

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/limit"
)

func TestWaitingRequestsOfANetworkAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.begin()
		var counts []*ephemeral.Op
		for range limit.Waiting.Most - 1 {
			counts = append(counts, &limit.Waiting.Of("192.0.2.1").Op)
		}
		h.must(h.ephemeral.Do(t.Context(), counts...))
		for _, path := range []string{"/begin", "/own/"} { // an application's request, a page of ours
			a := h.browser().get(path)
			h.expect(a, http.StatusTooManyRequests, "error")
			if a.header.Get("Retry-After") != "1800" {
				t.Errorf("%s: Retry-After %q", path, a.header.Get("Retry-After"))
			}
		}
		time.Sleep(limit.Waiting.Window)
		b.begin()
	})
}

func TestAFullStoreIsForPeopleWhoAreSignedIn(t *testing.T) {
	h := newHouse(t)
	h.cfg.Room = new(limit.Room)
	b := h.browser()
	b.enrol("ada@example.com")
	b.signIn()
	h.cfg.Room.Update(1000, 1000)
	for _, path := range []string{"/begin", "/own/"} {
		h.expect(h.browser().get(path), http.StatusTooManyRequests, "error")
	}
	b.begin()
	h.cfg.Room.Update(999, 1000) // nearly full: each network has a few
	h.browser().begin()
}
