package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// chrome is a tab of a headless Chromium with a virtual authenticator of its own.
type chrome struct {
	t             *testing.T
	ctx           context.Context
	authenticator webauthn.AuthenticatorID
}

// device is a passkey device as a person would know it.
type device struct {
	synced    bool // backed up by its provider
	transport webauthn.AuthenticatorTransport
}

// newChrome starts a browser, or skips the test loudly if there is none (a failure under make test).
func newChrome(t *testing.T, more ...chromedp.ExecAllocatorOption) *chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("STEPWARD_TEST_NO_SKIP") == "1" {
			t.Fatal("chromium is not on the PATH")
		}
		t.Skip("SKIPPED: chromium is not on the PATH; make test installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.Flag("hide-scrollbars", true),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	c := &chrome{t: t, ctx: ctx}
	c.call(func() error { return chromedp.Do(c.ctx, chromedp.EmulateViewport(1280, 900)) }) // the first call starts the browser, which lives as long as this context
	c.call(func() error { _, err := chromedp.Call(c.ctx, webauthn.Enable, webauthn.EnableParams{}); return err })
	t.Cleanup(func() { c.failureShot() })
	return c
}

// plug adds a device with a screen lock and makes it the only one.
func (c *chrome) plug(d device) {
	c.t.Helper()
	c.unplug()
	if d.transport == "" {
		d.transport = webauthn.AuthenticatorTransportInternal
	}
	c.call(func() error {
		result, err := chromedp.Call(c.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: d.transport,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			DefaultBackupEligibility: d.synced, DefaultBackupState: d.synced,
		}})
		c.authenticator = result.AuthenticatorID
		return err
	})
}

func (c *chrome) unplug() {
	c.t.Helper()
	if c.authenticator == "" {
		return
	}
	c.call(func() error {
		_, err := chromedp.Call(c.ctx, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: c.authenticator})
		return err
	})
	c.authenticator = ""
}

// touch says whether the person touches the device by themselves (true) or leaves every dialog open (false).
func (c *chrome) touch(willing bool) {
	c.t.Helper()
	c.call(func() error {
		_, err := chromedp.Call(c.ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: c.authenticator, Enabled: willing})
		return err
	})
}

// verifies says whether the fingerprint, face or screen lock is recognised from now on.
func (c *chrome) verifies(recognised bool) {
	c.t.Helper()
	c.call(func() error {
		_, err := chromedp.Call(c.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: c.authenticator, IsUserVerified: recognised})
		return err
	})
}

func (c *chrome) call(f func() error) {
	c.t.Helper()
	if err := f(); err != nil {
		c.t.Fatalf("chromium: %v", err)
	}
}

func (c *chrome) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	var err error
	for range 5 { // a document that is replaced in between takes its nodes along; nothing was done to them then
		ctx, cancel := context.WithTimeout(c.ctx, 60*time.Second) // an element that went away is waited for without end
		err = chromedp.Do(ctx, steps...)
		cancel()
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "node with given id") {
			break
		}
		_ = chromedp.Do(c.ctx, chromedp.Sleep(100*time.Millisecond))
	}
	c.t.Fatalf("chromium: %v\non %s", err, c.where())
}

func (c *chrome) open(url string) {
	c.t.Helper()
	c.do(chromedp.Navigate(url))
}

// hook is the CSS selector of a data-test hook.
func hook(name string) chromedp.CSS { return chromedp.CSS(fmt.Sprintf(`[data-test=%q]`, name)) }

func (c *chrome) click(name string) {
	c.t.Helper()
	c.wait(fmt.Sprintf(`(() => { const e = document.querySelector('[data-test="%s"]'); return !!e && !e.disabled && e.offsetParent !== null })()`, name), "a button "+name)
	c.do(chromedp.Click(hook(name)))
}

// signIn goes on from the sign-in page. Autofill, which was waiting, may be faster than the button; then the button is gone.
func (c *chrome) signIn() {
	c.t.Helper()
	c.wait(`(() => { const e = document.querySelector('[data-test="passkey-signin"]'); return e ? !e.disabled : document.body?.dataset.page !== "login" })()`, "the button, or to be past it")
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	_ = chromedp.Do(ctx, chromedp.Click(hook("passkey-signin"), chromedp.AtLeast(0)))
	c.wait(`!!document.body && document.body.dataset.page !== "login"`, "the sign-in page to go on")
}

// fill types into a field. chromedp.SendKeys reads the attributes of a node while another goroutine may write them.
func (c *chrome) fill(name, text string) {
	c.t.Helper()
	field := fmt.Sprintf(`document.querySelector('[data-test="%s"]')`, name)
	c.wait(fmt.Sprintf(`(() => { const e = %s; return !!e && e.offsetParent !== null })()`, field), "a field "+name)
	c.eval(fmt.Sprintf(`(() => { const e = %s; e.value = ""; e.focus(); return "" })()`, field))
	c.call(func() error {
		_, err := chromedp.Call(c.ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// follow clicks what leads to another document, and waits until that one is here: what is read next is not the old one's.
func (c *chrome) follow(name string) {
	c.t.Helper()
	c.eval(`document.documentElement.dataset.left = "yes"`)
	c.click(name)
	c.wait(`document.readyState === "complete" && !document.documentElement.dataset.left`, "what follows "+name)
}

// text reads an element, in one step: between two the document may be replaced.
func (c *chrome) text(name string) string {
	c.t.Helper()
	element := fmt.Sprintf(`document.querySelector('[data-test="%s"]')`, name)
	var text string
	c.wait("!!"+element, "an element "+name)
	for range 20 {
		found, err := chromedp.Run(c.ctx, chromedp.Evaluate[string](element+`?.textContent ?? "\u0000"`))
		if text = found; err == nil && text != "\x00" {
			break
		}
		c.wait("!!"+element, "an element "+name)
	}
	return strings.TrimSpace(text)
}

// at waits until the browser shows one of these pages (data-page), and says which.
func (c *chrome) at(pages ...string) string {
	c.t.Helper()
	var list []string
	for _, p := range pages {
		list = append(list, fmt.Sprintf("%q", p))
	}
	c.wait(fmt.Sprintf(`document.readyState === "complete" && [%s].includes(document.body?.dataset.page)`, strings.Join(list, ",")), "page "+strings.Join(pages, " or "))
	return c.page()
}

func (c *chrome) page() string {
	c.t.Helper()
	return c.eval(`document.body?.dataset.page || ""`)
}

func (c *chrome) eval(script string) string {
	c.t.Helper()
	var err error
	for range 20 { // a document that is being replaced has nothing to run in
		var v string
		if v, err = chromedp.Run(c.ctx, chromedp.Evaluate[string](script)); err == nil {
			return v
		}
		_ = chromedp.Do(c.ctx, chromedp.Sleep(50*time.Millisecond))
	}
	c.t.Fatalf("chromium: %s: %v", script, err)
	return ""
}

// wait polls until a condition holds; a navigation in between only means that it does not hold yet.
func (c *chrome) wait(condition, what string) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ok, err := chromedp.Run(c.ctx, chromedp.Evaluate[bool](condition))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("chromium: waited for %s; it is on %s (%v)", what, c.where(), err)
		}
		_ = chromedp.Do(c.ctx, chromedp.Sleep(30*time.Millisecond))
	}
}

func (c *chrome) where() string {
	v, _ := chromedp.Run(c.ctx, chromedp.Evaluate[string](`location.href + " " + (document.body?.dataset.page || "") + ": " + (document.body?.innerText || "").slice(0, 600)`))
	return v
}

// shot writes pictures of the page at 1280 and 360 pixels, light and dark, when STEPWARD_TEST_SHOTS names a folder.
func (c *chrome) shot(name string) {
	c.t.Helper()
	dir := os.Getenv("STEPWARD_TEST_SHOTS")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		c.call(func() error {
			_, err := chromedp.Call(c.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			return err
		})
		for _, width := range []int64{1280, 360} {
			c.do(chromedp.EmulateViewport(width, 900))
			c.wait(`document.readyState === "complete" && document.body.clientWidth > 0 && document.getAnimations().length === 0`, "a page that has settled")
			take := chromedp.FullScreenshot(100)
			if c.eval(`getComputedStyle(document.documentElement).direction`) == "rtl" {
				take = chromedp.CaptureScreenshot() // Chromium shifts what it takes beyond the viewport
			}
			picture, err := chromedp.Run(c.ctx, take)
			if err != nil {
				c.t.Fatalf("screenshot: %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o644); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	c.do(chromedp.EmulateViewport(1280, 900))
}

func (c *chrome) failureShot() {
	if !c.t.Failed() {
		return
	}
	if picture, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(90)); err == nil {
		path := filepath.Join(c.t.ArtifactDir(), "failure.png")
		_ = os.WriteFile(path, picture, 0o644)
	}
}
