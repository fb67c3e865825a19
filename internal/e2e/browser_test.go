package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
)

// startDemo runs the demo on free ports until the test ends. settings are names and values, in turn.
func startDemo(t *testing.T, settings ...string) *server.Demo {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listen := freeAddress(t)
	flags := map[string]string{
		"data-dir": t.TempDir(), "listen": listen, "issuer": "http://" + listen, "log-level": "warn",
	}
	for i := 0; i < len(settings); i += 2 {
		flags[settings[i]] = settings[i+1]
	}
	cfg, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Policy.DetailTypes["transfer"] = idp.DetailType{
		Name: "transfer", Description: "Pay {amount} to {creditor}", Valid: func(any) error { return nil },
	}
	d, err := server.NewDemo(ctx, cfg, "localhost:0", slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the demo did not stop cleanly: %v", err)
		}
		d.Close()
	})
	return d
}

// freeAddress returns a port of localhost that is not in use. It is below those that the system gives to connections,
// one of which could otherwise take it before we listen.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("localhost:%d", 20000+rand.IntN(12000))
		if _, taken := given.LoadOrStore(address, true); taken {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		return address
	}
	t.Fatal("no free port")
	return ""
}

// given are the addresses that freeAddress gave away in this process.
var given sync.Map

var mailCode = regexp.MustCompile(`data-test="mail-code"[^>]*>\s*([0-9]+)\s*<`)

// newestCode reads the newest code for an address at /demo/mail; the mail is delivered by a job, so it may take a moment.
func newestCode(t testing.TB, issuer, email string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		resp, err := http.Get(issuer + "/demo/mail")
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range strings.Split(string(page), "<article") {
			if found := mailCode.FindStringSubmatch(letter); found != nil && strings.Contains(letter, ">"+email+"<") {
				return found[1]
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatal("no code arrived at /demo/mail")
	return ""
}

// join signs a new user up with one passkey, leaves a second one for later, and signs them in to their account.
func (c *chrome) join(issuer, email, name string) {
	c.t.Helper()
	c.open(issuer + "/account")
	c.signUp(issuer, email, name)
	c.touch(false)
	c.click("passkey-skip")
	c.at("login")
	c.touch(true)
	c.signIn()
	c.at("account")
}

// signUp makes an account from the sign-in page, up to the page after the first passkey.
func (c *chrome) signUp(issuer, email, name string) {
	c.t.Helper()
	c.at("login")
	c.click("signup-link")
	c.at("signup")
	c.fill("signup-name", name)
	c.fill("signup-email", email)
	c.click("signup-submit")
	c.at("verify")
	c.fill("verify-code", newestCode(c.t, issuer, email))
	c.click("verify-submit")
	c.at("passkey")
	c.click("passkey-create")
	c.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the first passkey")
}

// signInAs brings a new person from the application's home page to the signed-in application.
func (c *chrome) signInAs(d *server.Demo, email string) {
	c.t.Helper()
	c.open(d.AppURL)
	c.click("app-signin")
	c.signUp(d.Config.Issuer.String(), email, "Ada Lovelace")
	c.click("passkey-skip")
	c.finishSignIn(d)
}

// finishSignIn signs in, consents if asked, and arrives at the application.
func (c *chrome) finishSignIn(d *server.Demo) {
	c.t.Helper()
	for {
		c.wait(`location.origin === "`+d.AppURL+`" || document.body?.dataset.page === "login" || document.body?.dataset.page === "consent"`, "sign-in to go on")
		switch {
		case strings.HasPrefix(c.eval(`location.href`), d.AppURL):
			c.wait(`!!document.querySelector('[data-test="app-signout"]')`, "the application, signed in")
			return
		case c.page() == "consent":
			c.click("consent-allow")
			c.wait(`document.body?.dataset.page !== "consent"`, "consent to be taken")
		default:
			c.signIn()
		}
	}
}

type claims struct {
	Subject  string   `json:"sub"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
	Scope    string   `json:"scope"`
	Issuer   string   `json:"iss"`
	SID      string   `json:"sid"`
	Email    string   `json:"email"`
}

func (c *chrome) claims(name string) (out claims) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.text(name)), &out); err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return out
}

func TestAPersonSignsUpSignsInAndPays(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	issuer := d.Config.Issuer.String()
	c.plug(device{synced: true})

	c.open(d.AppURL)
	c.shot("app-home")
	c.click("app-signin")
	c.at("login")
	c.shot("login")
	c.click("signup-link")
	c.at("signup")
	c.shot("signup")
	c.fill("signup-name", "Ada Lovelace")
	c.fill("signup-email", "ada@example.com")
	c.click("signup-submit")
	c.at("verify")
	c.shot("verify")
	c.fill("verify-code", newestCode(t, issuer, "ada@example.com"))
	c.click("verify-submit")
	c.at("passkey")
	c.shot("passkey")
	c.click("passkey-create")
	c.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the first passkey")
	c.shot("passkey-added")
	c.touch(false) // so that autofill waits and consent can be looked at
	c.click("passkey-skip")
	c.at("login")
	c.shot("login-after-signup")
	c.touch(true)
	c.signIn()
	c.at("consent")
	c.shot("consent")
	c.click("consent-allow")
	c.wait(`!!document.querySelector('[data-test="app-me"]')`, "the application, signed in")
	c.shot("app-signed-in")

	c.click("app-me")
	first := c.claims("app-id-token")
	c.shot("app-me")
	if first.ACR != "phr" || strings.Join(first.AMR, " ") != "pop swk user mfa" || first.Issuer != issuer || first.Subject == "" {
		t.Errorf("claims of a synced passkey: %+v", first)
	}
	if age := time.Now().Unix() - first.AuthTime; age < 0 || age > 60 {
		t.Errorf("auth_time is %d s old", age)
	}

	// The first payout needs one step-up, and comes straight back to the paid result.
	c.click("app-payout")
	c.at("stepup")
	c.shot("stepup")
	c.click("passkey-stepup")
	c.wait(`!!document.querySelector('[data-test="app-result"]') || document.body?.dataset.page === "consent"`, "the payout")
	if c.page() == "consent" {
		c.shot("consent-payouts")
		c.click("consent-allow")
	}
	c.text("app-result")
	c.shot("app-paid")
	second := c.claims("app-access-token")
	if second.Subject != first.Subject || second.AuthTime < first.AuthTime || !strings.Contains(second.Scope, "payouts") || second.ACR != "phr" {
		t.Errorf("claims after the step-up: %+v, before: %+v", second, first)
	}
	// A second one within the window needs none.
	c.follow("app-payout")
	c.text("app-result")
	if page := c.page(); page == "stepup" {
		t.Error("the second payout asked again")
	}
	if third := c.claims("app-access-token"); third.AuthTime != second.AuthTime {
		t.Errorf("auth_time moved without a ceremony: %d to %d", second.AuthTime, third.AuthTime)
	}

	c.click("app-signout")
	c.wait(`document.body?.dataset.page === "logout-confirm" || !!document.querySelector('[data-test="app-signin"]')`, "sign-out")
	if c.page() == "logout-confirm" {
		c.shot("logout-confirm")
		c.click("logout-confirm")
	}
	c.click("app-signin")
	c.at("login")
}

func TestAutofillSignsInByItself(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "auto@example.com")
	c.signOut(d)
	c.click("app-signin") // nothing else is clicked: the pending conditional request answers
	c.wait(`!!document.querySelector('[data-test="app-signout"]')`, "autofill to sign in")
}

func TestTheButtonWorksWhenAutofillIsIgnored(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{})
	c.signInAs(d, "button@example.com")
	c.signOut(d)
	c.touch(false)
	c.click("app-signin")
	c.at("login")
	c.touch(true)
	c.signIn()
	c.wait(`!!document.querySelector('[data-test="app-signout"]')`, "the application, signed in")
	c.click("app-me")
	if got := c.claims("app-id-token"); strings.Join(got.AMR, " ") != "pop user mfa" {
		t.Errorf("amr of a device-bound passkey without attestation: %v", got.AMR)
	}
}

func TestATypedNameSignsIn(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "typed@example.com")
	c.signOut(d)
	c.touch(false)
	c.click("app-signin")
	c.at("login")
	c.fill("login-email", "typed@example.com")
	c.click("login-submit")
	c.touch(true) // not before: autofill waits too, and would be faster
	c.wait(`!!document.querySelector('[data-test="app-signout"]')`, "the application, signed in")
}

func TestACancelledCeremonySaysWhatToDo(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "cancel@example.com")
	c.click("app-payout")
	c.at("stepup")
	c.touch(false)
	c.click("passkey-stepup")
	c.do(chromedp.WaitVisible(chromedp.CSS("[data-passkey-cancel]")))
	c.shot("stepup-waiting")
	c.do(chromedp.Click(chromedp.CSS("[data-passkey-cancel]")))
	c.wait(`document.querySelector('[data-passkey-status]')?.textContent.includes("Nothing has changed")`, "a sentence about what happened")
	c.shot("stepup-cancelled")
	c.touch(true)
	c.click("passkey-stepup") // and it works the second time
	c.text("app-result")
}

func TestARefusedVerificationDoesNotSignIn(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "refused@example.com")
	c.click("app-payout")
	c.at("stepup")
	c.verifies(false)
	c.click("passkey-stepup")
	c.wait(`(() => { const e = document.querySelector('[data-test="error"]'); return !!e && !e.hidden && e.textContent.trim() !== "" })()`, "a sentence about what happened")
	if c.page() != "stepup" {
		t.Errorf("went on to %s", c.where())
	}
}

func TestASecondPasskeyIsAddedAndTheFirstRemoved(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "second@example.com")
	c.open(d.Config.Issuer.String() + "/account/passkeys")
	c.at("account")
	if count := c.eval(`String(document.querySelectorAll('[data-test="passkey-remove"]:not([disabled])').length)`); count != "0" {
		t.Errorf("the last passkey can be removed: %s buttons", count)
	}
	c.shot("account-passkeys-one")
	c.click("passkey-add")
	if c.at("stepup", "account", "passkey") == "stepup" {
		c.click("passkey-stepup")
		c.at("account", "passkey")
	}
	c.plugSecond(device{transport: webauthn.AuthenticatorTransportUsb})
	c.wait(`!!document.querySelector('[data-test="passkey-create"], [data-test="passkey-add"]')`, "a button to add with")
	if c.eval(`document.querySelector('[data-test="passkey-create"]') ? "create" : "add"`) == "create" {
		c.click("passkey-create")
	} else {
		c.click("passkey-add")
	}
	c.wait(`document.querySelectorAll('[data-test="passkey-remove"]').length === 2`, "two passkeys in the list")
	c.shot("account-passkeys-two")
	c.click("passkey-remove")
	if c.at("account", "stepup") == "stepup" {
		c.click("passkey-stepup")
		c.at("account")
	}
	c.click("confirm")
	c.wait(`document.body?.dataset.page === "stepup" || document.querySelectorAll('[data-test="passkey-remove"]').length <= 1`, "the passkey to go")
	c.shot("account-passkeys-removed")
}

func TestTwoTabsFinishOnTheirOwn(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	c.plug(device{synced: true})
	c.signInAs(d, "tabs@example.com")
	c.signOut(d)
	c.touch(false)
	c.click("app-signin")
	c.at("login")
	first := c.eval(`location.href`)
	c.open(d.Config.Issuer.String() + "/account") // a second interaction in the same browser
	c.at("login")
	c.touch(true)
	c.signIn()
	c.at("account")
	c.open(first) // the first tab finds itself signed in and goes on to its application
	c.wait(`location.origin === "`+d.AppURL+`"`, "the first tab's application")
}

// signOut leaves the application and the provider, back at the application's home page.
func (c *chrome) signOut(d *server.Demo) {
	c.t.Helper()
	c.click("app-signout")
	c.wait(`document.body?.dataset.page === "logout-confirm" || !!document.querySelector('[data-test="app-signin"]')`, "sign-out")
	if c.page() == "logout-confirm" {
		c.click("logout-confirm")
	}
	c.wait(`!!document.querySelector('[data-test="app-signin"]')`, "the application's home page")
}

// plugSecond adds a second device beside the first.
func (c *chrome) plugSecond(d device) {
	c.t.Helper()
	first := c.authenticator
	c.authenticator = ""
	c.plug(d)
	c.call(func() error {
		// The first stays plugged in but untouched, so that it is the second that answers.
		_, err := chromedp.Call(c.ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: first, Enabled: false})
		return err
	})
}
