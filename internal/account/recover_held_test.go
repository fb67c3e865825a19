package account_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/outbox"
)

const hold = 48 * time.Hour

func byEmail(c *account.Config) { c.Recovery, c.RecoveryHold = recovery.ByEmailWithDelay, hold }

// proveMailbox types the e-mailed code and no saved one.
func (l lockedOut) proveMailbox() page {
	l.t.Helper()
	mailed := l.startRecovery(l.user.Email)
	return l.post("/recover/code", "token", mailed, "code", "")
}

// holdRecovery begins the wait and returns the token of the link that stops it.
func (l lockedOut) holdRecovery() string {
	l.t.Helper()
	if p := l.proveMailbox().is("recover", 200).wants("recover-from"); p.url.Path != "/recover/wait" {
		l.t.Errorf("at %s", p.url)
	}
	return stopToken(l.t, l.email())
}

func stopToken(t *testing.T, m outbox.Mail) string {
	t.Helper()
	found := regexp.MustCompile(`/recover/stop#(\S+)`).FindStringSubmatch(m.Text)
	if found == nil {
		t.Fatalf("no link in %q: %s", m.Subject, m.Text)
	}
	return found[1]
}

// change stores a changed user.
func (h *house) change(u idp.User, change func(*idp.User)) {
	h.t.Helper()
	change(&u)
	u.UpdatedAt = time.Now()
	if err := h.db.UpdateUser(h.t.Context(), u); err != nil {
		h.t.Fatal(err)
	}
}

func TestEMailAloneRecoversAnAccountAfterAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		l := h.lockOut("ada@example.com")
		time.Sleep(time.Second)
		l.holdRecovery()
		l.get("/signup/passkey").is("error", 403)
		l.get("/recover/code").is("recover", 200).wants("recover-from")

		// Another browser of the same mailbox changes nothing, and says how long the first one waits.
		time.Sleep(hold - time.Minute)
		second := l
		second.browser = h.browser()
		second.proveMailbox().is("recover", 200).wants("recover-from")
		second.get("/signup/passkey").is("error", 403)
		h.noEmail()

		time.Sleep(time.Minute)
		l.home = nil
		p := l.proveMailbox().is("passkey", 200)
		if m := h.email(); m.Subject != "Your account is being recovered" {
			t.Errorf("e-mail %q", m.Subject)
		}
		l.create(p).member("next")
		if m := h.email(); m.Subject != "Your account was recovered" {
			t.Errorf("e-mail %q", m.Subject)
		}
		if keys := h.passkeys(l.user); len(keys) != 2 || !keys[0].Suspended() || keys[1].Suspended() {
			t.Errorf("passkeys %+v", keys)
		}
		want := []idp.EventKind{
			idp.EventCodesMade, idp.EventRecoveryAsked, idp.EventRecoveryHeld, idp.EventRecoveryAsked,
			idp.EventRecoveryAsked, idp.EventRecoveryOpened, idp.EventPasskeyAdded, idp.EventRecovered,
		}
		got := slices.DeleteFunc(h.kinds(l.user), func(k idp.EventKind) bool { return k == idp.EventSessionRevoked })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASavedCodeNeedsNoWait(t *testing.T) {
	h := build(t, byEmail)
	l := h.lockOut("ada@example.com")
	l.get("/recover").is("recover", 200)
	l.recoverAccount(l.codes[0])
	// A wrong one does not begin the wait.
	wrong, other := h.lockOut("bob@example.com"), h.lockOut("eve@example.com")
	mailed := wrong.startRecovery(wrong.user.Email)
	wrong.post("/recover/code", "token", mailed, "code", other.codes[0]).is("recover", 422).wants("error")
	h.noEmail()
}

func TestWithoutTheSettingEMailAloneDoesNotRecover(t *testing.T) {
	h := build(t)
	l := h.lockOut("ada@example.com")
	l.proveMailbox().is("recover", 422).wants("error")
	h.noEmail()
}

func TestAWaitingRecoveryIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, stop := range map[string]func(h *house, l lockedOut, token string){
			"by the link, without a session": func(h *house, _ lockedOut, token string) {
				b := h.browser()
				b.get("/recover/stop").is("recover", 200).wants("recovery-stop")
				b.post("/recover/stop", "token", token).is("recover", 200)
				b.post("/recover/stop", "token", token).is("error", 410) // once
				for _, bad := range []string{"nonsense", ""} {
					b.post("/recover/stop", "token", bad).is("error", 410)
				}
			},
			"by a browser that is signed in": func(_ *house, l lockedOut, _ string) {
				l.home.get("/account").is("account", 200).wants("recovery-held", "recovery-stop")
				l.home.post("/recover/stop").is("recover", 200)
				if l.home.get("/account").is("account", 200).has("recovery-held") {
					l.t.Error("the page still warns")
				}
			},
			"in the last moment": func(h *house, l lockedOut, token string) {
				time.Sleep(hold - 30*time.Minute)
				l.home.signIn(l.user, l.old.ID, "account")
				time.Sleep(30 * time.Minute)
				p := l.proveMailbox().is("passkey", 200)
				h.email()
				h.browser().post("/recover/stop", "token", token).is("recover", 200)
				l.create(p).is("", 403)
				if keys := h.passkeys(l.user); len(keys) != 1 || keys[0].Suspended() {
					l.t.Errorf("passkeys %+v", keys)
				}
			},
		} {
			h := build(t, byEmail)
			l := h.lockOut("ada@example.com")
			token := l.holdRecovery()
			stop(h, l, token)
			if m := h.email(); m.Subject != "The recovery of your account was stopped" {
				t.Errorf("%s: e-mail %q", name, m.Subject)
			}
			time.Sleep(hold)
			// Whoever reads the mailbox cannot begin again for a week. A saved code still works.
			l.browser = h.browser()
			l.proveMailbox().is("error", 403)
			h.noEmail()
			time.Sleep(directory.RecoveryStopped)
			l.browser = h.browser()
			l.holdRecovery()
			l.recoverAccount(l.codes[0])
			if strings.Contains(h.log.String(), token) {
				t.Error("the token is in the log")
			}
		}
	})
}

func TestTheOwnerIsRemindedHalfWayThroughTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		l := h.lockOut("ada@example.com")
		stopped, finished := h.lockOut("bob@example.com"), h.lockOut("eve@example.com")
		first := l.holdRecovery()
		h.browser().post("/recover/stop", "token", stopped.holdRecovery()).is("recover", 200)
		h.email()
		finished.holdRecovery()
		finished.recoverAccount(finished.codes[0]) // with a code: nothing waits any more
		remind := func() {
			t.Helper()
			if err := h.account.Remind(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(hold/2 - time.Second)
		remind()
		h.noEmail()
		time.Sleep(time.Second)
		h.change(l.user, func(u *idp.User) { u.Profile.Locale = "de" })
		remind()
		m := h.email()
		if m.To != l.user.Email || !strings.HasPrefix(m.Subject, "Erinnerung") {
			t.Errorf("e-mail to %s: %q", m.To, m.Subject)
		}
		again := stopToken(t, m)
		if again != first {
			t.Error("the reminder has another link, so the first one would not work any more")
		}
		h.noEmail()
		remind()
		time.Sleep(time.Hour)
		remind()
		h.noEmail() // once
		kinds := h.kinds(l.user)
		if kinds[len(kinds)-1] != idp.EventRecoveryReminded {
			t.Errorf("events %v", kinds)
		}
		h.browser().post("/recover/stop", "token", again).is("recover", 200)
	})
}

// The token in the notices is derived from a key that no table has, and no other user or wait has the same.
func TestTheLinkThatStopsARecoveryIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		a, b := h.lockOut("ada@example.com"), h.lockOut("bob@example.com")
		first, other := a.holdRecovery(), b.holdRecovery()
		h.browser().post("/recover/stop", "token", first).is("recover", 200)
		h.email()
		time.Sleep(directory.RecoveryStopped)
		a.browser = h.browser()
		second := a.holdRecovery()
		if first == other || first == second || len(first) < 43 {
			t.Errorf("tokens %q, %q, %q", first, other, second)
		}
		h.browser().post("/recover/stop", "token", first).is("error", 410)
		u, err := h.db.UserByID(t.Context(), a.user.ID)
		if err != nil || !u.RecoveryReadyAt.After(time.Now()) {
			t.Errorf("an old link stopped the new recovery: %v", err)
		}
	})
}

func TestEveryAddressIsToldOfARecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		l := h.lockOut("ada@example.com")
		told := func(want ...string) {
			t.Helper()
			var got []string
			for range want {
				got = append(got, h.email().To)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			h.noEmail()
		}
		h.change(l.user, func(u *idp.User) { u.Email = "thief@example.com" })
		l.user.Email = "thief@example.com"
		l.proveMailbox().is("recover", 200)
		told("ada@example.com", "thief@example.com")
		mailed := l.startRecovery(l.user.Email)
		p := l.post("/recover/code", "token", mailed, "code", l.codes[0]).is("passkey", 200)
		told("ada@example.com", "thief@example.com")
		l.create(p).member("next")
		told("ada@example.com", "thief@example.com")
		time.Sleep(directory.FormerAddressTold)
		l.browser = h.browser()
		mailed = l.startRecovery(l.user.Email)
		l.post("/recover/code", "token", mailed, "code", l.codes[1]).is("passkey", 200)
		told("thief@example.com")
	})
}

func TestEMailAloneIsNotForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		for name, change := range map[string]func(*idp.User){
			"admin":       func(u *idp.User) { u.Role = directory.RoleAdmin },
			"disabled":    func(u *idp.User) { u.DisabledAt = time.Now() },
			"unconfirmed": func(u *idp.User) { u.EmailVerified = false },
		} {
			u, _ := h.user(name+"@example.com", 1)
			h.change(u, change)
			h.browser().post("/recover", "email", u.Email).is("recover", 200)
			if m := h.email(); eightDigits.MatchString(m.Text) {
				t.Errorf("%s: %s", name, m.Text)
			}
		}
		// Nor for somebody who becomes one of them during the wait, or moves to another address.
		for name, change := range map[string]func(*idp.User){
			"promoted": func(u *idp.User) { u.Role = directory.RoleSupport },
			"closed":   func(u *idp.User) { u.DisabledAt = time.Now() },
		} {
			u, _ := h.user(name+"@example.com", 1)
			l := lockedOut{browser: h.browser(), user: u}
			l.holdRecovery()
			time.Sleep(hold)
			mailed := l.startRecovery(u.Email)
			h.change(u, change)
			l.post("/recover/code", "token", mailed, "code", "").is("error", 404)
		}
		u, _ := h.user("moved@example.com", 1)
		l := lockedOut{browser: h.browser(), user: u}
		l.holdRecovery()
		h.change(u, func(u *idp.User) { u.Email = "new@example.com" })
		time.Sleep(hold)
		l.user.Email = "new@example.com"
		l.holdRecovery() // begins anew
	})
}

func TestAWaitingRecoveryIsOverAfterThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, byEmail)
		l := h.lockOut("ada@example.com")
		l.holdRecovery()
		time.Sleep(hold + directory.RecoveryOpen)
		l.holdRecovery()
		l.get("/signup/passkey").is("error", 403)
	})
}
