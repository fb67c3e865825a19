package account_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/idp"
)

func TestAddingAPasskeyNeedsItsOwnStepUpAndSendsAnEmail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		u, keys := h.user("ada@example.com", 1)
		b := h.browser()
		b.signIn(u, keys[0].ID) // a sign-in is not a step-up
		b.get("/account/passkeys").is("account", 200).wants("passkey-add", "passkey-nudge")
		if p := b.get("/account/passkeys/add").is("login", 200); p.url.Query().Get("back") != "/account/passkeys/add" ||
			p.url.Query().Get("class") != "account" {
			t.Errorf("at %s", p.url)
		}
		if p := b.json("/account/passkeys/begin", map[string]string{"i": ""}); p.status != 403 ||
			p.member("error") != "step_up_required" {
			t.Errorf("begin: %d %s", p.status, p.body)
		}
		b.signIn(u, keys[0].ID, account.ActionClass)
		p := b.get("/account/passkeys/add").is("account", 200).wants("passkey-create")
		time.Sleep(5 * time.Minute)
		if answer := b.create(p); answer.status != 403 || answer.member("error") != "step_up_required" {
			t.Errorf("after the window: %d %s", answer.status, answer.body)
		}
		b.authenticator.Passkeys = nil
		b.signIn(u, keys[0].ID, account.ActionClass)
		next := b.create(b.get("/account/passkeys/add")).member("next")
		b.get(next).is("account", 200)
		if n := len(h.passkeys(u)); n != 2 {
			t.Fatalf("%d passkeys, want 2", n)
		}
		if m := h.email(); m.To != u.Email || !strings.Contains(m.Text, "“Passkey on macOS” was added") ||
			!strings.Contains(m.Text, "Firefox on macOS") {
			t.Errorf("e-mail %q %s", m.Subject, m.Text)
		}
		if diff := cmp.Diff([]idp.EventKind{idp.EventPasskeyAdded}, h.kinds(u)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBeginReturnsANewChallengeWithoutReloadingThePage(t *testing.T) {
	h := build(t)
	b, _, _ := h.signedIn()
	for _, begin := range []string{"/account/passkeys/begin", "/signup/passkey/begin"} {
		if begin[1] == 's' {
			h.email() // about the new passkey
			b.signUp("bob@example.com")
		}
		answer := b.json(begin, map[string]string{"i": ""})
		if answer.status != 200 || answer.member("ceremony") == "" {
			t.Fatalf("%s: %d %s", begin, answer.status, answer.body)
		}
		credential, err := b.authenticator.Create([]byte(answer.body))
		if err != nil {
			t.Fatal(err)
		}
		finish := map[string]any{"i": "", "ceremony": answer.member("ceremony"), "credential": json.RawMessage(credential)}
		if p := b.json(strings.TrimSuffix(begin, "begin")+"finish", finish); p.status != 200 {
			t.Errorf("%s: %d %s", begin, p.status, p.body)
		}
		if p := b.json(strings.TrimSuffix(begin, "begin")+"finish", finish); p.status != 400 {
			t.Errorf("%s, the same answer twice: %d %s", begin, p.status, p.body)
		}
	}
}

func TestARegistrationCountsOnlyInTheSessionThatBeganIt(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	began, other := h.browser(), h.browser()
	began.signIn(u, keys[0].ID, account.ActionClass)
	other.signIn(u, keys[0].ID, account.ActionClass)
	if answer := other.create(began.get("/account/passkeys/add")); answer.status != 400 {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

func TestADeviceThatDoesNotVerifyItsUserIsRefused(t *testing.T) {
	h := build(t)
	b := h.browser()
	b.authenticator.Flags = idp.FlagUserPresent
	if answer := b.create(b.signUp("ada@example.com")); answer.status != 400 || answer.member("error") != "not_verified" {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

func TestRemovingAPasskeySignsOutWhereItWasUsed(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	lost, here, third := h.browser(), h.browser(), h.browser()
	stolen := lost.signIn(u, keys[1].ID)
	family := h.family(u, stolen.ID, false)
	third.signIn(u, keys[0].ID)
	here.signIn(u, keys[0].ID)
	path := "/account/passkeys/" + keys[1].ID + "/remove"
	here.get(path).is("login", 200)
	here.post(path).is("login", 200) // needs a step-up
	if n := len(h.passkeys(u)); n != 2 {
		t.Fatalf("%d passkeys, want 2", n)
	}
	here.signIn(u, keys[0].ID, account.ActionClass)
	p := here.get("/account/passkeys").is("account", 200).wants("passkey-remove")
	if !strings.Contains(p.body, `href="`+path+`" data-test="passkey-remove" data-id="`+keys[1].ID+`"`) {
		t.Errorf("no link to remove it\n%s", p.content())
	}
	here.get(path).is("account", 200).wants("confirm", "cancel")
	p = here.post(path).is("account", 200)
	if p.url.RequestURI() != "/account/passkeys?done=removed" {
		t.Errorf("at %s", p.url)
	}
	var s struct {
		RPID        string   `json:"rpId"`
		UserID      string   `json:"userId"`
		Credentials []string `json:"allAcceptedCredentialIds"`
	}
	if err := json.Unmarshal([]byte(p.attribute("data-signal")), &s); err != nil {
		t.Fatal(err)
	}
	left := h.passkeys(u)
	if len(left) != 1 || left[0].ID != keys[0].ID {
		t.Fatalf("left %+v", left)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	if s.RPID != "login.example.com" || s.UserID != b64(u.Handle) ||
		!slices.Equal(s.Credentials, []string{b64(left[0].CredentialID)}) {
		t.Errorf("signal %+v", s)
	}
	if m := h.email(); m.Subject != "A passkey was removed from your account" || !strings.Contains(m.Text, "“Key 2”") {
		t.Errorf("e-mail %q %s", m.Subject, m.Text)
	}
	lost.get("/account").is("login", 200)
	third.get("/account").is("account", 200)
	h.checkFamily(family, false)
	here.post(path).is("error", 404) // removed
}

func TestTheOnlyPasskeyCannotBeRemoved(t *testing.T) {
	h := build(t)
	b, u, key := h.signedIn()
	p := b.get("/account/passkeys").is("account", 200)
	if p.has("passkey-remove") || !strings.Contains(p.body, "can’t remove your only passkey") {
		t.Errorf("removing is offered, or the reason is missing\n%s", p.content())
	}
	path := "/account/passkeys/" + key.ID + "/remove"
	if p := b.get(path).is("account", 200).wants("error", "passkey-add"); p.has("confirm") {
		t.Error("removing is offered")
	}
	b.post(path).is("error", 409)
	if n := len(h.passkeys(u)); n != 1 {
		t.Errorf("%d passkeys, want 1", n)
	}
	h.noEmail()
}

func TestTwoRemovalsAtOnceLeaveOnePasskey(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	statuses := make([]int, 2)
	var wg sync.WaitGroup
	for i := range 2 {
		b := h.browser()
		b.signIn(u, "", account.ActionClass)
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		wg.Go(func() { statuses[i] = b.post("/account/passkeys/" + keys[i].ID + "/remove").status })
	}
	wg.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{303, 409}) || len(h.passkeys(u)) != 1 {
		t.Errorf("answers %v, %d passkeys left", statuses, len(h.passkeys(u)))
	}
}

func TestAnotherUsersPasskeyIsNotFound(t *testing.T) {
	h := build(t)
	_, theirs := h.user("ada@example.com", 2)
	u, keys := h.user("eve@example.com", 2)
	b := h.browser()
	b.signIn(u, keys[0].ID, account.ActionClass)
	base := "/account/passkeys/" + theirs[0].ID
	b.post(base+"/rename", "name", "mine").is("error", 404)
	b.get(base+"/remove").is("error", 404)
	b.post(base+"/remove").is("error", 404)
	owner, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, h.passkeys(owner)); diff != "" {
		t.Error(diff)
	}
}

func TestAPasskeyCanBeRenamed(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, keys[0].ID)
	path := "/account/passkeys/" + keys[0].ID + "/rename"
	b.post(path, "name", " My  phone ").is("account", 200)
	if got := h.passkeys(u)[0].Name; got != "My phone" {
		t.Errorf("name %q", got)
	}
	for _, name := range []string{"", strings.Repeat("x", 81)} {
		b.post(path, "name", name).is("error", 422)
	}
}

func TestThePasskeysPageShowsACounterWarning(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	if err := h.db.RegressPasskey(t.Context(), keys[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, keys[1].ID)
	b.get("/account/passkeys").is("account", 200).wants("passkey-warning")
}

func TestARequestFromAnotherSiteChangesNothing(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	b := h.browser()
	b.signIn(u, keys[0].ID, account.ActionClass)
	b.site = "cross-site"
	for _, path := range []string{
		"/signup", "/signup/verify", "/signup/resend", "/enrol",
		"/signup/passkey/begin", "/signup/passkey/finish", "/signup/passkey/done", "/account",
		"/account/passkeys/" + keys[1].ID + "/rename", "/account/passkeys/" + keys[1].ID + "/remove",
		"/account/passkeys/begin", "/account/passkeys/finish",
		"/account/sessions/revoke", "/account/sessions/revoke-others", "/account/applications/remove", "/account/signout",
	} {
		b.post(path, "name", "Eve", "email", "eve@example.com", "token", "1").is("error", 403)
	}
	b.site = "same-origin"
	b.get("/account").is("account", 200)
	if diff := cmp.Diff(keys, h.passkeys(u)); diff != "" {
		t.Error(diff)
	}
	h.noEmail()
}

func TestTwelvePasskeysAndStrangeNamesAreShownAsText(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 12)
	if err := h.db.RenamePasskey(t.Context(), u.ID, keys[3].ID, `<b>"🔑'`); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, keys[0].ID)
	p := b.get("/account/passkeys").is("account", 200)
	if n := strings.Count(p.body, `data-test="passkey-remove"`); n != 12 {
		t.Errorf("%d rows", n)
	}
	if strings.Contains(p.body, "<b>") {
		t.Error("a name was rendered as HTML")
	}
}

// family stores a family of tokens that the client app got in this session, and returns its ID.
func (h *house) family(u idp.User, sid string, offline bool) string {
	h.t.Helper()
	if _, err := h.db.Client(h.t.Context(), "app"); err != nil {
		if err := h.db.PutClient(h.t.Context(), idp.Client{
			ID: "app", Name: "Acme", AuthMethod: idp.AuthMethodNone,
		}); err != nil {
			h.t.Fatal(err)
		}
	}
	f := idp.Family{
		ID: idp.NewID(), ClientID: "app", UserID: u.ID, SessionID: sid, Offline: offline,
		CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}
	if _, _, err := h.db.CreateFamily(h.t.Context(), f, nil); err != nil {
		h.t.Fatal(fmt.Errorf("family: %w", err))
	}
	return f.ID
}

func (h *house) checkFamily(family string, want bool) {
	h.t.Helper()
	if _, _, err := h.db.FamilyWithUser(h.t.Context(), family); (err == nil) != want {
		h.t.Errorf("family: %v, want it valid: %v", err, want)
	}
}

func TestRemovingAPasskeyEndsWhatItAuthenticated(t *testing.T) {
	for _, test := range []struct {
		name          string
		synced, keeps bool // keeps: the user opts out of ending anything
		lives         bool
	}{
		{"of one device", false, false, false},
		{"of one device, with an opt-out that does not apply", false, true, false},
		{"synced", true, false, false},
		{"synced, with the opt-out", true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := build(t)
			u, keys := h.user("ada@example.com", 2)
			k := keys[1]
			if test.synced {
				k.Flags |= idp.FlagBackupEligible
			}
			a := idp.Authentication{ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID, At: time.Now()}
			if _, err := h.db.RecordAuthentication(t.Context(), k, a, ""); err != nil {
				t.Fatal(err)
			}
			other, here := h.browser(), h.browser()
			there := other.signIn(u, k.ID)
			offline := h.offlineFamily(u, there.ID, a.ID, k.ID)
			untouched := h.offlineFamily(u, there.ID, "another", keys[0].ID)
			here.signIn(u, keys[0].ID, account.ActionClass)
			p := here.get("/account/passkeys/"+k.ID+"/remove").is("account", 200)
			if p.has("passkey-end") != test.synced {
				t.Errorf("the page offers the opt-out: %v", !test.synced)
			}
			form := []string{"end", "yes"}
			if test.keeps {
				form = nil
			}
			here.post("/account/passkeys/"+k.ID+"/remove", form...).is("account", 200)
			h.checkFamily(offline, test.lives)
			h.checkFamily(untouched, true)
			if in := other.get("/account").has("sign-out"); in != test.lives {
				t.Errorf("the other session is still valid: %v", in)
			}
			// A code issued before the removal brings no tokens.
			_, _, err := h.db.CreateFamily(t.Context(), idp.Family{
				ID: idp.NewID(), ClientID: "app", UserID: u.ID, SessionID: idp.NewID(),
				Assurance: idp.Assurance{AuthenticationID: a.ID, PasskeyID: k.ID},
				CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			}, nil)
			if (err == nil) != test.lives {
				t.Errorf("a code issued before: %v", err)
			}
		})
	}
}

func TestTheSessionOfTheRemovedPasskeyEndsWithIt(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	here := h.browser()
	sess := here.signIn(u, keys[1].ID, account.ActionClass)
	family := h.family(u, sess.ID, false)
	here.post("/account/passkeys/"+keys[1].ID+"/remove", "end", "yes").is("logged-out", 200)
	here.get("/account").is("login", 200)
	h.checkFamily(family, false)
}

// offlineFamily stores an offline family that came from this authentication, and returns its ID.
func (h *house) offlineFamily(u idp.User, sid, authentication, passkey string) string {
	h.t.Helper()
	id := h.family(u, sid, true) // stores the client too
	f := idp.Family{
		ID: id + "x", ClientID: "app", UserID: u.ID, SessionID: sid, Offline: true,
		CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		Assurance: idp.Assurance{AuthenticationID: authentication, PasskeyID: passkey}, Scopes: []string{"openid", "email"},
	}
	if _, _, err := h.db.CreateFamily(h.t.Context(), f, nil); err != nil {
		h.t.Fatal(err)
	}
	return f.ID
}

func TestSigningOutEverywhereMayEndOfflineAccessToo(t *testing.T) {
	for _, end := range []bool{false, true} {
		h := build(t)
		u, keys := h.user("ada@example.com", 1)
		there := h.browser().signIn(u, keys[0].ID)
		here := h.browser()
		mine := here.signIn(u, keys[0].ID)
		away, own := h.family(u, there.ID, true), h.family(u, mine.ID, true)
		here.get("/account/sessions").is("account", 200).wants("session-offline")
		var form []string
		if end {
			form = []string{"offline", "yes"}
		}
		here.post("/account/sessions/revoke-others", form...).is("account", 200)
		h.checkFamily(away, !end)
		h.checkFamily(own, true)
	}
}

func TestEveryApplicationThatHoldsTokensIsListedAndCanBeRemoved(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here := h.browser()
	sess := here.signIn(u, keys[0].ID)
	family := h.family(u, sess.ID, true) // a first-party client: no consent, no grant
	p := here.get("/account/applications").is("account", 200).wants("application")
	if !strings.Contains(p.body, "Acme") || !strings.Contains(p.body, "may act while you are away") {
		t.Error(p.content())
	}
	here.post("/account/applications/remove", "client", "app").is("account", 200)
	h.checkFamily(family, false)
	if here.get("/account/applications").has("application") {
		t.Error("the application is still listed")
	}
	here.post("/account/applications/remove", "client", "app").is("error", 404)
}

func TestThePageSaysWhereAPasskeyIsKept(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 0)
	for name, k := range map[string]idp.Passkey{
		"Cloud": {Flags: idp.FlagBackupEligible},
		"Key":   {Attachment: "cross-platform", Transports: []string{"usb", "nfc"}},
		"Phone": {Attachment: "cross-platform", Transports: []string{"hybrid", "internal"}},
		"Other": {Attachment: "platform", Transports: []string{"internal"}},
	} {
		k.ID, k.UserID, k.Name, k.CreatedAt = idp.NewID(), u.ID, name, time.Now()
		k.CredentialID, k.PublicKey = []byte(name), []byte{1}
		if err := h.db.AddPasskey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	b := h.browser()
	b.signIn(u, "")
	p := b.get("/account/passkeys").is("account", 200)
	for name, want := range map[string]string{
		"Cloud": "synced", "Key": "on the security key", "Phone": "on one device", "Other": "on one device",
	} {
		_, row, _ := strings.Cut(p.body, "<bdi>"+name+"</bdi>")
		if row, _, _ = strings.Cut(row, " · "); !strings.HasSuffix(row, ">"+want) {
			t.Errorf("%s: %q, want %q", name, row, want)
		}
	}
}
