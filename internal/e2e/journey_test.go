package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store"
)

// laterBy moves what the store remembers of a user's recovery into the past, as if this much time had gone by since.
func (l *looker) laterBy(d time.Duration, u idp.User) {
	l.t.Helper()
	var b store.Batch
	b.Do(`UPDATE users SET recovered_at = recovered_at - $2 WHERE id = $1 AND recovered_at > 0`, u.ID, d.Milliseconds())
	b.Do(`UPDATE passkeys SET suspended_at = suspended_at - $2 WHERE user_id = $1 AND suspended_at > 0`, u.ID, d.Milliseconds())
	b.Do(`UPDATE passkeys SET strong_from = strong_from - $2 WHERE user_id = $1 AND strong_from > 0`, u.ID, d.Milliseconds())
	if err := l.demo.DB.RunBatch(l.t.Context(), "move the clock", &b); err != nil {
		l.t.Fatal(err)
	}
}

// stepUp opens a page that needs a step-up, and waits for the hook that is on it.
func (c *chrome) stepUp(url, hook string) {
	c.t.Helper()
	c.open(url)
	if c.at("account", "recover", "stepup") == "stepup" {
		c.click("passkey-stepup")
	}
	c.wait(`!!document.querySelector("[data-test=`+hook+`]")`, "the page after the step-up")
}

// One person from the sign-up to the day after a recovery: codes, a second device by QR code, both devices lost, the
// way back, and the review of the old passkeys when the day is over. New pages are looked at.
func TestFromSignUpOverTheLostDevicesToTheDayAfter(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"

	// Sign-up, with recovery codes.
	l.plug(device{})
	l.open(issuer + "/account")
	l.signUp(issuer, email, "Ada Lovelace")
	first := newestCode(t, issuer, email)
	l.look("enrol-codes-link", "passkey")
	l.follow("codes-link")
	l.look("enrol-codes-offer", "codes")
	l.follow("codes-show")
	l.look("enrol-codes", "codes")
	codes := strings.Fields(l.eval(`[...document.querySelectorAll("[data-test=codes-list] code")].map((e) => e.textContent).join(" ")`))
	if len(codes) != 4 {
		t.Fatalf("codes %q", codes)
	}
	l.fill("codes-check", "nonsense")
	l.follow("codes-done")
	l.look("enrol-codes-wrong", "codes")
	l.fill("codes-check", codes[0])
	l.touch(false)
	l.click("codes-done")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.at("account")
	l.open(issuer + "/account/checkup")
	l.look("checkup", "account")

	// A second device by QR code.
	l.stepUp(issuer+"/account/passkeys/other/new", "other-start")
	l.follow("other-start")
	phone := newChrome(t)
	phone.plug(device{synced: true})
	phone.open(issuer + "/add")
	phone.fill("add-code", l.text("other-code"))
	phone.follow("add-continue")
	phone.at("add")
	phone.click("passkey-create")
	l.wait(`!!document.querySelector("[data-test=other-yes]")`, "the question on the computer")
	l.follow("other-yes")
	u := l.user(email)
	if keys, err := l.demo.DB.PasskeysOf(t.Context(), u.ID); err != nil || len(keys) != 2 {
		t.Fatalf("%d passkeys (%v)", len(keys), err)
	}

	// Computer and phone are lost. A new device recovers the account.
	fresh := newChrome(t)
	fresh.plug(device{synced: true})
	fresh.open(issuer + "/recover")
	fresh.fill("recover-email", email)
	fresh.follow("recover-submit")
	fresh.fill("recover-mailcode", fresh.codeAfter(issuer, email, first))
	fresh.fill("recover-code", codes[1])
	fresh.follow("recover-finish")
	fresh.at("passkey")
	fresh.click("passkey-create")
	fresh.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the new passkey")
	if fresh.eval(`String(!!document.querySelector("[data-test=codes-link]"))`) != "false" {
		t.Error("a recovery offers codes")
	}
	fresh.touch(false)
	fresh.click("passkey-skip")
	fresh.at("login")
	fresh.touch(true)
	fresh.signIn()
	fresh.at("account")
	l.open(issuer + "/account")
	l.at("login") // the lost computer is signed out

	// For a day, the old passkeys can be neither kept nor removed.
	const offered = `String(document.querySelectorAll("[data-test=passkey-suspended]").length) + " " +
		String(document.querySelectorAll("[data-test=passkey-keep]").length)`
	fresh.open(issuer + "/account/passkeys")
	if got := fresh.eval(offered); got != "2 0" {
		t.Errorf("on hold and to keep: %s", got)
	}
	l.laterBy(idp.RecoveryClosed-time.Hour, u)
	fresh.open(issuer + "/account/passkeys")
	if got := fresh.eval(offered); got != "2 0" {
		t.Errorf("an hour too early, on hold and to keep: %s", got)
	}
	l.laterBy(time.Hour, u)
	fresh.open(issuer + "/account/passkeys")
	if got := fresh.eval(offered); got != "2 2" {
		t.Errorf("after a day, on hold and to keep: %s", got)
	}
	fresh.click("passkey-keep")
	fresh.wait(`document.body.dataset.page === "stepup" || `+offered+` === "1 1"`, "the step-up, or one passkey to be kept")
	if fresh.at("account", "stepup") == "stepup" {
		fresh.click("passkey-stepup")
		fresh.wait(`location.pathname === "/account/passkeys"`, "the passkeys")
		if fresh.eval(offered) != "1 1" {
			fresh.follow("passkey-keep")
		}
	}
	fresh.wait(offered+` === "1 1"`, "one passkey to be kept")
	fresh.click("passkey-remove")
	fresh.wait(`!!document.querySelector("[data-test=confirm]")`, "the question whether to remove it")
}

// A second admin approves a recovery link; its pages are looked at.
func TestThePagesOfASecondApproval(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"
	l.plug(device{})
	l.join(issuer, email, "Ada Lovelace")
	admin := l.user(email)
	admin.Role, admin.UpdatedAt = directory.RoleAdmin, time.Now()
	bob := idp.NewUser("bob@example.com", "Bob", time.Now())
	if err := l.demo.DB.UpdateUser(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	if err := l.demo.DB.CreateUser(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	made, err := recovery.NewLink(t.Context(), l.demo.DB, issuer, recovery.Order{User: bob, TTL: time.Hour, Second: true},
		idp.NewEvent(idp.EventRecoveryLinkMade, bob.ID, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	other := newChrome(t)
	other.open(made.Link.Reveal())
	other.wait(`location.hash === ""`, "the token to leave the address bar")
	other.follow("recover-continue")
	other.at("error") // it waits for its approval
	l.stepUp(issuer+recovery.ApprovePath(bob.ID), "recover-approve")
	l.look("recover-approve", "recover")
	l.follow("recover-approve")
	l.look("recover-approved", "recover")
	l.do(chromedp.Navigate(issuer + recovery.ApprovePath(bob.ID)))
	l.look("recover-approve-none", "error")
	other.open(issuer + "/recover") // the refusal has the address of the link, and only another # follows
	other.open(made.Link.Reveal())
	other.wait(`location.hash === ""`, "the token to leave the address bar")
	other.follow("recover-continue")
	other.at("passkey")
}
