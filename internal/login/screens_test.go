package login

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

func TestConsentIsRememberedAndAskedForWhatIsNew(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Scopes = []string{"openid"}
	b.signIn()
	h.request.Scopes = []string{"openid", "email"}
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "consent")
	asked, before, _ := strings.Cut(page.body, "<details")
	if !strings.Contains(asked, "See your e-mail address") || strings.Contains(asked, "Know that it is you") || !strings.Contains(before, "Know that it is you") {
		t.Errorf("the page does not tell new from old:\n%s", page.body)
	}
	h.expect(b.form("/login/consent", "i", i, "user", alice.ID, "answer", "maybe"), http.StatusBadRequest, "error")
	h.expect(b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow"), http.StatusSeeOther, "/login?i="+i)
	grant, err := h.cfg.DB.Grant(t.Context(), alice.ID, "app")
	h.must(err)
	slices.Sort(grant.Scopes)
	if diff := cmp.Diff([]string{"email", "openid"}, grant.Scopes); diff != "" {
		t.Errorf("grant, -want +got:\n%s", diff)
	}
}

func TestResourcesAreAllowedLikeScopes(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Scopes = []string{"openid"}
	b.signIn()
	h.request.Resources = []string{"https://api.example.com/v1", "https://files.example.com"}
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "consent")
	for _, want := range []string{"Connect to api.example.com/v1", "Use your files"} {
		if !page.says(want) {
			t.Errorf("no %q:\n%s", want, page.body)
		}
	}
	h.expect(b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow"), http.StatusSeeOther, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	h.expect(b.show(b.begin()), http.StatusSeeOther, "https://app.example.com/cb?error=")
	if diff := cmp.Diff([]string{"openid"}, h.last().Scopes); diff != "" {
		t.Errorf("allowed (-want +got): %s", diff)
	}
}

func TestDetailsAreDescribedEachTime(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Scopes = []string{"openid"}
	b.signIn()
	for _, creditor := range []string{"<b>Mallory</b>\u202e", "Acme"} {
		h.request.Details = idp.Details{{Type: "payment", JSON: `{"amount":"10 EUR","creditor":{"name":"` + creditor + `"},"type":"payment"}`}}
		i := b.begin()
		page := b.show(i)
		h.expect(page, http.StatusOK, "consent")
		want := "Pay 10 EUR to " + strings.NewReplacer("<", "&lt;", ">", "&gt;", "\u202e", "").Replace(creditor)
		if !strings.Contains(page.body, want+"</bdi>") {
			t.Errorf("the page does not say %q:\n%s", want, page.body)
		}
		h.expect(b.form("/login/consent", "i", i, "user", alice.ID, "answer", "allow"), http.StatusSeeOther, "/login?i="+i)
		h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	}
	h.request.Details = idp.Details{{Type: "unknown", JSON: `{"type":"unknown"}`}}
	h.expect(b.show(b.begin()), http.StatusSeeOther, "https://app.example.com/cb?error=invalid_authorization_details")
}

func TestAStepUpNamesEveryActionItOpens(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	h.request.Scopes = []string{"openid"}
	b.signIn()
	h.need.ActionClasses = []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"], h.cfg.Policy.ActionClasses["limits"]}
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "stepup")
	if !page.says("before you make a payment and change your limits.") || !strings.Contains(page.body, "1 minute") {
		t.Errorf("not both, or not the shorter window:\n%s", page.body)
	}
	if !strings.Contains(page.body, `stroke-dasharray="100 100"`) { // all of the window will be left, however short it is
		t.Errorf("the ring is not full:\n%s", page.body)
	}
	b.confirm(page.dialog())
	b.show(i)
	if diff := cmp.Diff([]string{"payments", "limits"}, h.last().Assurance.ActionClasses); diff != "" {
		t.Errorf("opened (-want +got): %s", diff)
	}
}

func TestAStepUpNeverCallsARecentSignInOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		b.signIn()
		for _, age := range []time.Duration{2 * time.Second, 10 * time.Minute} {
			time.Sleep(age)
			limit := time.Second
			h.need = idp.Requirement{MaxAge: &limit}
			page := b.show(b.begin())
			h.expect(page, http.StatusOK, "stepup")
			if strings.Contains(page.body, "a while ago") || !strings.Contains(page.body, "because it wants a more recent sign-in.") {
				t.Errorf("after %v:\n%s", age, page.body)
			}
		}
	})
}

// If both a step-up and consent are needed, one page asks for both.
func TestAStepUpAsksForConsentOnTheSamePage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Scopes = []string{"openid"}
	b.signIn()
	h.request.Scopes = []string{"openid", "email"}
	h.request.Details = idp.Details{{Type: "payment", JSON: `{"amount":"10 EUR","creditor":{"name":"Acme"},"type":"payment"}`}}
	h.need.ActionClasses = []idp.ActionClass{h.cfg.Policy.ActionClasses["payments"]}
	finish := func(page answer, allow string) answer {
		t.Helper()
		d := page.dialog()
		response, err := b.device.Get(d.Options)
		h.must(err)
		return b.post("/login/passkey/finish", map[string]any{"i": d.I, "ceremony": d.Ceremony, "credential": json.RawMessage(response), "allow": allow})
	}
	i := b.begin()
	page := b.show(i)
	h.expect(page, http.StatusOK, "stepup")
	for _, want := range []string{"Pay 10 EUR to Acme", "See your e-mail address", `data-allow="` + alice.ID + `"`, "before you make a payment", "Allow with a passkey"} {
		if !page.says(want) {
			t.Errorf("no %q:\n%s", want, page.body)
		}
	}
	h.expect(finish(page, alice.ID), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	grant, err := h.cfg.DB.Grant(t.Context(), alice.ID, "app")
	h.must(err)
	if !slices.Contains(grant.Scopes, "email") || !slices.Equal(h.last().Assurance.ActionClasses, []string{"payments"}) {
		t.Errorf("grant %v, outcome %+v", grant.Scopes, h.last())
	}

	// A page that did not ask, or asked another user, has allowed nothing.
	h.need = idp.Requirement{Fresh: true}
	for _, allow := range []string{"", "somebody"} {
		i = b.begin()
		h.expect(finish(b.show(i), allow), http.StatusOK, "/login?i="+i)
		h.expect(b.show(i), http.StatusOK, "consent")
	}
	h.request.Details = nil
	i = b.begin()
	page = b.show(i)
	if strings.Contains(page.body, "data-allow") {
		t.Errorf("asks for what was allowed:\n%s", page.body)
	}
	h.expect(finish(page, alice.ID), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "https://app.example.com/cb?error=")
	// A sign-in never allows: its page knows nobody.
	other := h.browser()
	other.device = b.device
	h.need, h.request.Prompt = idp.Requirement{}, []string{"consent"}
	i = other.begin()
	d := other.show(i).dialog()
	response, err := other.device.Get(d.Options)
	h.must(err)
	other.post("/login/passkey/finish", map[string]any{"i": i, "ceremony": d.Ceremony, "credential": json.RawMessage(response), "allow": alice.ID})
	h.expect(other.show(i), http.StatusOK, "consent")
}

func TestConsentMarksUnvettedApplications(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	h.must(h.cfg.DB.PutClient(t.Context(), idp.Client{ID: "stranger", Name: "Your Bank", Dynamic: true}))
	const described = "https://agent.example/client.json"
	h.must(h.cfg.DB.PutClient(t.Context(), idp.Client{ID: described, Name: "Your Bank", Dynamic: true}))
	for client, want := range map[string]bool{"app": false, "stranger": true, described: true} {
		h.request.ClientID, h.request.RedirectURI = client, "https://evil.example/cb"
		h.request.Prompt = []string{"consent"}
		i := b.begin()
		page := b.show(i)
		if strings.Contains(page.body, `data-page="login"`) {
			b.confirm(page.dialog())
			page = b.show(i)
		}
		h.expect(page, http.StatusOK, "consent")
		if got := strings.Contains(page.body, `data-test="stranger"`) && strings.Contains(page.body, "<strong><bdi>evil.example</bdi></strong>"); got != want {
			t.Errorf("%s: said so: %v\n%s", client, got, page.body)
		}
		if strings.Contains(page.body, "at <strong><bdi>agent.example</bdi></strong>") != (client == described) {
			t.Errorf("%s: where does it describe itself?\n%s", client, page.body)
		}
	}
}

func TestADenialReturnsToTheApplication(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	i := b.begin()
	b.confirm(b.show(i).dialog())
	h.expect(b.form("/login/consent", "i", i, "user", alice.ID, "answer", "deny"), http.StatusSeeOther, "https://app.example.com/cb?error=access_denied")
	if _, err := h.cfg.DB.Grant(t.Context(), alice.ID, "app"); err == nil {
		t.Error("a refusal left a grant")
	}
	h.expect(b.show(i), http.StatusGone, "error")
}

func TestConsentCannotBypassTheProof(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	i := b.begin()
	b.confirm(b.show(i).dialog())
	h.need = idp.Requirement{Fresh: true}
	two := b.begin()
	h.expect(b.show(two), http.StatusOK, "stepup")
	h.expect(b.form("/login/consent", "i", two, "user", alice.ID, "answer", "allow"), http.StatusSeeOther, "/login?i="+two)
	h.expect(b.show(two), http.StatusOK, "stepup")
	if _, err := h.cfg.DB.Grant(t.Context(), alice.ID, "app"); err == nil {
		t.Error("allowed without the proof that was asked for")
	}
}

func TestCancelReturnsToTheApplication(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	i := b.begin()
	h.expect(b.form("/login/cancel", "i", i), http.StatusSeeOther, "https://app.example.com/cb?error=access_denied")
	h.expect(b.show(i), http.StatusGone, "error")
	if o := h.last(); o.UserID != "" || o.Assurance.AuthenticationID != "" {
		t.Errorf("a refusal that says who: %+v", o)
	}
}

func TestAnotherAccountCanBeUsedAtAnyTime(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	h.request.Prompt = []string{"select_account"}
	i := b.begin()
	h.expect(b.confirm(b.show(i).dialog()), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusOK, "consent") // signing in was the choice; "Not you?" stands on this page, too
	h.expect(b.form("/login/switch", "i", i), http.StatusSeeOther, "/login?i="+i)
	h.expect(b.show(i), http.StatusOK, "login")
	b.form("/login/select", "i", i, "user", alice.ID)
	h.expect(b.show(i), http.StatusOK, "login")
	mine := b.device.Passkeys
	b.device.Passkeys = nil
	bob := b.enrol("bob@example.com")
	h.expect(b.confirm(b.offered(i, "")), http.StatusOK, "/login?i="+i)
	page := b.show(i)
	h.expect(page, http.StatusOK, "consent")
	if !strings.Contains(page.body, "bob@example.com") {
		t.Error("bob is not who is asked")
	}

	i = b.begin()
	page = b.show(i)
	if !slices.Contains(page.hooks(), "account-select") {
		t.Fatalf("no choice:\n%s", page.body)
	}
	h.expect(b.form("/login/select", "i", i, "user", alice.ID), http.StatusSeeOther, "/login?i="+i) // an old page
	if page = b.show(i); !slices.Contains(page.hooks(), "account-select") {
		t.Error("another user's choice was taken for bob's")
	}
	h.expect(b.form("/login/select", "i", i, "user", bob.ID), http.StatusSeeOther, "/login?i="+i)
	h.expect(b.show(i), http.StatusOK, "consent")
	b.device.Passkeys = mine
}

func TestPromptCreateLeadsToTheSignUpAndBack(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	h.request.Prompt = []string{"create"}
	i := b.begin()
	h.expect(b.show(i), http.StatusSeeOther, "/signup?i="+i)
	r := b.visitor()
	if chip := h.Asking(r, i); chip == nil || chip.Name != "Acme Bank" || chip.Host != "app.example.com" {
		t.Errorf("the sign-up page cannot say who asks: %+v", chip)
	}
	if other := h.browser(); h.Asking(other.visitor(), i) != nil || h.SignedUp(t.Context(), other.visitor(), i) == nil {
		t.Error("another browser may speak for this one")
	}
	h.must(h.SignedUp(t.Context(), r, i))
	page := b.show(i)
	h.expect(page, http.StatusOK, "login")
	h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusOK, "consent")

	other := h.browser()
	i = other.begin()
	h.expect(other.show(i), http.StatusSeeOther, "/signup?i="+i)
	page = other.show(i) // "I have an account" leads here
	h.expect(page, http.StatusOK, "login")
	if !slices.Contains(page.hooks(), "signup-link") {
		t.Error("there is no way back to the sign-up")
	}
}

func TestAPageOfOurOwnGetsItsStepUp(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	alice := b.enrol("alice@example.com")
	i := b.interaction(b.get("/own/account"))
	page := b.show(i)
	h.expect(page, http.StatusOK, "login")
	if !strings.Contains(page.body, "Sign in to see your account.") {
		t.Errorf("the page does not say why:\n%s", page.body)
	}
	h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	page = b.show(i) // a sign-in opens no window
	h.expect(page, http.StatusOK, "stepup")
	if !strings.Contains(page.body, "Confirm it’s you to see your account.") {
		t.Errorf("the page does not say why:\n%s", page.body)
	}
	h.expect(b.confirm(page.dialog()), http.StatusOK, "/login?i="+i)
	h.expect(b.show(i), http.StatusSeeOther, "/own/account?x=1")
	if a := b.get("/own/account"); a.json["user"] != alice.ID {
		t.Errorf("%d %s", a.status, a.body)
	}
	h.expect(b.show(i), http.StatusGone, "error")
	if len(h.outcomes) != 0 {
		t.Error("a page of our own was answered like a client")
	}
	// A script is told where to go, in a window that has closed.
	a := b.post("/own/vault", map[string]string{})
	h.expect(a, http.StatusForbidden, "step_up_required")
	if location, _ := a.json["location"].(string); !strings.HasPrefix(location, "/login?i=") {
		t.Errorf("location %q", location)
	}
	// None of alice's passkeys can open the vault: a page says so and leads back.
	i = b.interaction(b.get("/own/vault"))
	h.expect(b.show(i), http.StatusForbidden, "error")
}

func TestAWindowOfOurOwnPagesCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.interaction(b.get("/own/account"))
		b.confirm(b.show(i).dialog())
		b.confirm(b.show(i).dialog())
		time.Sleep(4 * time.Minute)
		h.expect(b.get("/own/account"), http.StatusOK, "")
		time.Sleep(time.Minute)
		b.interaction(b.get("/own/account"))
		h.expect(b.get("/own/"), http.StatusOK, "") // signed in all the same
		time.Sleep(time.Hour + time.Minute)
		page := b.show(b.interaction(b.get("/own/")))
		h.expect(page, http.StatusOK, "stepup")
		if !strings.Contains(page.body, "It has been 1 hour since you last did.") {
			t.Errorf("how long it has been is not said:\n%s", page.body)
		}
	})
}

func TestCancellingOnALocalPageLeadsToASafePage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	h.expect(b.form("/login/cancel", "i", b.interaction(b.get("/own/account"))), http.StatusOK, "login")
	b.signIn()
	h.expect(b.form("/login/cancel", "i", b.interaction(b.get("/own/account"))), http.StatusSeeOther, "/account")
}

func TestLocalPagesNeverRedirectElsewhere(t *testing.T) {
	h, w := newHouse(t), httptest.NewRecorder()
	if _, ok := h.Require(w, h.browser().visitor(), "", "see it", "//evil.example"); ok || w.Code != http.StatusInternalServerError {
		t.Errorf("a way out was stored: %d %s", w.Code, w.Header().Get("Location"))
	}
	for path, want := range map[string]bool{
		"/account": true, "/account?x=//evil.example": true, "": false, "account": false, "//evil.example": false,
		`/\evil.example`: false, "https://evil.example": false, "/\n/evil.example": false, "/\t/evil.example": false,
	} {
		if got := localPath(path); got != want {
			t.Errorf("localPath(%q) = %v", path, got)
		}
	}
}
