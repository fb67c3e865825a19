package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
)

// A computer shows the code, a phone creates the passkey, and the computer confirms it, with every page looked at.
func TestAPasskeyIsAddedOnAnotherDevice(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"
	l.plug(device{})
	l.join(issuer, email, "Ada Lovelace")
	l.open(issuer + "/account/passkeys")
	l.look("passkeys-one", "account")
	l.follow("passkey-other")
	l.at("stepup")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=other-start]")`, "the page before the code")
	l.look("other-explained", "account")
	l.follow("other-start")
	l.look("other-code", "account")
	l.at("account")
	code := l.text("other-code")

	phone := newChrome(t)
	phone.plug(device{synced: true})
	phone.open(issuer + "/add#" + "not-a-code")
	phone.wait(`location.hash === "" && !document.querySelector("[data-test=add-code]")`, "the form for the QR code")
	phone.open(issuer + "/add")
	phone.fill("add-code", code)
	phone.follow("add-continue")
	phone.at("add")
	l.wait(`!!document.querySelector("[data-test=other-no].danger")`, "the computer to notice the other device")
	l.look("other-opened", "account")
	phone.click("passkey-create")
	phone.wait(`!!document.querySelector("[data-test=add-number]")`, "the number on the phone")
	l.wait(`!!document.querySelector("[data-test=other-yes]")`, "the question on the computer")
	l.look("other-question", "account")
	if here, there := l.text("other-number"), phone.text("add-number"); here != there {
		t.Errorf("the number is %s here and %s there", here, there)
	}
	l.follow("other-yes")
	l.at("account")
	l.look("other-done", "account")
	phone.wait(`!!document.querySelector("[data-test=add-done]")`, "the phone to notice the confirmation")
	phone.follow("add-done")
	phone.at("login")
	phone.signIn()
	phone.at("account")
	if keys, err := l.demo.DB.PasskeysOf(t.Context(), l.user(email).ID); err != nil || len(keys) != 2 ||
		keys[1].LastUsedAt.Before(time.Now().Add(-time.Hour)) {
		t.Errorf("%d passkeys, %v", len(keys), err)
	}
}

// The pages of the other device, looked at.
func TestThePagesOfAnotherDevice(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"
	computer := newChrome(t)
	computer.plug(device{})
	computer.open(issuer + "/account")
	computer.signUp(issuer, email, "Ada Lovelace")
	computer.touch(false)
	computer.click("passkey-skip")
	computer.at("login")
	computer.touch(true)
	computer.signIn()
	computer.at("account")
	l.plug(device{synced: true})
	for _, end := range []string{"other-yes", "other-no"} {
		computer.open(issuer + "/account/passkeys/other/new")
		if computer.at("account", "stepup") == "stepup" {
			computer.click("passkey-stepup")
			computer.wait(`!!document.querySelector("[data-test=other-start]")`, "the page before the code")
		}
		computer.follow("other-start")
		l.open(issuer + "/add")
		l.look("add-code", "add")
		l.fill("add-code", "nonsense")
		l.follow("add-continue")
		l.look("add-wrong", "add")
		l.fill("add-code", computer.text("other-code"))
		l.follow("add-continue")
		l.look("add-create", "add")
		l.click("passkey-create")
		l.wait(`!!document.querySelector("[data-test=add-number]")`, "the number")
		l.look("add-number", "add")
		computer.wait(`!!document.querySelector("[data-test=other-yes]")`, "the question")
		computer.follow(end)
		l.wait(`!document.querySelector("[data-test=add-number]")`, "the answer of the computer")
		l.look("add-"+end, "add")
		if end == "other-no" {
			l.credentials("the refused passkey to be forgotten", func(kept []*webauthn.Credential) bool { return len(kept) == 0 })
		}
		l.plug(device{synced: true})
	}
}
