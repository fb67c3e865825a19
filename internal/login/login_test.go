// These tests are inside the package: they change the stores under a running login, and call the func behind a page.
package login

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

func TestASignInEndsWithWhatItProved(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "login")
	h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	page = b.show(i)
	h.expect(page, http.StatusOK, "consent")
	h.expect(b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow"), http.StatusSeeOther, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")

	o := h.last()
	if o.UserID != alice.ID || o.SessionID == "" || o.Assurance.ACR != "phr" || !slices.Equal(o.Scopes, h.request.Scopes) || !o.Granted {
		t.Errorf("outcome %+v", o)
	}
	h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=") // silently from now on
	if diff := cmp.Diff(o, h.last()); diff != "" {
		t.Errorf("single sign-on tells something else, -first +second:\n%s", diff)
	}
	if diff := cmp.Diff([]idp.EventKind{idp.EventSignedIn, idp.EventConsentGranted}, h.kinds()); diff != "" {
		t.Errorf("audit record, -want +got:\n%s", diff)
	}
}

func TestTheRoundTripsOfASignInAreCounted(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	_, err := h.cfg.DB.Client(t.Context(), "app") // into the cache
	h.must(err)
	step := func(name string, ephemeral, sql int64, do func()) {
		t.Helper()
		e, s := h.ephemeral.RoundTrips(), h.cfg.DB.RoundTrips()
		do()
		if e, s = h.ephemeral.RoundTrips()-e, h.cfg.DB.RoundTrips()-s; e > ephemeral || s > sql {
			t.Errorf("%s: %d ephemeral and %d SQL round trips, budget %d and %d", name, e, s, ephemeral, sql)
		}
	}
	var i string
	var page answer
	step("begin", 1, 0, func() { i = b.begin() })
	step("sign-in page", 1, 0, func() { page = b.show(i) })
	step("finish", 2, 2, func() { h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i) })
	step("consent page", 1, 2, func() { h.expect(b.show(i), http.StatusOK, "consent") })
	step("consent", 1+2, 2, func() { b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow") })
	step("end", 1+1, 1, func() { h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=") })
	step("silent sign-on", 1, 1, func() { // the session; Respond adds its own
		h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=")
	})
	h.request.Prompt = []string{"none"}
	step("silent request", 1, 1, func() { // the session; Respond adds its own
		h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=")
	})
	h.request.Prompt = nil
	h.need = idp.Requirement{Fresh: true}
	step("step-up page", 1+1+1, 3, // the grant: it may ask for consent at once
		func() { i = b.begin(); page = b.show(i) })
	step("step-up", 1+1, 2, func() { h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i) })
	h.need = idp.Requirement{}
	other := h.browser()
	other.device = b.device
	page = other.show(other.begin())
	step("finish that ends", 1+1, 2, func() {
		h.expect(other.confirm(page.dialog()), http.StatusOK, "https://app.example.com/cb?error=")
	})
}

func TestPagesCarryTheHooksOfTheDesign(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.LoginHint = "alice@example.com"
	check := func(name string, a answer, page string, hooks []string, words ...string) {
		t.Helper()
		h.expect(a, http.StatusOK, page)
		if diff := cmp.Diff(append(hooks, "language"), a.hooks()); diff != "" {
			t.Errorf("%s: hooks, -want +got:\n%s", name, diff)
		}
		for _, w := range append(words, "Acme Bank", "app.example.com", `src="https://app.example.com/logo.png"`, `href="https://app.example.com/privacy"`, `href="https://app.example.com/terms"`) {
			if !a.says(w) {
				t.Errorf("%s: does not say %q\n%s", name, w, a.body)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:;") {
			t.Errorf("%s: a form that ends at the client would be blocked: %s", name, csp)
		}
	}
	i := b.begin()
	page := b.show(i)
	check("sign-in", page, "login", []string{"passkey-signin", "error", "login-email", "login-submit", "signup-link", "recover-link", "cancel"},
		`value="alice@example.com"`, `href="/signup?i=`+i+`"`, `autocomplete="username webauthn"`)
	b.confirm(page.dialog())
	check("consent", b.show(i), "consent", []string{"consent-allow", "consent-deny"}, "alice@example.com", "See your e-mail address", "Not you?")
	b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow")

	h.need = idp.Requirement{ActionClasses: []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]}}
	check("step-up", b.show(b.begin()), "stepup", []string{"passkey-stepup", "error", "cancel"},
		"alice@example.com", "asks you to confirm it’s you before you make a payment.", `class="ring"`, "for 5 minutes", "Not you?")
	h.need = idp.Requirement{}
	h.request.Prompt = []string{"select_account"}
	check("select", b.show(b.begin()), "login", []string{"account-select", "account-switch", "cancel"}, "alice@example.com")

	h.cfg.SignUp, h.request.Prompt = false, nil
	if other := h.browser(); slices.Contains(other.show(other.begin()).hooks(), "signup-link") {
		t.Error("sign-up is offered where it is closed")
	}
}

func TestAStepUpOpensOnlyTheWindowOfItsClass(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	before := b.signIn()
	h.need = idp.Requirement{ActionClasses: []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]}}
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "stepup")
	h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	o := h.last()
	if o.SessionID != before.SessionID || o.UserID != alice.ID || !slices.Equal(o.Assurance.ActionClasses, []string{"payments"}) {
		t.Errorf("outcome %+v", o)
	}
	h.expect(b.show(b.begin()), http.StatusSeeOther, "https://app.example.com/cb?error=") // the window is open
	h.need = idp.Requirement{ActionClasses: []idp.ActionClass{h.cfg.Policy.ActionClasses["account"]}}
	h.expect(b.show(b.begin()), http.StatusOK, "stepup") // for that class only
	events, err := h.cfg.DB.EventsOf(t.Context(), alice.ID, 1)
	h.must(err)
	if e := events[0]; e.Kind != idp.EventSteppedUp || e.Detail["class"] != "payments" || e.ClientID != "app" || e.PasskeyID == "" {
		t.Errorf("audit record %+v", e)
	}
}

func TestAnEssentialLevelIsReachedByACapablePasskeyOrRefused(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	b.signIn()
	h.need = idp.Requirement{ACRValues: []string{"phrh"}, Essential: true}
	h.expect(b.show(b.begin()), http.StatusSeeOther, "https://app.example.com/cb?error=unmet_authentication_requirements")

	key := b.addPasskey(alice, provenHardware)
	weak := b.device.Passkeys[0]
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "stepup")
	if options := string(page.dialog().Options); strings.Count(options, `"id"`) != 1 {
		t.Errorf("the step-up offers more than the one that can do it: %s", options)
	}
	all := b.device.Passkeys
	b.device.Passkeys = []*passkeytest.Passkey{weak}
	if _, err := b.device.Get(page.dialog().Options); err == nil {
		t.Error("the weak passkey was offered")
	}
	b.device.Passkeys = all
	h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	if o := h.last(); o.Assurance.ACR != "phrh" {
		t.Errorf("outcome %+v, passkey %s", o, key.ID)
	}
}

func TestPromptNoneAnswersWithoutAPage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Prompt = []string{"none"}
	h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=login_required")
	h.request.Prompt = nil
	i := b.begin()
	b.confirm(b.show(i).dialog())
	h.request.Prompt = []string{"none"}
	h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=consent_required")
	h.must(h.cfg.DB.PutGrant(t.Context(), idp.Grant{UserID: alice.ID, ClientID: "app", Scopes: h.request.Scopes}))
	h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=")
	h.need = idp.Requirement{MinimumACR: "phrh"}
	h.expect(b.get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=unmet_authentication_requirements")
	h.need = idp.Requirement{}
	// In a frame, where the browser keeps its cookies back: an error for the client, not a page of ours.
	h.expect(h.browser().get("/begin"), http.StatusSeeOther, "https://app.example.com/cb?error=login_required")
	// A POST from another site comes without cookies too, but the hop to GET /login brings them.
	i = b.interaction(b.form("/begin"))
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	i = b.interaction(b.form("/begin"))
	h.expect(h.browser().form("/login/cancel", "i", i), http.StatusForbidden, "error") // that is all it may do
	h.expect(h.browser().show(i), http.StatusSeeOther, "https://app.example.com/cb?error=login_required")
}

func TestAnInteractionBelongsToOneBrowser(t *testing.T) {
	h := newHouse(t)
	b, other := h.browser(), h.browser()
	alice := b.enrol("alice@example.com")
	other.enrol("mallory@example.com")
	other.signIn()
	i := b.begin()
	d := b.show(i).dialog()
	h.expect(other.show(i), http.StatusForbidden, "error")
	h.expect(h.browser().show(i), http.StatusForbidden, "error")
	h.expect(other.post("/login/passkey/begin", map[string]string{"i": i}), http.StatusForbidden, "other_browser")
	for _, path := range []string{"/login/consent", "/login/select", "/login/switch", "/login/cancel"} {
		h.expect(other.form(path, "i", i, "user", alice.ID, "answer", "allow"), http.StatusForbidden, "error")
	}
	// A response that was phished out of another browser signs no user in here.
	other.device.Passkeys = append(other.device.Passkeys, b.device.Passkeys...)
	h.expect(other.confirm(d), http.StatusForbidden, "other_browser")
	if body := other.show(i).body; !strings.Contains(body, "Start again from the application") {
		t.Errorf("the page does not say what to do:\n%s", body)
	}
	h.expect(b.show(i), http.StatusOK, "login") // undisturbed
}

func TestACrossSitePostIsBoundByTheFirstPage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	first := b.begin() // this browser has its cookie already
	// SameSite=Lax keeps the cookies back from the POST.
	posting := h.browser()
	posting.headers.Set("Sec-Fetch-Site", "same-origin")
	i := h.browser().interaction(posting.form("/begin"))
	if cookies := posting.jar.Cookies(mustURL(origin)); len(cookies) != 0 {
		t.Fatalf("a cross-site POST set %v over what the browser may have", cookies)
	}
	unbound, err := h.interactions.Get(t.Context(), i)
	h.must(err)
	page := b.show(i)
	h.expect(page, http.StatusOK, "login")
	h.expect(h.browser().show(i), http.StatusForbidden, "error")
	if _, err := h.bind(httptest.NewRecorder(), h.browser().visitor(), unbound); err == nil {
		t.Error("a second browser, as fast as the first, took it over")
	}
	h.expect(b.show(first), http.StatusOK, "login")
	if d := page.dialog(); d.Ceremony != "" {
		t.Errorf("a ceremony that was bound to no user is offered: %+v", d)
	}
	h.expect(b.confirm(b.offered(i, "")), http.StatusOK, "/login?i="+i)
}

func TestAnInteractionEndsOnce(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	b.signIn()
	i := b.begin()
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	h.expect(b.show(i), http.StatusGone, "error")
	h.expect(b.form("/login/cancel", "i", i), http.StatusGone, "error")
	h.expect(b.post("/login/passkey/begin", map[string]string{"i": i}), http.StatusGone, "interaction_gone")
	h.expect(b.get("/login"), http.StatusGone, "error")
	h.expect(b.get("/login?i="+strings.Repeat("x", 5000)), http.StatusGone, "error")
	if len(h.outcomes) != 2 {
		t.Errorf("%d outcomes, want 2", len(h.outcomes))
	}
}

func TestInteractionsAndTheirPagesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.begin()
		if d := b.show(i).dialog(); d.Ceremony == "" {
			t.Error("a new page offers no ceremony")
		}
		time.Sleep(6 * time.Minute)
		if d := b.show(i).dialog(); d.Ceremony != "" {
			t.Error("an old page offers a ceremony that will be gone before the person has found the phone")
		}
		d := b.offered(i, "")
		time.Sleep(11 * time.Minute)
		h.expect(b.confirm(d), http.StatusBadRequest, "ceremony_gone")
		b.form("/login/switch", "i", i) // saving something does not prolong it
		time.Sleep(14 * time.Minute)
		h.expect(b.show(i), http.StatusGone, "error")
	})
}

func TestAStepUpForMaxAgeIsNotRequiredTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		first := b.signIn()
		time.Sleep(2 * time.Second)
		h.need = idp.Requirement{MaxAge: new(time.Second)}
		i := b.begin()
		page := b.show(i)
		h.expect(page, http.StatusOK, "stepup")
		b.confirm(page.dialog())
		time.Sleep(3 * time.Second) // a slow line
		h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
		if again := h.last(); !again.Assurance.AuthTime.After(first.Assurance.AuthTime) || again.SessionID != first.SessionID {
			t.Errorf("first %+v, again %+v", first, again)
		}
	})
}

func TestTwoTabsDoNotDisagree(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	one, two := b.begin(), b.begin()
	first, second := b.show(one), b.show(two)
	h.expect(b.confirm(first.dialog()), http.StatusOK, "/login?i="+one)
	// The other tab's page is old by now. Its script is led on, its reload shows what is next.
	h.expect(b.post("/login/passkey/begin", map[string]string{"i": two}), http.StatusConflict, "moved_on")
	h.expect(b.show(two), http.StatusOK, "consent")
	h.expect(b.show(one), http.StatusOK, "consent")

	// Bob signs in with the other tab's page. Alice's consent page is still open in the first.
	mine := b.device.Passkeys
	b.device.Passkeys = nil
	bob := b.enrol("bob@example.com")
	h.expect(b.confirm(second.dialog()), http.StatusOK, "/login?i="+two)
	h.expect(b.form("/login/consent", "i", one, "user", alice.ID, "answer", "allow"), http.StatusSeeOther, "/login?i="+one)
	if page := b.show(one); !strings.Contains(page.body, "bob@example.com") || page.status != http.StatusOK {
		t.Errorf("bob is not asked: %d\n%s", page.status, page.body)
	}
	if _, err := h.cfg.DB.Grant(t.Context(), bob.ID, "app"); err == nil {
		t.Error("alice's answer was taken for bob's")
	}
	b.device.Passkeys = mine
}

func TestAnswersCountOnlyForTheirUser(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Prompt = []string{"consent", "select_account"}
	i := b.begin()
	b.confirm(b.show(i).dialog())
	h.expect(b.show(i), http.StatusOK, "consent")
	b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow") // and before GET /login runs …
	h.request.Prompt = nil
	two := b.begin()
	b.form("/login/switch", "i", two)
	b.device.Passkeys = nil
	bob := b.enrol("bob@example.com")
	h.expect(b.confirm(b.offered(two, "")), http.StatusOK, "/login?i="+two) // … bob has signed in
	h.expect(b.show(i), http.StatusOK, "login")
	b.form("/login/select", "i", i, "user", bob.ID)
	h.expect(b.show(i), http.StatusOK, "consent")
	if len(h.outcomes) != 0 {
		t.Errorf("ended as %+v", h.last())
	}
}

func TestARemovedClientGetsNoResponse(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	i := b.begin()
	h.must(h.cfg.DB.RemoveClient(t.Context(), "app"))
	h.expect(b.show(i), http.StatusBadRequest, "error")
	if len(h.outcomes) != 0 {
		t.Error("answered to a redirect URI of nobody")
	}
}

func TestAClosedAccountIsSignedOut(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	b.signIn()
	alice.DisabledAt = time.Now()
	h.must(h.cfg.DB.UpdateUser(t.Context(), alice))
	h.need = idp.Requirement{Fresh: true}
	i := b.begin()
	h.expect(b.show(i), http.StatusSeeOther, "/login?i="+i)
	page := b.show(i)
	h.expect(page, http.StatusOK, "login")
	h.expect(b.confirm(page.dialog()), http.StatusBadRequest, "account_closed")
}

func TestWithoutTheEphemeralStoreThereIsAPage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	i := b.begin()
	d := b.show(i).dialog()
	h.must(h.ephemeral.Close())
	for _, path := range []string{"/login?i=" + i, "/begin", "/own/account"} {
		h.expect(b.get(path), http.StatusServiceUnavailable, "error")
	}
	h.expect(b.confirm(d), http.StatusServiceUnavailable, "service_unavailable")
}

func TestOnlyConsentedTokensDependOnAGrant(t *testing.T) {
	h := newHouse(t)
	app, err := h.cfg.DB.Client(t.Context(), "app")
	h.must(err)
	app.FirstParty = true
	h.must(h.cfg.DB.PutClient(t.Context(), app))
	b := h.browser()
	b.enrol("bob@example.com")
	if o := b.signIn(); o.Granted {
		t.Error("no user was asked, and there is no grant")
	}
	h.request.Prompt = []string{"consent"}
	b = h.browser()
	b.enrol("alice@example.com")
	if o := b.signIn(); !o.Granted {
		t.Error("a person agreed")
	}
}

func TestUseOfAFirstPartyClientIsReported(t *testing.T) {
	h := newHouse(t)
	var used []string
	h.cfg.Used = func(_ *http.Request, userID string, c idp.Client) { used = append(used, userID+" "+c.ID) }
	b := h.browser()
	u := b.enrol("alice@example.com")
	b.signIn() // another's client: the consent is told
	if len(used) > 0 {
		t.Errorf("a client that was allowed: %q", used)
	}
	app, err := h.cfg.DB.Client(t.Context(), "app")
	h.must(err)
	app.FirstParty = true
	h.must(h.cfg.DB.PutClient(t.Context(), app))
	h.request.Prompt = []string{"none"}
	b.get("/begin") // nothing to ask
	h.request.Prompt = nil
	b = h.browser()
	other := b.enrol("bob@example.com")
	b.signIn()
	if want := []string{u.ID + " app", other.ID + " app"}; !slices.Equal(used, want) {
		t.Errorf("used %q, want %q", used, want)
	}
	h.request.Prompt = []string{"consent"} // the user is asked, so this is no mere use
	b = h.browser()
	b.enrol("carol@example.com")
	b.signIn()
	if len(used) != 2 {
		t.Errorf("used %q", used)
	}
}

func TestAWindowBelongsToTheRequestingClient(t *testing.T) {
	h := newHouse(t)
	class := h.cfg.Policy.ActionClasses["payments"]
	shared := class
	shared.Name, shared.Shared = "shared", true
	h.cfg.Policy.ActionClasses["shared"] = shared
	for _, id := range []string{"one", "two"} {
		h.must(h.cfg.DB.PutClient(t.Context(), idp.Client{ID: id, Name: "App " + id, FirstParty: true, RedirectURIs: []string{"https://app.example.com/cb"}}))
	}
	b := h.browser()
	b.enrol("alice@example.com")
	b.signIn()
	ask := func(client string, c idp.ActionClass, prompt ...string) answer {
		h.request.ClientID, h.request.Prompt, h.need = client, prompt, idp.Requirement{ActionClasses: []idp.ActionClass{c}}
		if len(prompt) > 0 { // answered where it comes in
			return b.get("/begin")
		}
		return b.show(b.begin())
	}
	for _, c := range []idp.ActionClass{class, shared} {
		page := ask("one", c)
		h.expect(page, http.StatusOK, "stepup")
		if says := page.says("here and in other Stepward applications"); says != c.Shared {
			t.Errorf("%s: the page says that it is shared: %v", c.Name, says)
		}
		d := page.dialog()
		h.expect(b.confirm(d), http.StatusOK, "/login?i="+d.I)
		ask("one", c, "none")
		if o := h.last(); o.Error != "" || !slices.Contains(o.Assurance.ActionClasses, c.Name) {
			t.Errorf("%s, the same client: %+v", c.Name, o)
		}
		ask("two", c, "none")
		if o := h.last(); (o.Error == "") != c.Shared || slices.Contains(o.Assurance.ActionClasses, c.Name) != c.Shared {
			t.Errorf("%s, the other client: %+v", c.Name, o)
		}
	}
	// What it allows another client by the way says nothing of the class either.
	h.request.ClientID, h.request.Prompt, h.need = "two", []string{"none"}, idp.Requirement{}
	b.get("/begin")
	if o := h.last(); slices.Contains(o.Assurance.ActionClasses, "payments") {
		t.Errorf("%+v", o)
	}
}

// Two tabs show the sign-in page. The second one to finish finds the first one's session.
func TestASecondTabOfTheSamePersonContinuesTheSession(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	one, two := b.begin(), b.begin()
	first, second := b.show(one), b.show(two)
	h.expect(b.confirm(first.dialog()), http.StatusOK, "/login?i="+one)
	b.form("/login/consent", "i", one, "user", alice.ID, "answer", "allow")
	h.expect(b.show(one), http.StatusSeeOther, "https://app.example.com/cb?error=")
	sid := h.last().SessionID
	before := b.jar.Cookies(mustURL(origin))
	h.expect(b.confirm(second.dialog()), http.StatusOK, "/login?i="+two)
	h.expect(b.show(two), http.StatusSeeOther, "https://app.example.com/cb?error=")
	if o := h.last(); o.SessionID != sid || o.UserID != alice.ID {
		t.Errorf("session %s became %s", sid, o.SessionID)
	}
	if slices.Contains(h.kinds(), idp.EventSignedOut) {
		t.Errorf("a user was signed out: %v", h.kinds())
	}
	if after := b.jar.Cookies(mustURL(origin)); slices.EqualFunc(before, after, func(x, y *http.Cookie) bool { return x.Value == y.Value }) {
		t.Error("the cookie of before the sign-in still opens the session")
	}

	// Another user, and a user who asked for another account, begin a session of their own.
	three := b.begin()
	b.form("/login/switch", "i", three)
	h.expect(b.confirm(b.offered(three, "")), http.StatusOK, "https://app.example.com/cb?error=")
	if h.last().SessionID == sid {
		t.Error("the session that was not to be used goes on")
	}
	h.request.Prompt = []string{"select_account"}
	four := b.begin()
	b.form("/login/switch", "i", four)
	b.device.Passkeys = nil
	bob := b.enrol("bob@example.com")
	h.expect(b.confirm(b.offered(four, "")), http.StatusOK, "/login?i="+four)
	b.form("/login/consent", "i", four, "user", bob.ID, "answer", "allow")
	h.expect(b.show(four), http.StatusSeeOther, "https://app.example.com/cb?error=")
	if h.last().UserID != bob.ID {
		t.Errorf("outcome %+v", h.last())
	}
	if list, err := h.cfg.Sessions.List(t.Context(), alice.ID); err != nil || len(list) != 0 {
		t.Errorf("alice is still signed in: %v %v", list, err)
	}
}

// A tab that was open when the session ended signs in again.
func TestASecondTabAfterTheSessionEndedSignsIn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	i := b.begin()
	page := b.show(i)
	b.signIn()
	sid := h.last().SessionID
	h.must(h.cfg.Sessions.Revoke(t.Context(), alice.ID, sid))
	h.expect(b.confirm(page.dialog()), http.StatusOK, "https://app.example.com/cb?error=")
	if h.last().SessionID == sid {
		t.Error("a session that was revoked is back")
	}
}
