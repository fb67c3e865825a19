package e2e

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/server"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/words"
)

// A looker looks at pages as the most exacting visitor would. Pictures are written when STEPWARD_TEST_SHOTS names a folder;
// with STEPWARD_TEST_AXE=path/to/axe.min.js (npm package axe-core) every page is put to axe as well, in light and dark,
// and with STEPWARD_TEST_LANGUAGES="en de ar" in each of these languages (make accessible).
type looker struct {
	*chrome
	demo     *server.Demo
	axe      string
	language string // of the browser
	// scriptless: pages run no scripts at the moment.
	scriptless bool
}

// eachLanguage runs a test in English, or in the languages that STEPWARD_TEST_LANGUAGES names.
func eachLanguage(t *testing.T, test func(t *testing.T, l *looker)) {
	t.Parallel()
	for _, tag := range strings.Fields(cmp.Or(os.Getenv("STEPWARD_TEST_LANGUAGES"), "en")) {
		t.Run(tag, func(t *testing.T) {
			l := newLooker(t)
			l.language = tag
			l.call(func() error {
				headers := network.Headers{"Accept-Language": tag}
				_, err := chromedp.Call(l.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
				return err
			})
			test(t, l)
		})
	}
}

func newLooker(t *testing.T, settings ...string) *looker {
	t.Helper()
	l := &looker{demo: startDemo(t, settings...), chrome: newChrome(t), language: "en"}
	if path := os.Getenv("STEPWARD_TEST_AXE"); path != "" {
		script, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l.axe = string(script)
	} else {
		t.Log("STEPWARD_TEST_AXE is not set: the pages are not put to axe")
	}
	l.call(func() error {
		_, err := chromedp.Call(l.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: listening})
		return err
	})
	return l
}

// listening collects in window.complaints what goes wrong on a page, from its first byte.
const listening = `window.complaints = [];
addEventListener("error", (e) => complaints.push("error: " + (e.message || e.target?.src || e.target?.href)), true);
addEventListener("unhandledrejection", (e) => complaints.push("unhandled: " + e.reason));
addEventListener("securitypolicyviolation", (e) => complaints.push("policy: " + e.effectiveDirective + " " + e.blockedURI));
for (const level of ["error", "warn"]) console[level] = (...words) => complaints.push("console: " + words.join(" "));`

// faults is what must hold for every page at every width.
const faults = `(() => {
	const out = [...(window.complaints || [])], shown = (e) => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0;
	const say = (e) => e.outerHTML.slice(0, 160);
	if (document.querySelectorAll("h1").length !== 1) out.push("h1: " + document.querySelectorAll("h1").length);
	if (!/^[a-z]{2}/.test(document.documentElement.lang)) out.push("lang: " + document.documentElement.lang);
	if (!/^\S.* – (Stepward|Acme Bank)$/.test(document.title)) out.push("title: " + document.title);
	if (document.querySelectorAll("main").length !== 1) out.push("main");
	const straight = document.body.innerText.match(/.{0,20}\p{L}'\p{L}.{0,20}/u);
	if (straight && !document.body.dataset.page.startsWith("app-")) out.push("a straight apostrophe: " + straight[0]);
	const wide = document.documentElement.scrollWidth - innerWidth;
	if (wide > 0) out.push("scrolls sideways by " + wide + " px: " + [...document.querySelectorAll("body *")].filter((e) => shown(e) &&
		(e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1) && !e.closest(".skip")).slice(0, 3).map(say));
	for (const e of document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden])")) {
		if (!shown(e) || e.closest(".skip")) continue;
		const style = getComputedStyle(e), box = (e.type === "checkbox" ? e.closest("label") : e).getBoundingClientRect(); // its label is the target
		if (style.display !== "inline" && (box.height < 43.5 || box.width < 43.5)) out.push("target of " + box.width + "×" + box.height + ": " + say(e));
		if (e.matches("input, select, textarea") && !e.labels?.length && !e.ariaLabel) out.push("no label: " + say(e));
		if (!(e.innerText ?? e.textContent).trim() && !e.ariaLabel && e.matches("a, button, summary")) out.push("no name: " + say(e));
		const before = document.activeElement;
		e.focus({focusVisible: true, preventScroll: true});
		if (document.activeElement === e && e.matches(":focus-visible") && (getComputedStyle(e).outlineStyle === "none" || parseFloat(getComputedStyle(e).outlineWidth) < 2)) out.push("focus is not to be seen: " + say(e));
		before?.focus?.({preventScroll: true});
	}
	const rail = [...document.querySelectorAll(".rail a")];
	if (innerWidth < 720 && new Set(rail.map((e) => e.getBoundingClientRect().top)).size > 1) out.push("the navigation takes more than one line");
	for (const e of document.querySelectorAll(".chip .quiet")) {
		if (!shown(e) || e.scrollHeight > e.clientHeight + 1) out.push("an address is cut, so that two accounts look alike: " + say(e));
	}
	for (const e of document.querySelectorAll("h1, h2, p, strong, button, a, li, label, dd, dt, summary")) {
		if (shown(e) && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline" && getComputedStyle(e).overflow === "visible" && e.clientWidth > 0) out.push("sticks out: " + say(e));
	}
	return out;
})()`

// german makes every text as long as a translation may get.
const german = `(() => { const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), nodes = [];
	while (walk.nextNode()) if (/[a-z]{3}/i.test(walk.currentNode.data) && !walk.currentNode.parentElement.closest("script, style, noscript, pre")) nodes.push(walk.currentNode);
	window.english = nodes.map((n) => [n, n.data]);
	for (const n of nodes) n.data = n.data.trimEnd() + (n.data.trim().includes(" ") ? " einschließlich" : "") + " Rechtsschutzversicherungsgesellschaften ";
	return nodes.length; })()`

var vocabulary = []string{
	"login", "denied", "signup", "verify", "passkey", "stepup", "consent", "approve", "device", "logout-confirm", "logged-out", "account", "add", "admin", "recover", "codes",
	"error", "continue", "mail", "app-home", "app-me", "app-payout", "app-problem",
}

// look holds the page to all of it; want is its data-page.
func (l *looker) look(name, want string) {
	l.t.Helper()
	l.at(want)
	l.wait(`document.readyState === "complete"`, "the page to be complete")
	if l.language != "en" {
		name += "-" + l.language
		if got := l.eval(`document.documentElement.lang`); got != l.language && !strings.HasPrefix(want, "app-") {
			l.t.Errorf("%s speaks %s", name, got)
		}
	}
	l.shot(name)
	if !slices.Contains(vocabulary, want) {
		l.t.Errorf("%s: data-page %q is none of the design's", name, want)
	}
	if want == "error" {
		l.saysWhatHappened(name)
	}
	l.put(name)
	if l.axe == "" || l.language != "en" { // make test has measured the English pages
		l.fits(name)
	}
	l.do(chromedp.EmulateViewport(1280, 900))
}

// saysWhatHappened checks that an error page has a title of its own, and one way on whose label is short and leads somewhere.
func (l *looker) saysWhatHappened(name string) {
	l.t.Helper()
	title, ways := l.eval(`document.querySelector("h1").innerText`), l.eval(`[...document.querySelectorAll("main a, main form")].map((e) => e.getAttribute(e.href ? "href" : "action") + " " + e.innerText.trim()).join("\n")`)
	if title == "That didn’t work" {
		l.t.Errorf("%s: the title says nothing", name)
	}
	address, label, _ := strings.Cut(ways, " ")
	if strings.Contains(ways, "\n") || address == "" || address == "#" || label == "" || len(label) > 40 || strings.ContainsAny(label, ".!?") {
		l.t.Errorf("%s, %q: not one way on with a short label: %q", name, title, ways)
	}
}

// speak switches the language of the page with its own switch.
func (l *looker) speak(tag string) {
	l.t.Helper()
	l.run(`document.documentElement.dataset.left = "yes"; document.querySelector(".languages [name=to][value=` + tag + `]").click(); 0`)
	l.wait(`document.readyState === "complete" && document.documentElement.lang === "`+tag+`" && !document.documentElement.dataset.left`, "the page in "+tag)
}

// oneLine lists what an account page of 360 px breaks, cuts or hides: an address in two parts, or a section.
const oneLine = `(() => {
	const out = [], lines = (e) => new Set([...e.getClientRects()].map((r) => Math.round(r.top))).size;
	const shown = [...document.querySelectorAll(".chip .quiet bdi")].filter((e) => e.checkVisibility());
	if (!shown.length) out.push("no address");
	for (const e of shown) {
		const box = e.parentElement, rect = e.getBoundingClientRect();
		if (lines(e) > 1 || box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1 || rect.left < 0 || rect.right > innerWidth) out.push("address in " + lines(e) + " lines: " + e.innerText);
	}
	const rail = [...document.querySelectorAll(".rail a")];
	for (const e of rail) {
		const rect = e.getBoundingClientRect(), range = new Range();
		range.selectNodeContents(e);
		if (rect.top !== rail[0].getBoundingClientRect().top || lines(range) > e.innerText.trim().split(/\s+/).length || rect.left < 0 || rect.right > innerWidth + 1) out.push("section out of line: " + e.innerText + " at " + rect.left + "–" + rect.right);
	}
	return out.join("; ");
})()`

// Two addresses that differ in their last letters must not look alike, and all sections are there without scrolling.
func TestAPhoneTellsAccountsApart(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada.lovelace@example.com")
	l.do(chromedp.EmulateViewport(360, 800))
	for name, address := range map[string]string{
		"account": issuer + "/account", "stepup": l.request("prompt", "login"),
		"consent": l.request("prompt", "consent"),
	} {
		l.open(address)
		for _, language := range words.Languages() {
			l.speak(language.Tag)
			if found := l.eval(oneLine); found != "" {
				t.Errorf("%s in %s: %s", name, language.Tag, found)
			}
		}
	}
}

// covered lists the fields of the profile that the bar with its button covers, when they have the focus, and those whose
// hint or fault it covers.
const covered = `(() => {
	const out = [], bar = document.querySelector(".reach");
	document.querySelectorAll("details.more").forEach((e) => e.open = true);
	if (getComputedStyle(bar).position !== "sticky" || bar.getBoundingClientRect().bottom > innerHeight + 1) out.push("Save is out of reach");
	for (const e of document.querySelectorAll("main form.stack :is(input:not([type=hidden]), select, summary)")) {
		const about = e.closest("div:has(> :is(.fault, .hint))")?.querySelector(".fault, .hint");
		for (const room of [-200, 1, 29, 48]) { // between the field and the bar, before the field has the focus
			document.activeElement.blur();
			scrollTo(0, 0);
			scrollBy(0, e.getBoundingClientRect().bottom + room - bar.getBoundingClientRect().top);
			e.focus({focusVisible: true});
			const end = Math.max(e.getBoundingClientRect().bottom, about?.getBoundingClientRect().bottom ?? 0);
			const top = bar.getBoundingClientRect().top;
			if (document.activeElement !== e) out.push("no focus: " + e.name);
			if (end > top + 1) out.push((e.name || e.innerText) + (about?.matches(".fault") ? " and its fault" : "") + " by " + Math.round(end - top) + " px");
		}
	}
	return out.join("; ");
})()`

func TestSaveCoversNoFieldAndNoFault(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada@example.com")
	l.open(issuer + "/account")
	l.run(`document.querySelector("[name=phone_number]").value = "soon"; document.querySelector("[name=birthdate_day]").value = "31"; 0`)
	l.click("profile-save")
	l.wait(`document.readyState === "complete" && document.querySelectorAll(".fault").length === 2`, "a word about the number and one about the day")
	for _, width := range []int64{360, 1280} {
		for _, height := range []int64{560, 640, 900} {
			l.do(chromedp.EmulateViewport(width, height))
			if found := l.eval(covered); found != "" {
				t.Errorf("at %d×%d Save covers %s", width, height, found)
			}
		}
	}
}

// fits checks the page as it is, from right to left, and with long words.
func (l *looker) fits(name string) {
	l.t.Helper()
	said := map[string]bool{}
	l.press(kb.Tab) // keyboard users see the focus
	check := func(how string, widths ...int64) {
		l.t.Helper()
		for _, width := range widths {
			l.do(chromedp.EmulateViewport(width, 900))
			found, err := chromedp.Run(l.ctx, chromedp.Evaluate[[]string](faults))
			if err != nil {
				l.t.Fatalf("%s: %v", name, err)
			}
			for _, fault := range found {
				if said[fault] {
					continue
				}
				said[fault] = true
				l.t.Errorf("%s%s at %d px: %s", name, how, width, fault)
			}
		}
	}
	check("", 1280, 360, 320)
	l.run(`document.documentElement.style.fontSize = "200%"; 0`)
	check(", with text twice as large", 1280) // WCAG 1.4.4
	l.run(`document.documentElement.style.fontSize = ""; 0`)
	if l.language != "en" { // what follows stands in for other languages
		return
	}
	l.run(`document.documentElement.dir = "rtl"; 0`)
	check(", right to left", 1280, 320)
	l.run(`document.documentElement.dir = "ltr"; 0`)
	l.run(german)
	check(", in German", 1280, 320)
	l.run(`for (const [node, text] of english) node.data = text; 0`)
}

func (l *looker) run(script string) {
	l.t.Helper()
	if _, err := chromedp.Run(l.ctx, chromedp.Evaluate[chromedp.Void](script)); err != nil {
		l.t.Fatalf("%.200s: %v", script, err)
	}
}

// put puts the page to axe, as it came from the server.
func (l *looker) put(name string) {
	l.t.Helper()
	if l.axe == "" || l.scriptless {
		return
	}
	l.run(l.axe + "; 0")
	for _, scheme := range []string{"light", "dark"} {
		l.scheme(scheme)
		found, err := chromedp.Run(l.ctx, chromedp.Evaluate[string](`axe.run({resultTypes: ["violations"]}).then((r) => r.violations.flatMap((v) => v.nodes.map((n) =>
			[v.impact, v.id, n.target.join(" "), n.any.concat(n.all, n.none).map((c) => c.message).join("; ")].join(" | "))).join("\n"))`, chromedp.EvalAwaitPromise))
		if err != nil {
			l.t.Fatalf("%s: axe: %v", name, err)
		}
		for line := range strings.Lines(found) {
			l.t.Errorf("%s, %s: axe: %s", name, scheme, strings.TrimSpace(line))
		}
	}
	l.scheme("light")
}

func (l *looker) scheme(name string) {
	l.t.Helper()
	l.call(func() error {
		_, err := chromedp.Call(l.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}, // no colour is caught half way
		}})
		return err
	})
}

// request is the address of an authorization request of the sample application.
func (l *looker) request(more ...string) string {
	q := url.Values{
		"client_id": {"acme-bank"}, "response_type": {"code"}, "redirect_uri": {l.demo.AppURL + "/callback"}, "scope": {"openid profile"}, "state": {"xyzzy"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return l.demo.Config.Issuer.String() + "/oauth2/authorize?" + q.Encode()
}

// press types a key, as a person without a mouse does.
func (l *looker) press(key string) {
	l.t.Helper()
	l.do(chromedp.KeyEvent(key))
}

// tabs lists the hooks that Tab leads through, from the top of the page.
func (l *looker) tabs(n int) (hooks []string) {
	l.t.Helper()
	l.run(`document.activeElement?.blur(); getSelection().removeAllRanges(); 0`)
	l.do(chromedp.Evaluate[chromedp.Void](`document.body.tabIndex = -1; document.body.focus(); 0`))
	for range n {
		l.press(kb.Tab)
		if hook := l.eval(`document.activeElement?.dataset?.test || ""`); hook != "" {
			hooks = append(hooks, hook)
		}
	}
	return hooks
}

// user is the account of an address.
func (l *looker) user(email string) idp.User {
	l.t.Helper()
	u, err := l.demo.DB.UserByEmail(l.t.Context(), email)
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}

// scripts says whether pages may run any from now on.
func (l *looker) scripts(on bool) {
	l.t.Helper()
	l.scriptless = !on
	l.call(func() error {
		_, err := chromedp.Call(l.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	})
}

func TestThePagesOfTheWayIn(t *testing.T) { eachLanguage(t, thePagesOfTheWayIn) }

func thePagesOfTheWayIn(t *testing.T, l *looker) {
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.open(issuer + "/demo/mail")
	l.look("mail-empty", "mail")
	l.open(l.demo.AppURL)
	l.look("app-home", "app-home")
	l.open(issuer + "/account")
	l.look("login-local", "login")
	l.open(l.request("login_hint", "ada@example.com"))
	l.look("login", "login")
	l.open(l.request("prompt", "create"))
	l.look("signup", "signup")
	l.run(`document.querySelector("form").noValidate = true; 0`)
	l.fill("signup-name", "Ada Lovelace")
	l.fill("signup-email", "ada")
	l.click("signup-submit")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the address")
	l.look("signup-wrong", "signup")
	l.fill("signup-email", "ada@example.com")
	l.click("signup-submit")
	l.look("verify", "verify")
	l.fill("verify-code", "00000000")
	l.click("verify-submit")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the code")
	l.look("verify-wrong", "verify")
	code := newestCode(t, issuer, "ada@example.com")
	l.fill("verify-code", code)
	l.click("verify-submit")
	l.look("passkey", "passkey")
	l.click("passkey-create")
	l.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the first passkey")
	l.look("passkey-added", "passkey")
	l.touch(false)
	l.click("passkey-skip")
	l.look("login-after-signup", "login")
	l.touch(true)
	l.signIn()
	l.look("consent", "consent")
	l.click("consent-deny")
	l.look("app-problem", "app-problem") // it never began this request

	l.open(l.demo.AppURL)
	l.click("app-signin")
	l.at("consent")
	l.click("consent-allow")
	l.look("app-me", "app-me")
	if cookies := l.cookies(); !slices.Equal(cookies, []string{"acme-session", "stepward", "stepward-browser", "stepward-known"}) {
		t.Errorf("cookies of localhost, where ports separate nothing: %q", cookies)
	}
	l.open(l.demo.AppURL)
	l.look("app-signed-in", "app-home")
	l.open(l.demo.AppURL + "/payout")
	l.look("app-payout", "app-payout")
	l.click("app-payout")
	l.look("stepup", "stepup")
	if text := l.eval(`document.querySelector("main").innerText`); l.language == "en" && (!strings.Contains(text, "Pay out EUR 250.00 to Ada’s account") || !strings.Contains(text, "Pay out money on your behalf")) {
		t.Errorf("the confirmation shows neither amount and payee nor what it allows: %s", text)
	}
	l.touch(false)
	l.click("passkey-stepup")
	l.do(chromedp.WaitVisible(chromedp.CSS("[data-passkey-cancel]")))
	l.shot("stepup-waiting")
	l.do(chromedp.Click(chromedp.CSS("[data-passkey-cancel]")))
	l.wait(`document.querySelector("[data-passkey-cancel]").hidden`, "the dialog to close")
	l.shot("stepup-stopped")
	l.touch(true)
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=app-result]")`, "the receipt")
	l.look("app-paid", "app-payout")

	bank, err := l.demo.DB.Client(t.Context(), "acme-bank")
	if err != nil {
		t.Fatal(err)
	}
	bank.DetailTypes = []string{"transfer"}
	if err := l.demo.DB.PutClient(t.Context(), bank); err != nil {
		t.Fatal(err)
	}
	details := `[{"type":"transfer","amount":"1,250.00 EUR","creditor":"Rheinische Elektrizitätsgesellschaft <b>mbH</b>"},{"type":"transfer","amount":"5 EUR"}]`
	l.open(l.request("authorization_details", details))
	l.look("consent-details", "consent")

	l.open(l.request("prompt", "select_account"))
	l.look("select", "login")
	l.open(l.request("max_age", "0"))
	l.look("stepup-max-age", "stepup")
	l.open(l.request("prompt", "login"))
	l.look("stepup-again", "stepup")
	l.hold(l.user("ada@example.com"), 1, func(k *idp.Passkey) {
		k.KeyProtection, k.AttestationVerifiedAt, k.Flags = idp.KeyProtectionHardware, time.Now(), idp.FlagUserPresent|idp.FlagUserVerified
	})
	l.open(l.request("acr_values", "phrh"))
	l.look("stepup-acr", "stepup")

	l.open(issuer + "/oauth2/end_session?client_id=acme-bank")
	l.look("logout-confirm", "logout-confirm")
	l.click("logout-confirm")
	l.look("logged-out", "logged-out")
	l.touch(false) // else autofill signs in while the page still loads
	l.open(issuer + "/account")
	l.follow("cancel")
	l.look("cancelled", "login")
	l.open(issuer + "/demo/mail")
	l.look("mail", "mail")
	if again := newestCode(t, issuer, "ada@example.com"); again != code {
		t.Errorf("the newest code became %s", again)
	}

	link, err := enrol.Invite(t.Context(), l.demo.DB, issuer, l.invited("grace@example.com"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	l.open(link.Reveal())
	l.look("invitation", "signup")
	l.click("enrol-submit")
	l.look("invited", "passkey")
}

// invited is a user who has no passkey yet.
func (l *looker) invited(email string) idp.User {
	l.t.Helper()
	u := idp.NewUser(email, "Grace Hopper", time.Now())
	if err := l.demo.DB.CreateUser(l.t.Context(), u); err != nil {
		l.t.Fatal(err)
	}
	return u
}

// cookies lists the names of the browser's cookies for localhost.
func (l *looker) cookies() (names []string) {
	l.t.Helper()
	l.call(func() error {
		got, err := chromedp.Call(l.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{l.demo.Config.Issuer.String(), l.demo.AppURL}})
		for _, c := range got.Cookies {
			names = append(names, c.Name)
		}
		return err
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// hold gives a user more passkeys.
func (l *looker) hold(u idp.User, n int, change func(*idp.Passkey)) {
	l.t.Helper()
	names := []string{
		"YubiKey 5C NFC", "Google Password Manager", "Windows Hello", "🦄🌈 mein 🔑", "1Password", "Bitwarden", "Samsung Pass",
		"Maximiliane-Alexandras beruflich genutztes Sicherheitsschlüsselverwaltungsgerät", "مفتاح المكتب", "Dashlane", "Old phone",
	}
	for i := range n {
		now := time.Now()
		k := idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, CredentialID: []byte(idp.NewID()), PublicKey: []byte{0xa0}, AAGUID: make([]byte, 16), AttestationType: "none", AttestationFormat: "none",
			Flags: idp.FlagUserPresent | idp.FlagUserVerified | idp.FlagBackupEligible*byte(i%2), Name: names[i%len(names)], CreatedAt: now.AddDate(0, -i, 0), CreatedAgent: "Chrome on Windows",
		}
		if i%3 > 0 {
			k.LastUsedAt, k.LastAgent = now.Add(-time.Duration(i*i*7)*time.Hour), "Firefox on macOS"
		}
		if change != nil {
			change(&k)
		}
		if err := l.demo.DB.AddPasskey(l.t.Context(), k); err != nil {
			l.t.Fatal(err)
		}
	}
}

func TestThePagesOfTheHouse(t *testing.T) { eachLanguage(t, thePagesOfTheHouse) }

func thePagesOfTheHouse(t *testing.T, l *looker) {
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{})
	l.open(issuer + "/account")
	l.signUp(issuer, "ada@example.com", "Ada Lovelace")
	l.touch(false)
	l.click("passkey-skip")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.look("account", "account")
	l.run(`document.querySelector("[name=phone_number]").value = "soon"; document.querySelector("[name=birthdate_day]").value = "31"; 0`)
	l.click("profile-save")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the number")
	l.look("account-wrong", "account")
	l.open(issuer + "/account?done=saved")
	l.look("account-saved", "account")

	l.open(issuer + "/account/passkeys")
	l.look("passkeys-one", "account")
	l.open(l.eval(`location.origin + "/account/passkeys/" + document.querySelector("[data-test=passkey]").dataset.id + "/remove"`))
	l.look("stepup-local", "stepup")
	l.click("passkey-stepup")
	l.look("passkey-remove-last", "account")
	l.open(issuer + "/account/passkeys/add")
	l.look("passkey-add", "account")
	ada := l.user("ada@example.com")
	l.hold(ada, 11, func(k *idp.Passkey) {
		if k.Name == "Old phone" {
			k.CounterRegressedAt = time.Now()
		}
	})
	l.open(issuer + "/account/passkeys?done=added")
	l.look("passkeys-twelve", "account")
	l.run(`document.querySelectorAll("details")[2].open = true; 0`)
	l.look("passkeys-rename", "account")
	l.follow("passkey-remove")
	l.look("passkey-remove", "account")

	l.open(issuer + "/account/sessions")
	l.look("sessions-one", "account")
	others := session.New(session.Config{Store: l.demo.Ephemeral, Insecure: true, Agent: func(s string) string { return s }, Address: func(*http.Request) string { return "2001:db8:85a3:8d3:1319:8a2e:370:7348" }})
	for _, agent := range []string{"Safari on iPhone", "Firefox on Windows", ""} {
		r := httptest.NewRequest("GET", issuer, nil)
		r.Header.Set("User-Agent", agent)
		if _, err := others.Start(t.Context(), httptest.NewRecorder(), r, idp.Authentication{ID: idp.NewID(), UserID: ada.ID, At: time.Now().Add(-time.Hour)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	l.open(issuer + "/account/sessions?done=revoked")
	l.look("sessions-four", "account")
	r := httptest.NewRequest("GET", issuer, nil)
	r.Header.Set("User-Agent", "Safari on iPhone")
	paid := idp.Authentication{ID: idp.NewID(), UserID: ada.ID, At: time.Now(), ActionClasses: []string{"payments"}}
	confirmed, err := others.Start(t.Context(), httptest.NewRecorder(), r, paid, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.demo.DB.CreateFamily(t.Context(), idp.Family{
		ID: idp.NewID(), ClientID: "acme-bank", UserID: ada.ID, SessionID: confirmed.ID, Scopes: []string{"payouts"},
		Assurance: idp.Assurance{AuthenticationID: paid.ID, AuthTime: paid.AuthTime(), ActionClasses: paid.ActionClasses},
		CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}, nil); err != nil {
		t.Fatal(err)
	}
	l.open(issuer + "/account/sessions")
	l.look("windows-two", "account")
	l.click("window-close")
	l.wait(`location.search === "?done=closed"`, "the window to be closed")
	l.look("windows-closed", "account")

	l.open(issuer + "/account/applications")
	l.look("applications-none", "account")
	l.open(l.request("scope", "openid profile email"))
	l.click("consent-allow")
	l.at("app-problem") // it never began this request
	l.open(issuer + "/account/applications")
	l.look("applications-one", "account")
	l.run(`document.querySelectorAll("details").forEach((d) => d.open = true); 0`)
	l.look("applications-remove", "account")
	l.open(issuer + "/account/activity")
	l.look("activity", "account")
	l.follow("remedy")
	l.look("not-me", "account")
	l.open(issuer + "/account/activity?kind=passkey")
	l.look("activity-filtered", "account")
	l.open(issuer + "/account/data")
	l.at("stepup")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=data-download]")`, "the page of one's data")
	l.look("data", "account")
	c, err := l.demo.DB.Client(t.Context(), "acme-bank")
	if err != nil {
		t.Fatal(err)
	}
	c.AllowedGroups, c.Contacts = []string{"tellers"}, []string{"desk@acme.example"}
	if err := l.demo.DB.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l.open(l.request())
	l.look("denied", "denied")
	l.open(issuer + "/account")
	l.click("sign-out")
	l.look("signed-out", "logged-out")
}

// Names of eighty characters and of emoji, wherever a name stands.
func TestPagesTakeAnyName(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.signInAs(l.demo, strings.Repeat("sehrlang", 7)+"@bundesanstalt-fuer-finanzdienstleistungsaufsicht.example")
	users, err := l.demo.DB.Users(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	strange := idp.Client{
		ID: "strange", Name: "Bundesanstalt für Finanzdienstleistungsaufsichtsangelegenheiten & Partner", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone,
		RedirectURIs: []string{"https://anmeldung.finanzdienstleistungsaufsichtsangelegenheiten.bundesanstalt.example/callback"},
		GrantTypes:   []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid", "profile", "email", "phone", "address", "offline_access", "payouts"},
		PolicyURI: "https://strange.example/privacy", TOSURI: "https://strange.example/terms", CreatedAt: now, UpdatedAt: now,
	}
	if err := l.demo.DB.PutClient(t.Context(), strange); err != nil {
		t.Fatal(err)
	}
	of := []string{"client_id", strange.ID, "redirect_uri", strange.RedirectURIs[0], "scope", strings.Join(strange.Scopes[:6], " ")}
	for what, name := range map[string]string{
		"long":   "Maximiliane-Alexandra von und zu Donaudampfschifffahrtsgesellschaft-Hohenstaufen",
		"rigid":  strings.Repeat("W", 80),
		"emoji":  "🦄🌈👩‍🚀",
		"arabic": "آدا لوفلايس",
	} {
		u := users[0]
		if u.Name = name; len([]rune(name)) > 80 {
			t.Fatalf("%s has %d characters", what, len([]rune(name)))
		}
		if err := l.demo.DB.UpdateProfile(t.Context(), u.ID, u.Name, u.Profile, time.Now()); err != nil {
			t.Fatal(err)
		}
		l.open(l.request(of...))
		l.look("consent-"+what, "consent")
		l.open(l.request(append(of, "prompt", "select_account")...))
		l.look("select-"+what, "login")
		l.open(l.request(append(of, "prompt", "login")...))
		l.look("stepup-"+what, "stepup")
		l.open(issuer + "/account")
		l.look("account-"+what, "account")
	}
}

func TestThePagesWhenSomethingIsWrong(t *testing.T) { eachLanguage(t, thePagesWhenSomethingIsWrong) }

func thePagesWhenSomethingIsWrong(t *testing.T, l *looker) {
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.touch(false)
	l.open(l.request("client_id", "nobody"))
	l.look("error-client", "error")
	l.open(l.request("redirect_uri", "https://evil.example/callback"))
	l.look("error-redirect", "error")
	l.open(issuer + "/no/such/page")
	l.look("error-404", "error")
	l.open(issuer + "/signup/verify")
	l.look("error-verify", "error")
	l.open(issuer + "/signup/passkey")
	l.look("error-enrolment", "error")
	l.open(issuer + "/oauth2/end_session?client_id=acme-bank&post_logout_redirect_uri=https%3A%2F%2Fevil.example")
	l.look("error-logout", "error")
	l.open(issuer + "/enrol#used")
	l.click("enrol-submit")
	l.look("error-invitation", "error")
	l.open(l.request())
	l.at("login")
	ended := l.eval(`location.href`)
	l.click("cancel")
	l.look("app-cancelled", "app-problem")
	l.open(ended)
	l.look("error-ended", "error")
	l.open(l.demo.AppURL + "/nowhere")
	l.look("app-404", "app-problem")

	l.open(l.request("response_mode", "form_post"))
	l.at("login")
	l.scripts(false)
	l.open(l.eval(`location.href`))
	l.look("login-no-script", "login")
	l.click("cancel")
	l.look("continue", "continue")
	l.scripts(true)
}

func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.plug(device{synced: true})
	l.open(l.demo.AppURL)
	l.click("app-signin")
	l.signUp(issuer, "ada@example.com", "Ada Lovelace")
	l.touch(false)
	l.click("passkey-skip")
	order := func(want ...string) {
		l.t.Helper()
		if got := l.tabs(12); !slices.Equal(got[:min(len(got), len(want))], want) {
			l.t.Errorf("%s: Tab leads through %q, want %q", l.page(), got, want)
		}
	}
	enter := func(primary string) {
		l.t.Helper()
		l.wait(`document.activeElement?.dataset?.test === "`+primary+`"`, "the focus on "+primary)
		l.press(kb.Enter)
	}

	l.at("login")
	l.wait(`document.activeElement?.dataset?.test === "login-email"`, "the focus where autofill opens")
	// Autofill is pending, and the button is there all the same.
	if state := l.eval(`(({disabled, ariaBusy}) => disabled + " " + ariaBusy)(document.querySelector("[data-test=passkey-signin]"))`); state != "false null" && state != "false false" {
		t.Errorf("disabled, busy: %s", state)
	}
	order("passkey-signin", "login-email", "login-submit", "signup-link", "recover-link", "cancel")
	l.open(l.eval(`location.href`))
	l.touch(true)
	l.at("login", "consent")
	if l.page() == "login" { // unless autofill was faster; Enter in the empty field is the button
		_, _ = chromedp.Run(l.ctx, chromedp.KeyEvent(kb.Enter))
	}
	l.at("consent")
	order("consent-allow", "consent-deny")
	l.open(l.eval(`location.href`))
	l.at("consent")
	enter("consent-allow")
	l.at("app-me")

	l.click("app-payout")
	l.at("stepup")
	order("passkey-stepup", "cancel")
	l.open(l.eval(`location.href`))
	l.at("stepup")
	enter("passkey-stepup")
	l.at("app-payout")
	l.text("app-result")
}
