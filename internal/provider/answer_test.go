package provider

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

// answer ends the last interaction as a script does, and returns where the browser goes; "" if somebody was faster.
func (h *house) answer(o idp.Outcome) *url.URL {
	h.t.Helper()
	ops, location, err := h.provider.Answer(httptest.NewRequest("POST", "/login/passkey/finish", nil), h.last, o)
	check(h.t, err)
	check(h.t, h.eph.Do(h.t.Context(), ops...))
	to, err := location()
	check(h.t, err)
	u, err := url.Parse(to)
	check(h.t, err)
	return u
}

func TestAScriptGetsTheSameAnswerAsAPageAndOnce(t *testing.T) {
	h := openInBubble(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c, "state", "s1"))
	to := h.answer(h.outcome(u))
	q := to.Query()
	if !strings.HasPrefix(to.String(), "https://app.example/cb?") || q.Get("state") != "s1" || q.Get("iss") != h.url {
		t.Errorf("the browser goes to %s", to)
	}
	if tok := h.exchange(c, q.Get("code")).json(t); tok["access_token"] == nil {
		t.Errorf("the code gives %v", tok)
	}
	if again := h.answer(h.outcome(u)); again.String() != "" {
		t.Errorf("a second answer goes to %s", again)
	}
	if _, err := h.respond(h.outcome(u)); err == nil {
		t.Error("a page answers as well")
	}

	reference := h.pushed(c)
	h.begun(c, reference)
	first := h.last
	h.begun(c, reference) // another tab
	if to := h.answer(h.outcome(u)); to.Query().Get("code") == "" {
		t.Errorf("pushed: the browser goes to %s", to)
	}
	h.last = first
	if to := h.answer(h.outcome(u)); to.String() != "" {
		t.Errorf("a pushed request is answered twice: %s", to)
	}

	h.authorize(request(c, "response_mode", "jwt"))
	if q := h.answer(h.outcome(u)).Query(); q.Get("response") == "" || q.Has("code") {
		t.Errorf("response_mode=jwt: %v", q)
	}
}

func TestAnAnswerThatIsAPageIsLeftToTheDispatcher(t *testing.T) {
	h := openInBubble(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c, "response_mode", "form_post"))
	form := h.last
	device := idp.Interaction{ID: "i", Request: idp.Request{ClientID: c.ID, Device: "hash"}}
	for _, i := range []idp.Interaction{form, device} {
		ops, location, err := h.provider.Answer(httptest.NewRequest("POST", "/", nil), i, h.outcome(u))
		if err != nil || ops != nil || location != nil {
			t.Errorf("%+v: %v %v", i.Request, ops, err)
		}
	}
}
