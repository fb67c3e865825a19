package account_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/erasure"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/store/recoveries"
)

// remove removes a user and everything of theirs.
func (h *house) remove(u idp.User) {
	h.t.Helper()
	if err := erasure.New(h.db).Erase(h.t.Context(), u.ID, time.Now()); err != nil {
		h.t.Fatal(err)
	}
}

func TestADeletedAccountIsNotRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		for i, step := range []func(l lockedOut) (finish func()){
			func(l lockedOut) func() { // before it begins
				return func() { l.post("/recover", "email", l.user.Email).is("recover", 200) }
			},
			func(l lockedOut) func() { // while its owner types the codes
				mailed := l.startRecovery(l.user.Email)
				return func() { l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("recover", 422) }
			},
			func(l lockedOut) func() { // while its owner creates the passkey
				p := l.proveOwnership(l.codes[0])
				return func() { l.create(p).is("", http.StatusForbidden) }
			},
			func(l lockedOut) func() { // while it waits
				token := l.holdRecovery()
				return func() {
					l.post("/recover/stop", "token", token).is("error", 410)
					time.Sleep(hold / 2)
					if err := h.account.Remind(t.Context(), time.Now()); err != nil {
						t.Error(err)
					}
				}
			},
			func(l lockedOut) func() { // while a link waits
				token := h.recoveryLink(l.user, time.Hour)
				return func() { l.post("/recover/link", "token", token).is("error", 410) }
			},
		} {
			l := h.lockOut(string(rune('a'+i)) + "@example.com")
			finish := step(l)
			h.remove(l.user)
			finish()
			if keys := h.passkeys(l.user); len(keys) != 0 {
				t.Errorf("step %d: passkeys %+v", i, keys)
			}
			if p := l.home.get("/account"); p.attribute("data-page") == "account" {
				t.Errorf("step %d: the session still works", i)
			}
			for { // its e-mails
				if _, err := outbox.ClaimMail(t.Context(), h.db, time.Now(), time.Minute); err != nil {
					break
				}
			}
		}
	})
}

// A link of one user, its PIN, and the code of a mail open nothing of another user.
func TestLinksAndCodesOfAnotherUserOpenNothing(t *testing.T) {
	h := build(t)
	ada, bob := h.lockOut("ada@example.com"), h.lockOut("bob@example.com")
	adas, bobs := ada.startRecovery(ada.user.Email), bob.startRecovery(bob.user.Email)
	for _, typed := range [][2]string{{bobs, ada.codes[0]}, {adas, bob.codes[0]}, {bobs, bob.codes[0]}} {
		ada.browser.post("/recover/code", "token", typed[0], "code", typed[1])
		ada.get("/signup/passkey").is("error", 403)
	}
	first, pin := h.orderLink(recovery.Order{User: ada.user, PIN: true})
	second, other := h.orderLink(recovery.Order{User: bob.user, PIN: true})
	h.browser().post("/recover/link", "token", first, "pin", other).is("recover", 422)
	h.browser().post("/recover/link", "token", second, "pin", pin).is("recover", 422)
	if p := h.browser().post("/recover/link", "token", first, "pin", pin).is("passkey", 200); !strings.Contains(p.body, ada.user.Email) {
		t.Error("the link leads to another account")
	}
}

// A recovery that was opened and left changes nothing but the code or the link that opened it.
func TestAHalfRedeemedRecoveryChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t)
		l := h.lockOut("ada@example.com")
		token := h.recoveryLink(l.user, time.Hour)
		first := l.proveOwnership(l.codes[0])
		second := h.browser()
		link := second.post("/recover/link", "token", token).is("passkey", 200)
		h.email()
		time.Sleep(15 * time.Minute)
		l.create(first).is("", 403)
		second.create(link).is("", 403)
		second.post("/recover/link", "token", token).is("error", 410)
		l.home.get("/account").is("account", 200)
		if keys := h.passkeys(l.user); len(keys) != 1 || keys[0].Suspended() {
			t.Errorf("passkeys %+v", keys)
		}
		left, err := recoveries.CodesOf(t.Context(), h.db, l.user.ID)
		if err != nil || len(left) != 3 {
			t.Errorf("%d codes left (%v)", len(left), err)
		}
		l.browser = h.browser()
		mailed := l.startRecovery(l.user.Email)
		l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("recover", 422) // used up
		l.browser = h.browser()
		l.address = "198.51.100.9:1"
		time.Sleep(time.Hour)
		l.recoverAccount(l.codes[1])
	})
}

// An admin recovers their account with codes like everybody else, and can then do nothing of an admin's for a day.
func TestAnAdminsAccountIsRecoveredWithCodesOnly(t *testing.T) {
	h := build(t, byEmail)
	l := h.lockOut("ada@example.com")
	h.change(l.user, func(u *idp.User) { u.Role = directory.RoleOwner })
	l.proveMailbox().is("error", 404)
	l.browser = h.browser()
	l.recoverAccount(l.codes[0])
	u, err := h.db.UserByID(t.Context(), l.user.ID)
	if err != nil || u.ClosedUntil(time.Now()).IsZero() || u.Role != directory.RoleOwner {
		t.Errorf("closed until %v, role %v (%v)", u.ClosedUntil(time.Now()), u.Role, err)
	}
}

var longest = strings.Repeat("a", 64) + "@" + strings.Repeat("b", 61) + "." + strings.Repeat("c", 60) + "." +
	strings.Repeat("d", 60) + ".ee.ee"

// From sign-up to recovery with addresses and names of all kinds.
func TestAddressesAndNamesOfAllKindsSignUpAndRecover(t *testing.T) {
	if len(longest) != 254 {
		t.Fatalf("%d characters", len(longest))
	}
	h := build(t)
	for typed, name := range map[string]string{
		"ada+codes@example.com":    "Ада Лавлейс",
		"JÖRG@exämple.com":         "أدا لوفلايس",
		"josé@example.com":         "アダ・ラブレス",
		"δοκιμή@παράδειγμα.δοκιμή": "Άντα Λάβλεϊς",
		longest: "愛達·勒芙蕾絲",
	} {
		b := h.browser()
		b.post("/signup", "email", typed, "name", name).is("verify", 200)
		b.create(b.post("/signup/verify", "token", b.code()).is("passkey", 200))
		if p := b.get("/signup/passkey").is("passkey", 200); !strings.Contains(p.body, name) {
			t.Errorf("%s: the name is not on the page: %s", name, p.content())
		}
		codes, _ := b.saveEnrolmentCodes()
		h.email()
		email, _ := directory.NormalizeEmail(typed)
		u, err := h.db.UserByEmail(t.Context(), email)
		if err != nil || u.Name != name {
			t.Fatalf("%s: %+v, %v", typed, u, err)
		}
		l := lockedOut{browser: h.browser(), user: u, codes: codes}
		mailed := l.startRecovery(" " + strings.ToUpper(typed) + " ")
		l.create(l.post("/recover/code", "token", mailed, "code", codes[0]).is("passkey", 200)).member("next")
		for range 2 {
			if m := h.email(); m.To != email {
				t.Errorf("e-mail to %q", m.To)
			}
		}
	}
	for _, bad := range []string{"a" + longest, strings.Repeat("x", 70_000), "ada@example.com\r\nBcc: eve@example.com", "ada@\x00example.com"} {
		p := h.browser().post("/recover", "email", bad)
		if p.status != http.StatusUnprocessableEntity && p.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%.40q: %d", bad, p.status)
		}
	}
	h.noEmail()
}
