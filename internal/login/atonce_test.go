package login

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

const done = "https://app.example.com/cb?error="

func TestASessionThatSufficesIsAnsweredAtOnce(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	signedIn := b.signIn()
	h.expect(b.get("/begin"), http.StatusSeeOther, done)
	if o := h.last(); o.SessionID != signedIn.SessionID || !o.Granted {
		t.Errorf("outcome %+v, the sign-in was %+v", o, signedIn)
	}
	for name, change := range map[string]func(){
		"prompt":           func() { h.request.Prompt = []string{"select_account"} },
		"new scope":        func() { h.request.Scopes = []string{"openid", "email", "phone"} },
		"fresh":            func() { h.need = idp.Requirement{Fresh: true} },
		"maximum age":      func() { h.need = idp.Requirement{MaxAge: new(-time.Second)} },
		"action class":     func() { h.need.ActionClasses = []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]} },
		"another user":     func() { h.request.HintedUser = "bob" },
		"a step-up by acr": func() { h.need = idp.Requirement{ACRValues: []string{"phrh"}, Essential: true} },
	} {
		request, need, n := h.request, h.need, len(h.outcomes)
		change()
		b.interaction(b.get("/begin"))
		if len(h.outcomes) != n {
			t.Errorf("%s: answered at once: %+v", name, h.last())
		}
		h.request, h.need = request, need
	}
	b.interaction(b.send("POST", "/begin", "", nil)) // another site's form may come without the browser's cookies
}

func TestAStaleSessionGetsASignInPage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	o := b.signIn()
	h.must(h.cfg.Sessions.Revoke(t.Context(), alice.ID, o.SessionID))
	page := b.show(b.interaction(b.get("/begin")))
	h.expect(page, http.StatusOK, "login")
	if page.dialog().Ceremony == "" {
		t.Error("the page has no ceremony of its own")
	}
	h.expect(b.confirm(page.dialog()), http.StatusOK, done)
}

func TestASignInThatIsEnoughEndsTheInteraction(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	b.signIn()
	other := h.browser()
	other.device = b.device
	i := other.begin()
	page, same := other.show(i), other.show(i) // two tabs of one interaction
	n := len(h.outcomes)
	h.expect(other.confirm(page.dialog()), http.StatusOK, done)
	if o := h.last(); len(h.outcomes) != n+1 || o.UserID == "" || o.SessionID == "" || !o.Granted {
		t.Errorf("outcomes %+v", h.outcomes[n:])
	}
	h.expect(other.show(i), http.StatusGone, "error")
	h.expect(other.confirm(same.dialog()), http.StatusGone, "interaction_gone")
	h.expect(other.get("/begin"), http.StatusSeeOther, done) // signed in
	if kinds := h.kinds(); kinds[len(kinds)-1] != idp.EventSignedIn {
		t.Errorf("events %v", kinds)
	}
}

func TestTheFasterOfTwoTabsAnswers(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	b.signIn()
	other := h.browser()
	other.device = b.device
	i := other.begin()
	d := other.show(i).dialog()
	answer, n := h.cfg.Answer, len(h.outcomes)
	h.cfg.Answer = func(r *http.Request, i idp.Interaction, o idp.Outcome) ([]*ephemeral.Op, func() (string, error), error) {
		h.must(h.interactions.Delete(r.Context(), i.ID)) // between the decision and the round trip
		return answer(r, i, o)
	}
	h.expect(other.confirm(d), http.StatusOK, "/login?i="+i)
	if len(h.outcomes) != n {
		t.Errorf("answered twice: %+v", h.last())
	}
	h.expect(other.show(i), http.StatusGone, "error")
}

func TestAnAnswerThatCannotBeMadeIsLeftToTheDispatcher(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	b.signIn()
	for _, refused := range []error{nil, errors.New("no code")} { // nil: the response is a page
		other := h.browser()
		other.device = b.device
		i := other.begin()
		answer := h.cfg.Answer
		h.cfg.Answer = func(*http.Request, idp.Interaction, idp.Outcome) ([]*ephemeral.Op, func() (string, error), error) {
			return nil, nil, refused
		}
		h.expect(other.confirm(other.show(i).dialog()), http.StatusOK, "/login?i="+i)
		h.cfg.Answer = answer
		h.expect(other.show(i), http.StatusSeeOther, done)
	}
}

func TestASignInForAPageOfOurOwnGoesThere(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	i := b.interaction(b.get("/own/"))
	h.expect(b.confirm(b.show(i).dialog()), http.StatusOK, "/own/?x=1")
	h.expect(b.show(i), http.StatusGone, "error")
	if slices.Contains(h.kinds(), idp.EventSignedOut) || len(h.outcomes) != 0 {
		t.Errorf("events %v, outcomes %+v", h.kinds(), h.outcomes)
	}
}
