package e2e

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// tabUntil presses Tab until the focused element e meets the condition.
func (l *looker) tabUntil(condition, what string) {
	l.t.Helper()
	var passed []string
	for range 60 {
		if l.eval(`((e) => String(!!e && (`+condition+`)))(document.activeElement)`) == "true" {
			return
		}
		if at := l.eval(`document.activeElement?.dataset?.test || ""`); at != "" {
			passed = append(passed, at)
		}
		l.press(kb.Tab)
	}
	l.t.Fatalf("%s: Tab does not lead to %s, but through %q", l.page(), what, passed)
}

// tabTo presses Tab until the element with this hook has the focus.
func (l *looker) tabTo(name string) {
	l.t.Helper()
	l.wait(`!!document.querySelector('[data-test="`+name+`"]')`, name)
	l.tabUntil(`e.dataset.test === "`+name+`"`, name)
}

// use moves the focus to an element and presses a key there.
func (l *looker) use(name, key string) {
	l.t.Helper()
	l.tabTo(name)
	l.press(key)
}

// write types into a field, after moving the focus there if it is named.
func (l *looker) write(name, text string) {
	l.t.Helper()
	if name != "" {
		l.tabTo(name)
	}
	l.call(func() error {
		_, err := chromedp.Call(l.ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// Sign-up, sign-in, step-up and the account, with Tab, Enter and Space only.
func TestWholeJourneysByKeyboard(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{})
	l.touch(false)
	l.open(issuer + "/account")
	l.at("login")
	l.use("signup-link", kb.Enter)
	l.at("signup")
	l.write("signup-name", "Ada Lovelace")
	l.write("signup-email", "ada@example.com")
	l.press(kb.Enter) // in the field, as everybody does
	l.at("verify")
	l.write("verify-code", newestCode(t, issuer, "ada@example.com"))
	l.use("verify-submit", " ")
	l.at("passkey")
	l.touch(true)
	l.use("passkey-create", kb.Enter)
	l.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the first passkey")
	l.touch(false)
	l.use("passkey-skip", " ")
	l.at("login")
	l.touch(true) // autofill may be faster than the key
	_, _ = chromedp.Run(l.ctx, chromedp.KeyEvent(kb.Enter))
	l.at("account")

	l.open(issuer + "/account/passkeys")
	l.at("account")
	l.tabUntil(`e.matches("details.edit summary")`, "the summary that opens the name")
	l.press(kb.Enter)
	l.tabUntil(`e.name === "name"`, "the name of the passkey")
	l.eval(`document.activeElement.select(), ""`) // Ctrl+A, which differs between systems
	l.write("", "Ada’s key")
	l.press(kb.Enter)
	l.wait(`location.search === "?done=renamed" && document.body.innerText.includes("Ada’s key")`, "the new name")
	l.use("passkey-add", kb.Enter)
	l.at("stepup")
	l.use("passkey-stepup", " ")
	l.wait(`!!document.querySelector('[data-test="passkey-create"]')`, "the page that adds a passkey, after the step-up")
	l.use("sign-out", kb.Enter)
	l.at("logged-out")
}

// Nothing moves for people who asked for that, and nothing vanishes in the colours they chose.
func TestPagesKeepToReducedMotionAndForcedColours(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada@example.com")
	feature := func(name, value string) {
		t.Helper()
		l.call(func() error {
			_, err := chromedp.Call(l.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
			return err
		})
	}
	for _, address := range []string{"/account", "/account/passkeys", "/account/sessions", "/signup", "/recover", "/nowhere"} {
		l.open(issuer + address)
		feature("prefers-reduced-motion", "reduce")
		if moving := l.eval(`[...document.querySelectorAll("*")].flatMap((e) => [null, "::before", "::after"].map((p) => [e, getComputedStyle(e, p)]))
			.filter(([, s]) => parseFloat(s.transitionDuration) > 0.01 || s.animationName !== "none" && parseFloat(s.animationDuration) > 0.01 || s.scrollBehavior === "smooth")
			.slice(0, 3).map(([e]) => e.outerHTML.slice(0, 90)).join("\n")`); moving != "" {
			t.Errorf("%s moves:\n%s", address, moving)
		}
		feature("forced-colors", "active")
		l.press(kb.Tab)
		if hidden := l.eval(`(() => { const out = [];
			for (const e of document.querySelectorAll(".primary, .secondary, .danger:not(.link), .tag, .notice, .error, input:not([type=hidden]), select, .card")) {
				if (!e.checkVisibility() || !e.getClientRects().length) continue;
				const s = getComputedStyle(e);
				if (parseFloat(s.borderTopWidth) < 1 || s.borderTopStyle === "none") out.push("no border: " + e.outerHTML.slice(0, 90));
			}
			const f = document.activeElement, s = getComputedStyle(f);
			if (f !== document.body && (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2)) out.push("no focus ring: " + f.outerHTML.slice(0, 90));
			for (const e of document.querySelectorAll("svg.icon")) if (getComputedStyle(e).forcedColorAdjust === "none") out.push("an icon in its own colour");
			return out.slice(0, 5).join("\n") })()`); hidden != "" {
			t.Errorf("%s in forced colours:\n%s", address, hidden)
		}
		feature("forced-colors", "none")
	}
}
