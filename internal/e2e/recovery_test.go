package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recovery"
)

// codeAfter reads the newest code for an address once it is another than that one.
func (c *chrome) codeAfter(issuer, email, former string) string {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if code := newestCode(c.t, issuer, email); code != former {
			return code
		}
		<-time.After(50 * time.Millisecond)
	}
	c.t.Fatal("no new code arrived at /demo/mail")
	return ""
}

// From sign-up over the lost phone to the look at the old passkey, with every page looked at.
func TestALostPhoneAndTheWayBack(t *testing.T) { eachLanguage(t, aLostPhoneAndTheWayBack) }

func aLostPhoneAndTheWayBack(t *testing.T, l *looker) {
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"
	l.plug(device{})
	l.open(issuer + "/account")
	l.signUp(issuer, email, "Ada Lovelace")
	first := newestCode(t, issuer, email)
	l.touch(false)
	l.click("passkey-skip")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.open(issuer + "/account/passkeys")
	l.look("codes-offered", "account")
	l.follow("codes-link")
	l.look("codes-none", "account")
	l.follow("codes-make")
	l.at("stepup")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=codes-show]")`, "the page before the codes")
	l.look("codes-begin", "account")
	l.follow("codes-show")
	l.look("codes-new", "codes")
	codes := strings.Fields(l.eval(`[...document.querySelectorAll("[data-test=codes-list] code")].map((e) => e.textContent).join(" ")`))
	if len(codes) != 4 {
		t.Fatalf("codes %q", codes)
	}
	if file := l.eval(`fetch === undefined ? "" : decodeURIComponent(document.querySelector("[data-test=codes-download]").href)`); !strings.Contains(file, codes[3]) {
		t.Errorf("the file holds %q", file)
	}
	for _, button := range []string{"[data-copy]", "[data-print]"} {
		if l.eval(`String(document.querySelector("`+button+`").hidden)`) != "false" {
			t.Errorf("%s is hidden", button)
		}
	}
	l.fill("codes-check", "nonsense")
	l.follow("codes-done")
	l.look("codes-wrong", "codes")
	l.fill("codes-check", strings.ToLower(codes[0]))
	l.follow("codes-done")
	l.look("codes-made", "account")

	// The phone is lost. This is another device.
	l.plug(device{synced: true})
	l.click("sign-out")
	l.at("logged-out")
	l.touch(false)
	l.open(l.request())
	l.look("login-cannot", "login")
	l.follow("recover-link")
	l.look("recover", "recover")
	l.fill("recover-email", email)
	l.follow("recover-submit")
	l.look("recover-code", "recover")
	mailed := l.codeAfter(issuer, email, first)
	l.fill("recover-mailcode", mailed)
	l.fill("recover-code", "00000-00000-00000-00000-00000")
	l.follow("recover-finish")
	l.look("recover-wrong", "recover")
	l.fill("recover-mailcode", mailed)
	l.fill("recover-code", codes[1])
	l.follow("recover-finish")
	l.look("recover-passkey", "passkey")
	l.touch(true)
	l.click("passkey-create")
	l.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the new passkey")
	l.look("recover-added", "passkey")
	l.touch(false)
	l.click("passkey-skip")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.at("consent") // an ordinary sign-in, for the application that asked
	l.open(issuer + "/account/passkeys")
	l.look("passkeys-on-hold", "account")
	l.open(issuer + "/account/codes")
	l.look("codes-closed", "account")
	l.open(issuer + "/account/activity")
	l.look("activity-recovered", "account")

	u := l.user(email)
	made, err := recovery.NewLink(t.Context(), l.demo.DB, issuer, recovery.Order{User: u, TTL: time.Hour},
		idp.NewEvent(idp.EventRecoveryLinkMade, u.ID, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	l.open(made.Link.Reveal())
	l.look("recover-link", "recover")
	l.wait(`location.hash === ""`, "the token to leave the address bar")
	l.follow("recover-continue")
	l.at("passkey")
	l.do(chromedp.Navigate(issuer + "/recover/code"))
	l.look("recover-over", "error")
}

// The wait of a recovery by e-mail alone, how its owner stops it, and a link with a PIN; every page is looked at.
func TestThePagesOfAWaitingRecovery(t *testing.T) {
	t.Parallel()
	l := newLooker(t, "recovery", "email-with-delay")
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"
	l.plug(device{})
	l.open(issuer + "/account")
	l.signUp(issuer, email, "Ada Lovelace")
	first := newestCode(t, issuer, email)
	l.touch(false)
	l.click("passkey-skip")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.at("account")

	// A thief of the mailbox has another browser.
	thief := newPerson(t, issuer, "")
	at := thief.open(issuer + "/recover")
	at = thief.submit(at, "recover-submit", map[string]string{"recover-email": email})
	at = thief.submit(at, "recover-finish", map[string]string{"recover-mailcode": l.codeAfter(issuer, email, first)})
	if at.name != "recover" || !strings.Contains(at.body, `data-test="recover-from"`) {
		t.Fatalf("no wait began: %s %s", at.name, at.body)
	}
	l.open(issuer + "/account")
	l.look("recovery-waits", "account")
	stop := regexp.MustCompile(regexp.QuoteMeta(issuer) + `/recover/stop#[^"<]+`)
	var link string
	for deadline := time.Now().Add(30 * time.Second); link == "" && time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		link = stop.FindString(thief.open(issuer + "/demo/mail").body)
	}
	l.open(thief.open(issuer + "/recover").url.String())
	l.look("recover-alone", "recover")
	l.open(link)
	l.look("recovery-stop", "recover")
	l.follow("recovery-stop")
	l.look("recovery-stopped", "recover")
	l.open(issuer + "/account")

	u := l.user(email)
	made, err := recovery.NewLink(t.Context(), l.demo.DB, issuer, recovery.Order{User: u, TTL: time.Hour, PIN: true},
		idp.NewEvent(idp.EventRecoveryLinkMade, u.ID, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	l.plug(device{synced: true})
	l.click("sign-out")
	l.at("logged-out")
	l.open(made.Link.Reveal())
	l.wait(`location.hash === ""`, "the token to leave the address bar")
	l.follow("recover-continue")
	l.look("recover-pin", "recover")
	l.fill("recover-pin", "00000000")
	l.follow("recover-continue")
	l.look("recover-pin-wrong", "recover")
	l.fill("recover-pin", made.PIN.Reveal())
	l.follow("recover-continue")
	l.at("passkey")
}
