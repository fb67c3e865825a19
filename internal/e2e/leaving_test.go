package e2e

import (
	"regexp"
	"testing"
	"time"
)

// A second address becomes the primary one, the first one undoes that, the account is deleted, and kept; every page is
// looked at.
func TestAddressesAndTheEndOfAnAccount(t *testing.T) { eachLanguage(t, addressesAndTheEndOfAnAccount) }

func addressesAndTheEndOfAnAccount(t *testing.T, l *looker) {
	issuer, second := l.demo.Config.Issuer.String(), "ada.lovelace.work@analytical-engines.example.org"
	l.plug(device{})
	l.open(issuer + "/account")
	l.signUp(issuer, "ada@example.com", "Ada Lovelace")
	l.touch(false)
	l.click("passkey-skip")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.at("account")
	confirm := func(what string) {
		t.Helper()
		l.at("stepup")
		l.click("passkey-stepup")
		l.wait(`!!document.querySelector("[data-test=`+what+`]")`, "the page after the step-up")
	}
	l.open(issuer + "/account/email")
	l.look("addresses-one", "account")
	l.follow("address-add")
	confirm("address-email")
	l.look("address-add", "account")
	l.fill("address-email", "ada@example.com")
	l.follow("address-submit")
	l.look("address-add-wrong", "account")
	l.fill("address-email", second)
	l.follow("address-submit")
	l.look("address-code", "account")
	l.fill("verify-code", newestCode(t, issuer, second))
	l.follow("verify-submit")
	l.look("addresses-two", "account")
	l.follow("address-remove")
	l.look("address-remove", "account")
	l.follow("cancel")
	l.follow("address-make-primary")
	l.look("address-primary", "account")
	l.follow("confirm")
	l.look("addresses-changed", "account")

	undo := regexp.MustCompile(regexp.QuoteMeta(issuer) + `/account/email/undo#[^"<]+`)
	reader := newPerson(t, issuer, "")
	var link string
	for deadline := time.Now().Add(30 * time.Second); link == "" && time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		link = undo.FindString(reader.open(issuer + "/demo/mail").body)
	}
	l.open(link)
	l.wait(`location.hash === ""`, "the token to leave the address bar")
	l.look("address-undo", "recover")
	l.follow("address-undo")
	l.look("address-undone", "recover")
	l.open(link)
	l.wait(`location.hash === ""`, "the token to leave the address bar")
	l.follow("address-undo")
	l.look("address-undo-over", "error")
	if u := l.user("ada@example.com"); u.Email != "ada@example.com" {
		t.Errorf("the primary address is %s", u.Email)
	}

	l.open(issuer + "/account/data")
	l.at("login")
	l.signIn()
	confirm("delete-link")
	l.look("data", "account")
	l.follow("delete-link")
	l.look("delete", "account")
	l.run(`document.querySelector("[data-test=delete-sure]").checked = true; 0`)
	l.follow("confirm")
	l.look("delete-asked", "account")
	l.open(issuer + "/account")
	l.at("login")
	l.signIn()
	l.look("delete-keep", "account")
	l.follow("deletion-keep")
	l.at("login")
	l.signIn()
	l.wait(`document.body.dataset.page === "account" && !!document.querySelector("[data-test=email-link]")`, "the account, which stays")
}
