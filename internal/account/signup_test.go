package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
)

func TestSigningUpEndsWithAUserWhoHasAPasskey(t *testing.T) {
	h := build(t)
	b := h.browser()
	b.get("/signup?i=I1").is("signup", 200).wants("signup-email", "signup-name", "signup-submit")
	p := b.post("/signup", "email", " Ada@Example.com", "name", "Ada  Lovelace", "i", "I1").is("verify", 200)
	p.wants("verify-code", "verify-submit")
	if p.url.Path != "/signup/verify" {
		t.Errorf("at %s", p.url)
	}
	m := h.email()
	code := eightDigits.FindStringSubmatch(m.Text)[1]
	if m.To != "ada@example.com" || !strings.Contains(m.Text, issuer+"/signup/verify#"+code) {
		t.Errorf("e-mail to %s: %q", m.To, m.Text)
	}
	p = b.post("/signup/verify", "token", code[:4]+" "+code[4:]).is("passkey", 200).wants("passkey-create")
	if _, err := h.db.UserByEmail(t.Context(), "ada@example.com"); !errors.Is(err, idp.ErrNotFound) {
		t.Fatalf("the user was stored before the passkey: %v", err)
	}
	if next := b.create(p).member("next"); next != "/signup/passkey" {
		t.Fatalf("next %q", next)
	}
	u, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "Ada Lovelace" || !u.EmailVerified || len(u.Handle) != 64 {
		t.Errorf("stored %+v", u)
	}
	if keys := h.passkeys(u); len(keys) != 1 || keys[0].CreatedAgent != "Firefox on macOS" ||
		keys[0].Name != "Passkey on macOS" {
		t.Errorf("passkeys %+v", keys)
	}
	want := []idp.EventKind{idp.EventUserCreated, idp.EventEmailVerified, idp.EventPasskeyAdded}
	if diff := cmp.Diff(want, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"I1"}, h.signedUp); diff != "" {
		t.Error(diff)
	}
	h.noEmail() // none about the first passkey
	p = b.get("/signup/passkey").is("passkey", 200).wants("passkey-add", "passkey-skip")
	if p.has("passkey-create") {
		t.Error("the first passkey is offered again")
	}
	if p = b.post("/signup/passkey/done").is("login", 200); p.url.RequestURI() != "/login?i=I1" {
		t.Errorf("at %s", p.url)
	}
	b.get("/signup/passkey").is("error", 403) // the enrolment has ended
	if strings.Contains(h.log.String(), code) {
		t.Error("the code is in the log")
	}
}

func TestSignUpSucceedsEvenIfItsInteractionIsOver(t *testing.T) {
	h := build(t, func(c *account.Config) {
		c.SignedUp = func(context.Context, *http.Request, string) error { return errors.New("over") }
	})
	b := h.browser()
	b.create(b.signUp("ada@example.com")).member("next")
	b.get("/signup/passkey").is("passkey", 200).wants("passkey-skip")
}

func TestASecondPasskeyRightAfterTheFirstEndsTheEnrolment(t *testing.T) {
	h := build(t, func(c *account.Config) { c.Recovery = recovery.AdminOnly }) // no codes follow
	b := h.browser()
	b.create(b.signUp("ada@example.com"))
	b.authenticator.Passkeys = nil // another device
	p := b.get("/signup/passkey")
	if next := b.create(p).member("next"); next != "/login?i=I1" {
		t.Errorf("next %q", next)
	}
	u, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(h.passkeys(u)); n != 2 {
		t.Errorf("%d passkeys, want 2", n)
	}
	if m := h.email(); m.Subject != "A passkey was added to your account" {
		t.Errorf("e-mail %q", m.Subject)
	}
	b.get("/signup/passkey").is("error", 403)
}

func TestFiveWrongCodesEndACode(t *testing.T) {
	h := build(t)
	b := h.browser()
	b.post("/signup", "email", "ada@example.com", "name", "Ada")
	code := h.code()
	wrong := "00000000"
	if code == wrong {
		wrong = "00000001"
	}
	for range 5 {
		b.post("/signup/verify", "token", wrong).is("verify", 422).wants("error", "verify-code")
	}
	b.post("/signup/verify", "token", code).is("verify", 429).wants("error")
	b.post("/signup/resend").is("verify", 200)
	again := h.code()
	b.post("/signup/verify", "token", code).is("verify", 422) // replaced by the newer one
	b.post("/signup/verify", "token", again).is("passkey", 200)
	b.post("/signup/verify", "token", again).is("error", 404) // used
}

func TestACodeWorksOnlyInTheBrowserThatAskedForIt(t *testing.T) {
	h := build(t)
	asked, other := h.browser(), h.browser()
	asked.post("/signup", "email", "ada@example.com", "name", "Ada")
	code := h.code()
	other.get("/signup/verify").is("error", 404)
	other.post("/signup/verify", "token", code).is("error", 404)
	other.post("/signup", "email", "ada@example.com", "name", "Eve") // now has its own code
	h.code()
	other.post("/signup/verify", "token", code).is("verify", 422)
	asked.post("/signup/verify", "token", code).is("passkey", 200)
}

func TestACodeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b := h.browser()
		b.post("/signup", "email", "ada@example.com", "name", "Ada")
		code := h.code()
		time.Sleep(14 * time.Minute)
		b.post("/signup/verify", "token", "1") // a wrong try does not extend it
		time.Sleep(2 * time.Minute)
		b.post("/signup/verify", "token", code).is("error", 404)
	})
}

// interposed calls before once, just before the first right answer deletes the sign-up.
type interposed struct {
	ephemeral.Store
	before func()
}

func (s *interposed) Do(ctx context.Context, ops ...*ephemeral.Op) error {
	if strings.HasPrefix(ops[0].Key, "signup:") && ops[0].Verb == ephemeral.Delete && s.before != nil {
		before := s.before
		s.before = nil
		before()
	}
	return s.Store.Do(ctx, ops...)
}

func TestOfTwoRightAnswersAtOnceOneWins(t *testing.T) {
	between := &interposed{}
	h := build(t, func(c *account.Config) { between.Store, c.Ephemeral = c.Ephemeral, between })
	b := h.browser()
	b.post("/signup", "email", "ada@example.com", "name", "Ada")
	code, second := h.code(), page{}
	between.before = func() { second = b.post("/signup/verify", "token", code) }
	b.post("/signup/verify", "token", code).is("passkey", 200)
	second.t = t
	second.is("verify", 422)
}

func TestTheStoredSignUpDoesNotRevealTheCode(t *testing.T) {
	h := build(t)
	b := h.browser()
	p := b.post("/signup", "email", "ada@example.com", "name", "Ada")
	code := h.code()
	for _, c := range b.client.Jar.Cookies(p.url) {
		op := &ephemeral.Op{Verb: ephemeral.Get, Key: "signup:" + idp.Secret(c.Value).Hash()}
		if err := h.ephemeral.Do(t.Context(), op); err != nil || !op.Found {
			t.Fatalf("no stored sign-up: %v", err)
		}
		// A hash of eight digits can be reversed by hashing them all.
		if s := string(op.Result); strings.Contains(s, code) || strings.Contains(s, idp.Secret(code).Hash()) ||
			strings.Contains(s, c.Value) {
			t.Errorf("stored %s", s)
		}
	}
}

func TestAnEnrolmentIsStoredUnderTheHashOfItsCookie(t *testing.T) {
	h := build(t)
	b := h.browser()
	p := b.signUp("ada@example.com")
	found := 0
	for _, c := range b.client.Jar.Cookies(p.url) {
		clear := &ephemeral.Op{Verb: ephemeral.Get, Key: "enrolment:" + c.Value}
		hashed := &ephemeral.Op{Verb: ephemeral.Get, Key: "enrolment:" + idp.Secret(c.Value).Hash()}
		if err := h.ephemeral.Do(t.Context(), clear, hashed); err != nil {
			t.Fatal(err)
		}
		if clear.Found {
			t.Errorf("stored under the cookie %s", c.Name)
		}
		if hashed.Found {
			found++
			if strings.Contains(string(hashed.Result), c.Value) {
				t.Errorf("stored %s", hashed.Result)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d enrolments under the hash of a cookie", found)
	}
}

func TestAnEnrolmentExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b := h.browser()
		p := b.signUp("ada@example.com")
		cookies := b.client.Jar.Cookies(p.url)
		b.client.Jar.SetCookies(p.url, cookies) // without their age, so that only the server can end them
		time.Sleep(8 * time.Minute)
		b.get("/signup/passkey").is("passkey", 200)
		next := b.create(p).member("next") // a passkey does not extend it
		b.get(next).is("passkey", 200)
		time.Sleep(8 * time.Minute)
		b.get("/signup/passkey").is("error", 403)
		b.authenticator.Passkeys = nil
		if answer := b.create(p); answer.status != 403 || answer.member("error") != "enrolment_over" {
			t.Errorf("%d %s", answer.status, answer.body)
		}
	})
}

func TestOnlyTheEmailTellsThatAnAddressHasAnAccount(t *testing.T) {
	h := build(t)
	u, _ := h.user("known@example.com", 1)
	var pages []string
	for _, email := range []string{"known@example.com", "fresh@example.com"} {
		b := h.browser()
		statements, trips := h.db.RoundTrips(), h.ephemeral.RoundTrips()
		p := b.post("/signup", "email", email, "name", "Ada", "i", "I1").is("verify", 200)
		shown := fmt.Sprint(p.url, " ", h.db.RoundTrips()-statements, " ", h.ephemeral.RoundTrips()-trips, " ", p.body)
		again := b.post("/signup/resend").is("verify", 200)
		wrong := b.post("/signup/verify", "token", "x").is("verify", 422)
		pages = append(pages, strings.ReplaceAll(shown+again.body+wrong.body, email, "EMAIL"))
	}
	if diff := cmp.Diff(pages[0], pages[1]); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if m := h.email(); m.To != u.Email || m.Subject != "You already have an account at Stepward" ||
			eightDigits.MatchString(m.Text) {
			t.Errorf("e-mail %q to %s: %s", m.Subject, m.To, m.Text)
		}
	}
	h.code()
	h.code()
}

func TestEmailsAreLimitedPerAddressAndPerNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		h.user("known@example.com", 1)
		for _, email := range []string{"known@example.com", "fresh@example.com"} {
			for network := range 5 { // each network has its own limit
				for range 6 {
					b := h.browser()
					b.address = fmt.Sprintf("192.0.2.%d:1", network)
					b.post("/signup", "email", email, "name", "Ada").is("verify", 200)
				}
				b := h.browser()
				b.address = fmt.Sprintf("192.0.2.%d:1", network)
				b.post("/signup", "email", email, "name", "Ada").is("error", 429)
			}
			b := h.browser()
			b.address = "192.0.2.99:1"
			b.post("/signup", "email", email, "name", "Ada").is("error", 429)
		}
		b := h.browser()
		b.address = "[2001:db8::1]:1"
		for i := range 30 {
			b.post("/signup", "email", fmt.Sprintf("u%d@example.com", i), "name", "Ada").is("verify", 200)
		}
		b.address = "[2001:db8::2:3]:1" // the same network
		b.post("/signup", "email", "u31@example.com", "name", "Ada").is("error", 429)
		b.post("/signup/resend").is("error", 429)
		time.Sleep(time.Hour)
		b.post("/signup", "email", "u31@example.com", "name", "Ada").is("verify", 200)
	})
}

func TestAnEnrolmentOnlyRegistersItsOwnPasskeys(t *testing.T) {
	h := build(t)
	ada, keys := h.user("ada@example.com", 2)
	b := h.browser()
	b.create(b.signUp("eve@example.com"))
	for _, path := range []string{
		"/account", "/account/passkeys", "/account/sessions", "/account/applications", "/account/activity",
		"/account/passkeys/add", "/account/passkeys/" + keys[0].ID + "/remove",
	} {
		b.get(path).is("login", 200)
	}
	b.post("/account", "name", "Eve").is("login", 200)
	b.post("/account/passkeys/"+keys[0].ID+"/remove").is("login", 200)
	if p := b.json("/account/passkeys/begin", map[string]string{"i": ""}); p.status != 403 {
		t.Errorf("/account/passkeys/begin: %d", p.status)
	}
	// A session cannot finish the enrolment's ceremony, and the enrolment cannot finish a session's.
	inside := h.browser()
	inside.signIn(ada, keys[0].ID, account.ActionClass)
	p := b.get("/signup/passkey")
	b.authenticator.Passkeys = nil
	p.body = strings.ReplaceAll(p.body, "/signup/passkey/finish", "/account/passkeys/finish")
	inside.authenticator = b.authenticator
	if answer := inside.create(p); answer.status != 400 {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	p = inside.get("/account/passkeys/add")
	p.body = strings.ReplaceAll(p.body, "/account/passkeys/finish", "/signup/passkey/finish")
	if answer := b.create(p); answer.status != 400 {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	if n := len(h.passkeys(ada)); n != 2 {
		t.Errorf("%d passkeys, want 2", n)
	}
}

func TestOnlyOneOfTwoSignUpsGetsTheAddress(t *testing.T) {
	h := build(t)
	first, second := h.browser(), h.browser()
	p, q := first.signUp("ada@example.com"), second.signUp("ada@example.com")
	first.create(p).member("next")
	if answer := second.create(q); answer.status != 409 || answer.member("error") != "known" {
		t.Errorf("%d %s", answer.status, answer.body)
	}
	u, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(h.passkeys(u)); n != 1 {
		t.Errorf("%d passkeys, want 1", n)
	}
}

func TestSigningUpSignsOutAnotherUserInThisBrowser(t *testing.T) {
	h := build(t)
	ada, _ := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(ada, "")
	b.create(b.signUp("bob@example.com"))
	b.post("/signup/passkey/done").is("login", 200)
	b.get("/account").is("login", 200)
	if !slices.Contains(h.kinds(ada), idp.EventSignedOut) {
		t.Error("no event was recorded")
	}
}

func TestSignUpRefusesInvalidAddressesAndNames(t *testing.T) {
	h := build(t)
	for _, row := range []struct{ email, name string }{
		{"", "Ada"},
		{"ada", "Ada"},
		{"ada@", "Ada"},
		{"a@b@c.d", "Ada"},
		{"ada@example.com\r\nBcc: eve@example.com", "Ada"},
		{strings.Repeat("a", 65) + "@example.com", "Ada"},
		{"ada@" + strings.Repeat("x", 300) + ".com", "Ada"},
		{"ada@example.com", ""},
		{"ada@example.com", " \t"},
		{"ada@example.com", strings.Repeat("a", 81)},
		{"ada@example.com", "\xff"},
	} {
		p := h.browser().post("/signup", "email", row.email, "name", row.name, "i", "I1").is("signup", 422)
		p.wants("error", "signup-submit")
		if !strings.Contains(p.body, `name="i" value="I1"`) {
			t.Errorf("%q: the interaction is lost", row)
		}
	}
	h.browser().do("POST", "/signup", "application/x-www-form-urlencoded",
		"name="+strings.Repeat("a", 70<<10)).is("error", 413)
	h.noEmail()
}

func TestWithoutSignUpAccountsAreByInvitationOnly(t *testing.T) {
	h := build(t, func(c *account.Config) { c.SignUp = false })
	b := h.browser()
	b.get("/signup").is("error", 404)
	b.post("/signup", "email", "ada@example.com", "name", "Ada").is("error", 404)
	h.noEmail()
}

func TestAMalformedInteractionIDIsIgnored(t *testing.T) {
	h := build(t)
	for _, i := range []string{`"><script>`, "//evil.example", strings.Repeat("a", 65), "a b"} {
		b := h.browser()
		b.post("/signup", "email", "ada@example.com", "name", "Ada", "i", i)
		b.post("/signup/verify", "token", h.code())
		p := b.get("/signup/passkey")
		if p.attribute("data-interaction") != "" {
			t.Errorf("%q was accepted", i)
		}
	}
}

func TestAnAddressWithoutADotMustBeConfirmed(t *testing.T) {
	h := build(t)
	b := h.browser()
	p := b.post("/signup", "email", "Ada@example", "name", "Ada").is("signup", 422).wants("error")
	if !strings.Contains(p.body, "Is this address complete?") ||
		!strings.Contains(p.body, `name="sure" value="ada@example"`) {
		t.Errorf("the page does not ask\n%s", p.content())
	}
	h.noEmail()
	b.post("/signup", "email", "ada@other", "name", "Ada", "sure", "ada@example").is("signup", 422)
	b.post("/signup", "email", "ada@example", "name", "Ada", "sure", "ada@example").is("verify", 200)
	h.email()
}

// saveEnrolmentCodes has the codes of a sign-up shown, types one back, and returns them and the page that follows.
func (b *browser) saveEnrolmentCodes() ([]string, page) {
	b.t.Helper()
	b.get("/signup/codes").is("codes", 200).wants("codes-show", "codes-skip")
	p := b.post("/signup/codes").is("codes", 200).wants("codes-list", "codes-check", "codes-done", "codes-download")
	var codes []string
	for _, m := range savedCode.FindAllStringSubmatch(p.body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != 4 {
		b.t.Fatalf("%d codes\n%s", len(codes), p.content())
	}
	b.post("/signup/codes/check", "code", "00000-00000-00000-00000-00000").is("codes", 422).wants("error", "codes-check")
	return codes, b.post("/signup/codes/check", "code", strings.ToLower(codes[1]))
}

func TestRecoveryCodesAreOfferedInsideTheSignUp(t *testing.T) {
	h := build(t)
	b := h.browser()
	p := b.signUp("ada@example.com")
	b.get("/signup/codes").is("error", 403) // there is no passkey yet
	b.post("/signup/codes").is("error", 403)
	b.create(p)
	b.get("/signup/passkey").is("passkey", 200).wants("passkey-add", "codes-link", "passkey-skip")
	codes, p := b.saveEnrolmentCodes()
	if p.is("login", 200); p.url.RequestURI() != "/login?i=I1" {
		t.Errorf("at %s", p.url)
	}
	u, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []idp.EventKind{idp.EventUserCreated, idp.EventEmailVerified, idp.EventPasskeyAdded, idp.EventCodesMade}
	if diff := cmp.Diff(want, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
	if m := h.email(); m.To != u.Email || m.Subject != "New recovery codes for your account" {
		t.Errorf("e-mail %q", m.Subject)
	}
	b.post("/signup/codes").is("error", 403) // the enrolment has ended
	for _, code := range codes {
		if strings.Contains(h.log.String(), code) {
			t.Error("a code is in the log")
		}
	}
	l := lockedOut{browser: h.browser(), user: u}
	l.recoverAccount(codes[3]) // they work
}

func TestCodesFollowASecondPasskeyAndCanBeLeftForLater(t *testing.T) {
	h := build(t)
	b := h.browser()
	b.create(b.signUp("ada@example.com"))
	b.authenticator.Passkeys = nil // another device
	if next := b.create(b.get("/signup/passkey")).member("next"); next != "/signup/codes" {
		t.Errorf("next %q", next)
	}
	h.email()
	if p := b.get("/signup/passkey").is("codes", 200); p.url.Path != "/signup/codes" {
		t.Errorf("at %s", p.url)
	}
	b.json("/signup/passkey/begin", map[string]any{}).is("", 403) // two are enough to start with
	if p := b.post("/signup/passkey/done").is("login", 200); p.url.RequestURI() != "/login?i=I1" {
		t.Errorf("at %s", p.url)
	}
	h.noEmail()
}

// The browser of a sign-up keeps its enrolment for some minutes. It must not replace codes, which needs a step-up, nor
// make any for an account that has a passkey from elsewhere.
func TestAnEnrolmentMakesOnlyTheFirstCodesOfItsOwnAccount(t *testing.T) {
	h := build(t)
	b := h.browser()
	b.create(b.signUp("ada@example.com"))
	u, err := h.db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	first := h.passkeys(u)[0]
	p := b.post("/signup/codes").is("codes", 200)
	shown := savedCode.FindStringSubmatch(p.body)[1]
	b.json("/signup/passkey/begin", map[string]any{}).is("", 403) // codes end the registering

	home := h.browser()
	home.signIn(u, first.ID, "account")
	home.saveCodes()
	b.post("/signup/codes/check", "code", shown).is("error", 403)
	b.post("/signup/codes").is("error", 403)

	other := h.browser()
	other.create(other.signUp("bob@example.com"))
	bob, err := h.db.UserByEmail(t.Context(), "bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	k := idp.Passkey{ID: idp.NewID(), UserID: bob.ID, CredentialID: []byte("elsewhere"), PublicKey: []byte{1}, CreatedAt: time.Now()}
	if err := h.db.AddPasskey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	other.post("/signup/codes").is("error", 403)
}

func TestCodesOfASignUpAreTypedBackWithinFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		b := h.browser()
		b.create(b.signUp("ada@example.com"))
		time.Sleep(14 * time.Minute)
		code := savedCode.FindStringSubmatch(b.post("/signup/codes").is("codes", 200).body)[1]
		time.Sleep(15*time.Minute - time.Second)
		b.post("/signup/codes/check", "code", "nonsense").is("codes", 422) // does not extend it
		time.Sleep(time.Second)
		b.post("/signup/codes/check", "code", code).is("error", 403)
	})
}

func TestNoCodesAreOfferedWhereTheyWouldNotWork(t *testing.T) {
	t.Run("the operator recovers accounts", func(t *testing.T) {
		h := build(t, func(c *account.Config) { c.Recovery = recovery.AdminOnly })
		b := h.browser()
		b.create(b.signUp("ada@example.com"))
		if b.get("/signup/passkey").has("codes-link") {
			t.Error("codes are offered")
		}
		b.post("/signup/codes").is("error", 403)
	})
	t.Run("in a recovery", func(t *testing.T) {
		h := build(t)
		l := h.lockOut("ada@example.com")
		l.recoverAccount(l.codes[0])
		if l.get("/signup/passkey").has("codes-link") {
			t.Error("codes are offered")
		}
		l.post("/signup/codes").is("error", 403)
	})
}
