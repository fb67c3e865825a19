package login

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/store/recoveries"
)

func TestAnAnswerCountsOnce(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	i := b.begin()
	d := b.show(i).dialog()
	response, err := b.device.Get(d.Options)
	h.must(err)
	h.expect(b.answerWith(d, response), http.StatusOK, "/login?i="+i)
	h.expect(b.answerWith(d, response), http.StatusBadRequest, "ceremony_gone")
	d.Ceremony = ""
	h.expect(b.answerWith(d, response), http.StatusBadRequest, "ceremony_gone")
	d.Ceremony = strings.Repeat("x", 5000)
	h.expect(b.answerWith(d, response), http.StatusBadRequest, "ceremony_gone")
}

func TestACeremonyWorksOnlyForItsInteraction(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	one, two := b.begin(), b.begin()
	d := b.show(one).dialog()
	d.I = two
	h.expect(b.confirm(d), http.StatusBadRequest, "passkey_refused")
	h.expect(b.show(two), http.StatusOK, "login")
	d.I = one
	h.expect(b.confirm(d), http.StatusBadRequest, "ceremony_gone") // taken all the same
}

func TestAStepUpNeverEndsAsAnotherUser(t *testing.T) {
	h := newHouse(t)
	b, other := h.browser(), h.browser()
	alice := b.enrol("alice@example.com")
	other.enrol("bob@example.com")
	before := b.signIn()
	h.need = idp.Requirement{Fresh: true}

	i := b.begin()
	d := b.show(i).dialog()
	forged := withoutList(t, d.Options)
	response, err := other.device.Get(forged)
	h.must(err)
	h.expect(b.answerWith(d, response), http.StatusBadRequest, "other_account")
	h.expect(b.show(i), http.StatusOK, "stepup")
	h.expect(b.post("/login/passkey/begin", map[string]string{"i": i, "email": "bob@example.com"}), http.StatusConflict, "moved_on")

	// The session changes hands while the dialog is open.
	d = b.show(i).dialog()
	h.need = idp.Requirement{}
	two := b.begin()
	b.form("/login/switch", "i", two)
	mine := b.device
	b.device = other.device
	h.expect(b.confirm(b.offered(two, "")), http.StatusOK, "/login?i="+two)
	b.device = mine
	h.expect(b.confirm(d), http.StatusConflict, "moved_on")

	// Another passkey of the same user that is not among those asked for.
	h.need = idp.Requirement{ACRValues: []string{"phrh"}, Essential: true}
	b = h.browser()
	b.device = mine
	b.addPasskey(alice, provenHardware)
	b.device.Passkeys[0], b.device.Passkeys[1] = b.device.Passkeys[1], b.device.Passkeys[0] // the weak one is used first
	i = b.begin()
	b.confirm(b.show(i).dialog())
	d = b.show(i).dialog()
	response, err = b.device.Get(withoutList(t, d.Options))
	h.must(err)
	h.expect(b.answerWith(d, response), http.StatusBadRequest, "passkey_refused")
	h.expect(b.confirm(b.show(i).dialog()), http.StatusOK, "/login?i="+i)
	if len(h.outcomes) != 1 || h.last().SessionID != before.SessionID {
		t.Errorf("outcomes %+v", h.outcomes)
	}
	want := []idp.EventKind{
		idp.EventSignedIn, idp.EventConsentGranted, idp.EventPasskeyRefused, idp.EventSignedIn, idp.EventSignedOut, idp.EventSignedIn, idp.EventPasskeyRefused, idp.EventSteppedUp,
	}
	if diff := cmp.Diff(want, h.kinds()); diff != "" {
		t.Errorf("audit record, -want +got:\n%s", diff)
	}
}

// withoutList returns the options that a dishonest page would use.
func withoutList(t *testing.T, options []byte) []byte {
	var o struct {
		PublicKey map[string]any `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	delete(o.PublicKey, "allowCredentials")
	out, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOnlyTheHintedUserCanSignIn(t *testing.T) {
	h := newHouse(t)
	b, other := h.browser(), h.browser()
	alice := b.enrol("alice@example.com")
	other.enrol("bob@example.com")
	h.request.HintedUser = alice.ID
	i := other.begin()
	page := other.show(i)
	if slices.Contains(page.hooks(), "signup-link") {
		t.Error("a new account is offered where one user is wanted")
	}
	h.expect(other.confirm(page.dialog()), http.StatusBadRequest, "other_account")
	h.expect(other.show(i), http.StatusOK, "login") // and no session
	other.device = b.device
	h.expect(other.confirm(other.offered(i, "")), http.StatusOK, "/login?i="+i)
	page = other.show(i)
	h.expect(page, http.StatusOK, "consent")
	if strings.Contains(page.body, "Not you?") {
		t.Error("another account is offered where it would be refused")
	}
}

func TestRejectionsAreOnePlainSentence(t *testing.T) {
	for _, tc := range []struct {
		name string
		bend func(*house, *browser)
		code string
		kind idp.EventKind
	}{
		{"another origin", func(_ *house, b *browser) {
			b.device.Bend = func(c *passkeytest.ClientData) { c.Origin = "https://evil.example.com" }
		}, "passkey_refused", idp.EventPasskeyRefused},
		{"no user verification", func(_ *house, b *browser) { b.device.Flags = idp.FlagUserPresent }, "passkey_refused", idp.EventPasskeyRefused},
		{"a bad signature", func(_ *house, b *browser) {
			other := h2(b)
			b.device.Passkeys[0].Key = other.device.Passkeys[0].Key
		}, "passkey_refused", idp.EventPasskeyRefused},
		{"a removed passkey", func(h *house, b *browser) {
			k, u, err := h.cfg.DB.PasskeyByCredentialID(h.Context(), b.device.Passkeys[0].ID)
			h.must(err)
			mine := b.device
			b.device = passkeytest.New(origin)
			b.addPasskey(u)
			b.device = mine
			h.must(h.cfg.DB.RemovePasskey(h.Context(), u.ID, k.ID, false))
		}, "unknown_credential", idp.EventPasskeyRefused},
		{"a closed account", func(h *house, b *browser) {
			_, u, err := h.cfg.DB.PasskeyByCredentialID(h.Context(), b.device.Passkeys[0].ID)
			h.must(err)
			u.DisabledAt = time.Now()
			h.must(h.cfg.DB.UpdateUser(h.Context(), u))
		}, "account_closed", idp.EventPasskeyRefused},
		{"a passkey from before a recovery", func(h *house, b *browser) {
			_, u, err := h.cfg.DB.PasskeyByCredentialID(h.Context(), b.device.Passkeys[0].ID)
			h.must(err)
			now := time.Now()
			h.must(h.cfg.DB.Recover(h.Context(), idp.Passkey{ID: idp.NewID(), UserID: u.ID, CredentialID: []byte{1}, CreatedAt: now}, now, now))
		}, "passkey_suspended", idp.EventPasskeyRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHouse(t)
			b := h.browser()
			b.enrol("alice@example.com")
			i := b.begin()
			page := b.show(i)
			tc.bend(h, b)
			a := b.confirm(page.dialog())
			h.expect(a, http.StatusBadRequest, tc.code)
			message, _ := a.json["message"].(string)
			if message == "" || strings.ContainsAny(message, "_{}:\"") || strings.Contains(message, "origin") {
				t.Errorf("message %q is not for people", message)
			}
			if tc.code == "unknown_credential" && (a.json["rp_id"] != "login.example.com" || a.json["credential_id"] == "") {
				t.Errorf("nothing to tell the password manager: %v", a.json)
			}
			if kinds := h.kinds(); !slices.Contains(kinds, tc.kind) || slices.Contains(kinds, idp.EventSignedIn) {
				t.Errorf("audit record %v", kinds)
			}
			if again := b.show(i); again.dialog().Ceremony != "" {
				t.Error("after a reload the page offers the ceremony that is used up")
			}
		})
	}
}

// h2 is a second browser with its own account in the same house.
func h2(b *browser) *browser {
	other := b.house.browser()
	other.enrol("somebody@example.com")
	return other
}

func TestACounterThatGoesBackwardsIsRejectedRecordedAndReported(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.device.CountBy = 5
	b.enrol("alice@example.com")
	b.signIn()
	b.device.Passkeys[0].Count -= 5
	b.device.CountBy = 0
	other := h.browser()
	other.device = b.device
	h.expect(other.confirm(other.show(other.begin()).dialog()), http.StatusBadRequest, "passkey_refused")
	k, _, err := h.cfg.DB.PasskeyByCredentialID(t.Context(), b.device.Passkeys[0].ID)
	h.must(err)
	if k.CounterRegressedAt.IsZero() || k.SignCount != 5 {
		t.Errorf("passkey %+v", k)
	}
	if kinds := h.kinds(); kinds[len(kinds)-1] != idp.EventPasskeyRegressed {
		t.Errorf("audit record %v", kinds)
	}
	if diff := cmp.Diff([]string{"alice@example.com passkey.counter_regressed my passkey"}, h.told); diff != "" {
		t.Errorf("told, -want +got:\n%s", diff)
	}
}

func TestAResetCounterOfASyncedPasskeyIsAcceptedRecordedAndReported(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.device.Flags |= idp.FlagBackupEligible | idp.FlagBackedUp
	b.device.CountBy = 5
	b.enrol("alice@example.com")
	b.signIn()
	b.device.Passkeys[0].Count, b.device.CountBy = 0, 1
	other := h.browser()
	other.device = b.device
	other.signIn()
	k, _, err := h.cfg.DB.PasskeyByCredentialID(t.Context(), b.device.Passkeys[0].ID)
	h.must(err)
	if k.SignCount != 5 {
		t.Errorf("count %d", k.SignCount)
	}
	if !slices.Contains(h.kinds(), idp.EventPasskeyRegressed) {
		t.Errorf("audit record %v", h.kinds())
	}
	if diff := cmp.Diff([]string{"alice@example.com passkey.counter_regressed my passkey"}, h.told); diff != "" {
		t.Errorf("told, -want +got:\n%s", diff)
	}
}

func TestASignInAndAStepUpStopAWaitingRecovery(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	u, err := h.cfg.DB.UserByEmail(t.Context(), "alice@example.com")
	h.must(err)
	h.must(h.cfg.DB.VerifyEmail(t.Context(), u.ID, u.Email, time.Now()))
	waits := func() bool {
		u, err := h.cfg.DB.UserByID(t.Context(), u.ID)
		h.must(err)
		return !u.RecoveryReadyAt.IsZero()
	}
	hold := func() {
		t.Helper()
		h.must(recoveries.New(h.cfg.DB).Hold(t.Context(), u.ID, u.Email, idp.NewSecret().Hash(), time.Now().Add(48*time.Hour), time.Now()))
		if !waits() {
			t.Fatal("no recovery waits")
		}
	}
	hold()
	b.signIn()
	if waits() {
		t.Error("a sign-in stops nothing")
	}
	hold()
	h.need = idp.Requirement{Fresh: true}
	i := b.begin()
	if !strings.Contains(b.show(i).body, `data-test="recovery-held"`) {
		t.Error("the step-up page does not warn")
	}
	b.confirm(b.show(i).dialog())
	if waits() {
		t.Error("a step-up stops nothing")
	}
	stopped := slices.DeleteFunc(h.kinds(), func(k idp.EventKind) bool { return k != idp.EventRecoveryStopped })
	if len(stopped) != 2 {
		t.Errorf("events %v", h.kinds())
	}
}

func TestAGoodPasskeyIsNeverCalledUnknown(t *testing.T) {
	for name, spell := range map[string]func([]byte) string{
		"padded":                base64.URLEncoding.EncodeToString,
		"the standard alphabet": base64.StdEncoding.EncodeToString,
		"both":                  base64.RawStdEncoding.EncodeToString,
		"another user's":        func([]byte) string { return base64.RawURLEncoding.EncodeToString([]byte("somebody else")) },
	} {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		d := b.show(b.begin()).dialog()
		response, err := b.device.Get(d.Options)
		h.must(err)
		var parsed map[string]any
		h.must(json.Unmarshal(response, &parsed))
		inner := parsed["response"].(map[string]any)
		inner["userHandle"] = spell(b.device.Passkeys[0].UserHandle)
		response, err = json.Marshal(parsed)
		h.must(err)
		got := b.answerWith(d, response)
		// Whether the library takes the spelling is its affair; that the browser does not delete the passkey is ours.
		if name == "padded" && got.status != http.StatusOK || got.json["error"] == "unknown_credential" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestATypedNameDoesNotRevealWhetherItHasAnAccount(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	i := b.begin()
	type shape struct{ ephemeral, sql int64 }
	measure := func(email string) (shape, dialog) {
		before := shape{h.ephemeral.RoundTrips(), h.cfg.DB.RoundTrips()}
		d := b.offered(i, email)
		return shape{h.ephemeral.RoundTrips() - before.ephemeral, h.cfg.DB.RoundTrips() - before.sql}, d
	}
	measure("somebody@example.com")
	known, mine := measure(" Alice@Example.com ")
	unknown, decoy := measure("nobody@example.com")
	if known != unknown {
		t.Errorf("known %+v, unknown %+v", known, unknown)
	}
	if diff := cmp.Diff(keysOf(t, mine.Options), keysOf(t, decoy.Options)); diff != "" {
		t.Errorf("the answers differ in shape, -known +unknown:\n%s", diff)
	}
	_, again := measure("nobody@example.com")
	if a, b := listOf(t, decoy.Options), listOf(t, again.Options); !bytes.Equal(a, b) {
		t.Errorf("another list each time: %s, %s", a, b)
	}

	// Nor does the other end: a made-up answer with an ID of either list is refused in the same words, in the ceremony of
	// the name and in one for whichever passkey.
	thief := h2(b).device
	forge := func(d dialog, id string) answer {
		thief.Passkeys[0].ID, thief.Passkeys[0].UserHandle = decode(t, id), []byte("guess")
		response, err := thief.Get(withoutList(t, d.Options))
		h.must(err)
		return b.answerWith(d, response)
	}
	for _, d := range []func() (dialog, dialog){
		func() (dialog, dialog) { return mine, decoy },
		func() (dialog, dialog) { return b.offered(i, ""), b.offered(i, "") },
	} {
		one, two := d()
		have, have2 := forge(one, firstID(t, mine.Options)), forge(two, firstID(t, decoy.Options))
		if have.json["error"] != have2.json["error"] || have.json["message"] != have2.json["message"] || have.status != http.StatusBadRequest {
			t.Errorf("known: %s\nunknown: %s", have.body, have2.body)
		}
	}
	h.expect(b.confirm(b.offered(i, "alice@example.com")), http.StatusOK, "/login?i="+i)
	h.expect(b.post("/login/passkey/begin", map[string]string{"i": b.begin(), "email": "not an address"}), http.StatusBadRequest, "invalid_email")
}

func publicKey(t *testing.T, options []byte) map[string]any {
	var o struct {
		PublicKey map[string]any `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	return o.PublicKey
}

func keysOf(t *testing.T, options []byte) (keys []string) {
	o := publicKey(t, options)
	for k := range o {
		keys = append(keys, k)
	}
	for k := range o["allowCredentials"].([]any)[0].(map[string]any) {
		keys = append(keys, "allowCredentials."+k)
	}
	slices.Sort(keys)
	return keys
}

func listOf(t *testing.T, options []byte) []byte {
	out, err := json.Marshal(publicKey(t, options)["allowCredentials"])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func firstID(t *testing.T, options []byte) string {
	return publicKey(t, options)["allowCredentials"].([]any)[0].(map[string]any)["id"].(string)
}

func TestAttemptsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.begin()
		for n := range limit.NamesFrom.Most {
			b.offered(i, fmt.Sprintf("person%d@example.com", n))
		}
		a := b.post("/login/passkey/begin", map[string]string{"i": i, "email": "bob@example.com"})
		h.expect(a, http.StatusTooManyRequests, "too_many_requests")
		if a.header.Get("Retry-After") != "300" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
		d := b.offered(i, "") // the button goes on working
		fail := func() {
			b.post("/login/passkey/finish", map[string]any{"i": i, "ceremony": "x", "credential": map[string]any{}})
		}
		for range limit.CeremonyFailed.Most {
			fail()
		}
		recorded := len(h.kinds())
		h.expect(b.answerWith(b.offered(i, ""), []byte(`{}`)), http.StatusTooManyRequests, "too_many_requests")
		if n := len(h.kinds()); n != recorded {
			t.Errorf("%d events of failures beyond the limit", n-recorded)
		}
		// A stranger behind the same address shuts no user out: a right answer signs in.
		h.expect(b.confirm(d), http.StatusOK, "/login?i="+i)
		i = b.begin()
		b.form("/login/switch", "i", i)
		time.Sleep(limit.CeremonyFailed.Window)
		h.expect(b.answerWith(b.offered(i, ""), []byte(`{}`)), http.StatusBadRequest, "passkey_refused")
	})
}

func TestAReloadNeverOffersAUsedCeremony(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.begin()
		d := b.show(i).dialog()
		h.expect(b.answerWith(d, []byte(`{}`)), http.StatusBadRequest, "passkey_refused")
		if again := b.show(i).dialog(); again.Ceremony != "" {
			t.Error("the used ceremony is offered again")
		}
	})
	t.Run("the store was away", func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.begin()
		d := b.show(i).dialog()
		h.must(h.cfg.DB.Close())
		if a := b.confirm(d); a.status < 500 {
			t.Fatalf("without its store: %d %s", a.status, a.body)
		}
		if again := b.show(i); again.status != http.StatusOK || again.dialog().Ceremony != "" {
			t.Errorf("the used ceremony is offered again: %d", again.status)
		}
	})
	t.Run("sent twice", func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		i := b.begin()
		d := b.show(i).dialog()
		h.must(h.ephemeral.Do(t.Context(), h.ceremonies.TakeOp(d.Ceremony)))
		h.expect(b.answerWith(d, []byte(`{}`)), http.StatusBadRequest, "ceremony_gone")
		if again := b.show(i).dialog(); again.Ceremony != "" {
			t.Error("the used ceremony is offered again")
		}
	})
	t.Run("not you", func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.begin()
		d := b.show(i).dialog()
		h.expect(b.confirm(d), http.StatusOK, "/login?i="+i)
		b.form("/login/switch", "i", i)
		if again := b.show(i); again.dialog().Ceremony != "" || !strings.Contains(again.body, "passkey-signin") {
			t.Errorf("the used ceremony is offered again: %s", again.body)
		}
	})
}

func TestBrokenBodiesAreRefusedPlainly(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	i := b.begin()
	d := b.show(i).dialog()
	for _, path := range []string{"/login/passkey/begin", "/login/passkey/finish"} {
		for _, body := range []string{"", "{", "[]", "null null", `{"i":7}`, `{"i":"` + i + `","more":1}`} {
			h.expect(b.send("POST", path, "application/json", strings.NewReader(body)), http.StatusBadRequest, "invalid_request")
		}
		h.expect(b.send("POST", path, "text/plain", strings.NewReader("{}")), http.StatusUnsupportedMediaType, "error")
		h.expect(b.send("POST", path, "application/json", strings.NewReader(`{"i":"`+strings.Repeat("x", 70<<10)+`"}`)), http.StatusRequestEntityTooLarge, "too_large")
	}
	for _, credential := range []string{`null`, `7`, `{}`, `"x"`, `{"id":"AA","rawId":"AA","type":"public-key","response":{"userHandle":"!"}}`} {
		h.expect(b.answerWith(b.offered(i, ""), []byte(credential)), http.StatusBadRequest, "passkey_refused")
	}
	for _, path := range []string{"/login/consent", "/login/select", "/login/switch", "/login/cancel"} {
		h.expect(b.form(path), http.StatusGone, "error")
		h.expect(b.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader("i=%zz")), http.StatusBadRequest, "error")
	}
	b.headers.Set("Sec-Fetch-Site", "cross-site")
	h.expect(b.form("/login/cancel", "i", i), http.StatusForbidden, "error")
	h.expect(b.confirm(d), http.StatusForbidden, "cross_origin")
	b.headers.Del("Sec-Fetch-Site")
	h.expect(b.confirm(d), http.StatusOK, "/login?i="+i) // nothing of all that did any harm
}

func TestCeremoniesAndTypedNamesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		b := h.browser()
		b.enrol("alice@example.com")
		i := b.begin()
		begin := func(email string) answer {
			return b.post("/login/passkey/begin", map[string]string{"i": i, "email": email})
		}
		for n := range limit.NameTyped.Most {
			if a := begin("bob@example.com"); a.status != http.StatusOK {
				t.Fatalf("typing %d of one name: %d", n+1, a.status)
			}
		}
		h.expect(begin("Bob@example.com"), http.StatusTooManyRequests, "too_many_requests")
		h.expect(b.confirm(b.offered(i, "alice@example.com")), http.StatusOK, "/login?i="+i) // another name
		i = b.begin()
		b.form("/login/switch", "i", i)
		for n := range limit.CeremonyBegin.Most - limit.NameTyped.Most - 2 {
			if a := begin(""); a.status != http.StatusOK {
				t.Fatalf("begin %d: %d", n+1, a.status)
			}
		}
		h.expect(begin(""), http.StatusTooManyRequests, "too_many_requests")
	})
}
