package web

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// counterpart is the server side of passkey.js: it answers with new challenges, records what was posted, and rejects
// requests on demand.
type counterpart struct {
	mu     sync.Mutex
	posts  []string // "begin {…}" or "finish {…}", credentials cut to their members
	refuse *Problem // the next finish
	serial int
}

func (c *counterpart) note(post string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posts = append(c.posts, post)
}

func (c *counterpart) taken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	posts := c.posts
	c.posts = nil
	return posts
}

func (c *counterpart) refuseNext(p *Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = p
}

const ceremonyPage = `{{define "content"}}<h1>Ceremony</h1>
{{with .Data}}<div data-passkey="{{.Kind}}" data-interaction="i1" data-finish="/finish"{{if .Begin}} data-begin="{{.Begin}}"{{end}}{{if .Options}} data-ceremony="c0" data-options="{{json .Options}}"{{end}}>
<button class="primary" type="button" data-passkey-button>{{icon "key"}} Go</button>
<p role="status" data-passkey-status></p><p class="error" role="alert" data-passkey-error hidden></p>
<button class="secondary" type="button" data-passkey-cancel hidden>Cancel</button></div>
<form method="get" action="/typed"><input autocomplete="username webauthn" data-passkey-email></form>
{{end}}{{end}}`

type ceremonyData struct {
	Kind, Begin string
	Options     any
}

func requestOptions() map[string]any {
	return map[string]any{"challenge": "Y2hhbGxlbmdlY2hhbGxlbmdlY2hhbGxlbmdl", "rpId": "localhost", "userVerification": "required", "timeout": 300000}
}

func creationOptions(exclude ...string) map[string]any {
	o := map[string]any{
		"challenge": "Y2hhbGxlbmdlY2hhbGxlbmdlY2hhbGxlbmdl", "rp": map[string]string{"id": "localhost", "name": "Stepward"},
		"user":                   map[string]string{"id": "dXNlcg", "name": "ada@example.org", "displayName": "Ada"},
		"pubKeyCredParams":       []map[string]any{{"type": "public-key", "alg": -7}},
		"authenticatorSelection": map[string]any{"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
	}
	var list []map[string]string
	for _, id := range exclude {
		list = append(list, map[string]string{"type": "public-key", "id": id})
	}
	if list != nil {
		o["excludeCredentials"] = list
	}
	return o
}

// ceremonies serves one page for each way to use passkey.js.
func ceremonies(t *testing.T) (string, *counterpart) {
	t.Helper()
	s, c := newShell(t, nil), &counterpart{}
	pages, err := s.Parse(fstest.MapFS{"page.html": {Data: []byte(ceremonyPage)}}, "page.html")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	s.Handle(mux, "GET /page/{kind}", func(w http.ResponseWriter, r *http.Request) error {
		d := ceremonyData{Kind: r.PathValue("kind"), Begin: "/begin"}
		switch {
		case r.URL.Query().Has("lazy"): // no options yet
		case d.Kind == "create":
			d.Begin, d.Options = "", creationOptions(r.URL.Query()["exclude"]...)
		default:
			d.Options = map[string]any{"publicKey": requestOptions()}
		}
		return s.Render(w, r, pages, "page", Page{Name: "passkey", Title: "Ceremony", Data: d})
	})
	s.Handle(mux, "GET /next", func(w http.ResponseWriter, r *http.Request) error {
		return s.Render(w, r, pages, "page", Page{Name: "account", Title: "Next"})
	})
	s.Handle(mux, "POST /begin", func(w http.ResponseWriter, r *http.Request) error {
		var in struct{ I, Email string }
		if err := ReadJSON(r, &in); err != nil {
			return err
		}
		c.mu.Lock()
		c.serial++
		id := fmt.Sprintf("c%d", c.serial)
		c.posts = append(c.posts, strings.TrimSpace(fmt.Sprintf("begin %s %s", in.I, in.Email)))
		c.mu.Unlock()
		return WriteJSON(w, http.StatusOK, map[string]any{"ceremony": id, "publicKey": requestOptions()})
	})
	s.Handle(mux, "POST /finish", func(w http.ResponseWriter, r *http.Request) error {
		var in struct {
			I, Ceremony string
			Credential  struct {
				ID, RawID, Type         string
				AuthenticatorAttachment string
				ClientExtensionResults  json.RawMessage
				Response                map[string]any
			}
		}
		if err := ReadJSON(r, &in); err != nil {
			c.note(err.Error())
			return err
		}
		members := slices.DeleteFunc(slices.Sorted(maps.Keys(in.Credential.Response)), func(name string) bool {
			return name == "publicKey" || name == "publicKeyAlgorithm" || name == "authenticatorData" && in.Credential.Response["attestationObject"] != nil
		})
		c.mu.Lock()
		c.posts = append(c.posts, fmt.Sprintf("finish %s %s %s %v", in.I, in.Ceremony, in.Credential.Type, members))
		refusal := c.refuse
		c.refuse = nil
		c.mu.Unlock()
		if in.Credential.ID == "" || in.Credential.ID != in.Credential.RawID || string(in.Credential.ClientExtensionResults) == "" {
			return fmt.Errorf("not a credential: %+v", in.Credential)
		}
		if refusal != nil {
			return refusal
		}
		return WriteJSON(w, http.StatusOK, map[string]string{"next": "/next"})
	})
	return onLocalhost(t, s.Browser(mux)), c
}

// authenticator gives the tab a platform authenticator; present simulates a touch when asked.
func authenticator(t *testing.T, ctx context.Context, present bool) (setPresent func(bool)) {
	t.Helper()
	var id webauthn.AuthenticatorID
	do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		r, err := cdp.Call(ctx, target, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: present,
		}})
		if err == nil {
			id = r.AuthenticatorID
		}
		return err
	}))
	return func(on bool) {
		do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: id, Enabled: on})
			return err
		}))
	}
}

// before runs a script in every page ahead of its own.
func before(t *testing.T, ctx context.Context, script string) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// until waits for a condition, across navigations, which interrupt a poll.
func until(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		ok, err := chromedp.Run(limit, chromedp.Poll[bool](condition, chromedp.WithPollingTimeout(time.Minute)))
		if err == nil && ok {
			return
		}
		if err == nil || limit.Err() != nil || !strings.Contains(err.Error(), "navigated") && !strings.Contains(err.Error(), "context") {
			t.Fatalf("never true: %s (%v)\n%s", condition, err, eval[string](t, ctx, `location.pathname + " " + document.body.innerHTML`))
		}
	}
}

// press clicks from inside the page, because the page may be left before a click from outside finds its node again.
func press(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	eval[chromedp.Void](t, ctx, `document.querySelector("`+selector+`").click()`)
}

const (
	goButton   = "[data-passkey-button]"
	stopButton = "[data-passkey-cancel]"
	arrived    = `location.pathname === "/next" && document.body?.dataset.page === "account"`
	complained = `!document.querySelector("[data-passkey-error]").hidden && document.activeElement === document.querySelector("[data-passkey-error]")`
	complaint  = `document.querySelector("[data-passkey-error]").textContent`
	finishGet  = "public-key [authenticatorData clientDataJSON signature userHandle]"
	finishNew  = "public-key [attestationObject clientDataJSON transports]"
)

func expect(t *testing.T, c *counterpart, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.taken()); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
}

// countCalls lists in window.calls how the page asked the browser for a passkey.
const countCalls = `window.calls = []; { const get = navigator.credentials.get.bind(navigator.credentials);
	navigator.credentials.get = (o) => { const p = get(o); calls.push(o.mediation || "modal"); return p; }; }`

// enrolled returns a browser whose authenticator has a passkey for the site.
func enrolled(t *testing.T) (ctx context.Context, base string, c *counterpart, setPresent func(bool)) {
	t.Helper()
	base, c = ceremonies(t)
	ctx = browser(t)
	setPresent = authenticator(t, ctx, true)
	do(t, ctx, chromedp.Navigate(base+"/page/create"))
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c0 "+finishNew)
	return ctx, base, c, setPresent
}

func TestAutofillSignsInWithoutAPress(t *testing.T) {
	ctx, base, c, _ := enrolled(t)
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c0 "+finishGet)
}

func TestTheButtonInterruptsAutofillAndCancelReturnsToIt(t *testing.T) {
	ctx, base, c, setPresent := enrolled(t)
	setPresent(false)
	before(t, ctx, countCalls)
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, `calls.join() === "conditional"`)
	label := eval[string](t, ctx, `document.querySelector("[data-passkey-button]").innerHTML`)
	press(t, ctx, goButton)
	until(t, ctx, `document.querySelector("[data-passkey-button]").textContent === "Waiting for your device…" && document.querySelector("[data-passkey-button]").ariaBusy === "true" &&
		!document.querySelector("[data-passkey-cancel]").hidden && document.querySelector("[data-passkey-status]").textContent.includes("fingerprint")`)
	expect(t, c) // the challenge of the page serves the dialog, too
	press(t, ctx, stopButton)
	until(t, ctx, `document.querySelector("[data-passkey-status]").textContent.startsWith("Stopped") && document.querySelector("[data-passkey-error]").hidden &&
		document.querySelector("[data-passkey-cancel]").hidden && document.activeElement === document.querySelector("[data-passkey-button]")`)
	if after := eval[string](t, ctx, `document.querySelector("[data-passkey-button]").innerHTML`); after != label {
		t.Errorf("the button became %s", after)
	}
	until(t, ctx, `calls.join() === "conditional,modal,conditional"`)
	expect(t, c, "begin i1") // autofill is back, with a new challenge
	setPresent(true)
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c1 "+finishGet)
}

func TestARejectionIsAnnouncedAndTheNextTryHasANewChallenge(t *testing.T) {
	ctx, base, c, setPresent := enrolled(t)
	before(t, ctx, `window.signals = []; PublicKeyCredential.signalUnknownCredential = async (d) => { signals.push(d); };`)
	setPresent(true)
	c.refuseNext(&Problem{Status: 400, Code: "unknown_credential", Text: "We don't know that passkey.", Fields: map[string]string{"rp_id": "localhost", "credential_id": "AAAA"}})
	do(t, ctx, chromedp.Navigate(base+"/page/get"))
	press(t, ctx, goButton)
	until(t, ctx, complained)
	if got := eval[string](t, ctx, complaint); !strings.HasPrefix(got, "We don’t know that passkey. (Request ") {
		t.Errorf("complaint: %s", got)
	}
	if got := eval[string](t, ctx, `JSON.stringify(signals)`); got != `[{"rpId":"localhost","credentialId":"AAAA"}]` {
		t.Errorf("the password manager was told %s", got)
	}
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c0 "+finishGet, "begin i1", "finish i1 c1 "+finishGet)
}

// Autofill opens at the focused field. Enter there, with nothing typed, presses the button.
func TestTheFocusIsWhereAutofillOpens(t *testing.T) {
	const focused = `document.activeElement === document.querySelector("[data-passkey-email]")`
	ctx, base, c, setPresent := enrolled(t)
	setPresent(false)
	before(t, ctx, countCalls)
	for range 2 { // also for what a client has filled in
		do(t, ctx, chromedp.Navigate(base+"/page/signin"))
		until(t, ctx, `calls.join() === "conditional" && `+focused)
		do(t, ctx, chromedp.KeyEvent(kb.Enter))
		until(t, ctx, `calls.join() === "conditional,modal"`)
		expect(t, c)
		press(t, ctx, stopButton)
		until(t, ctx, `calls.join() === "conditional,modal,conditional" && document.activeElement === document.querySelector("[data-passkey-button]")`)
		c.taken()
		before(t, ctx, `addEventListener("readystatechange", () => { const e = document.querySelector("[data-passkey-email]"); if (e) e.defaultValue = "ada@example.org"; }, true);`)
	}
	before(t, ctx, `PublicKeyCredential.isConditionalMediationAvailable = async () => false; window.ready = 0;
		addEventListener("load", () => setTimeout(() => { ready = 1; }, 100));`)
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, `ready === 1`)
	if eval[bool](t, ctx, focused) {
		t.Error("the focus is in the field where nothing opens")
	}
}

func TestATypedNameBeginsItsOwnCeremony(t *testing.T) {
	ctx, base, c, setPresent := enrolled(t)
	setPresent(false)
	before(t, ctx, countCalls)
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, `calls.join() === "conditional"`)
	setPresent(true)
	eval[chromedp.Void](t, ctx, `{ const e = document.querySelector("[data-passkey-email]"); e.value = " ada@example.org "; e.form.requestSubmit(); }`)
	until(t, ctx, arrived)
	expect(t, c, "begin i1 ada@example.org", "finish i1 c1 "+finishGet)
}

func TestOptionsAreRenewedBeforeTheyExpire(t *testing.T) {
	ctx, base, c, setPresent := enrolled(t)
	setPresent(false)
	before(t, ctx, countCalls+`window.setInterval = (f, ms) => { window.tick = f; window.every = ms; };`)
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, `calls.join() === "conditional"`)
	if every := eval[int](t, ctx, `every`); every != 240000 {
		t.Errorf("every %d ms", every)
	}
	eval[chromedp.Void](t, ctx, `tick()`)
	until(t, ctx, `calls.join() === "conditional,conditional"`)
	expect(t, c, "begin i1")
	eval[chromedp.Void](t, ctx, `Object.defineProperty(document, "hidden", {value: true, configurable: true}); tick()`)
	expect(t, c) // unused here
	setPresent(true)
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c1 "+finishGet)
}

func TestAStepUpBeginsOnlyWhenPressed(t *testing.T) {
	ctx, base, c, _ := enrolled(t)
	do(t, ctx, chromedp.Navigate(base+"/page/get?lazy"))
	expect(t, c)
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "begin i1", "finish i1 c1 "+finishGet)
}

func TestADeviceThatHasAPasskeyIsToldSo(t *testing.T) {
	ctx, base, _, _ := enrolled(t)
	before(t, ctx, `navigator.credentials.create = async () => { throw new DOMException("x", "InvalidStateError"); }`)
	do(t, ctx, chromedp.Navigate(base+"/page/create"))
	press(t, ctx, goButton)
	until(t, ctx, complained)
	if got := eval[string](t, ctx, complaint); !strings.Contains(got, "already has a passkey for you") {
		t.Errorf("complaint: %s", got)
	}
}

func TestEveryFailureOfTheBrowserIsASentence(t *testing.T) {
	base, _ := ceremonies(t)
	ctx := browser(t)
	for failure, want := range map[string]string{
		"NotAllowedError": "you may have cancelled", "SecurityError": "usual address", "NotSupportedError": "screen lock", "ConstraintError": "screen lock", "WhateverError": "couldn’t finish",
	} {
		do(t, ctx, chromedp.Navigate(base+"/page/get"))
		eval[chromedp.Void](t, ctx, `navigator.credentials.get = async () => { throw new DOMException("internal text", "`+failure+`"); }; 0`)
		press(t, ctx, goButton)
		until(t, ctx, complained)
		if got := eval[string](t, ctx, complaint); !strings.Contains(got, want) || strings.Contains(got, "internal") {
			t.Errorf("%s: %s", failure, got)
		}
	}
	do(t, ctx, chromedp.Navigate(base+"/page/get?lazy"))
	eval[chromedp.Void](t, ctx, `window.fetch = async () => { throw new TypeError("Failed to fetch"); }; 0`)
	press(t, ctx, goButton)
	until(t, ctx, complained)
	if got := eval[string](t, ctx, complaint); !strings.Contains(got, "Check your connection") {
		t.Errorf("no network: %s", got)
	}
	before(t, ctx, `delete window.PublicKeyCredential`)
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, `!document.querySelector("[data-passkey-error]").hidden`)
	if got := eval[string](t, ctx, complaint); !strings.Contains(got, "Update it") {
		t.Errorf("no WebAuthn: %s", got)
	}
}

func TestAStepUpThatIsDueComesFirst(t *testing.T) {
	ctx, base, c, _ := enrolled(t)
	c.refuseNext(&Problem{Status: 403, Code: "step_up_required", Text: "Confirm it's you.", Fields: map[string]string{"location": "/next"}})
	do(t, ctx, chromedp.Navigate(base+"/page/get"))
	press(t, ctx, goButton)
	until(t, ctx, arrived)
}

func TestBrowsersWithoutTheJSONFormsSpeakTheSameProtocol(t *testing.T) {
	base, c := ceremonies(t)
	ctx := browser(t)
	authenticator(t, ctx, true)
	before(t, ctx, `delete PublicKeyCredential.parseCreationOptionsFromJSON; delete PublicKeyCredential.parseRequestOptionsFromJSON; delete PublicKeyCredential.prototype.toJSON;`)
	do(t, ctx, chromedp.Navigate(base+"/page/create?exclude=AAAA"))
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	do(t, ctx, chromedp.Navigate(base+"/page/get"))
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c0 "+finishNew, "finish i1 c0 "+finishGet)
}

// deaf makes passkey calls ignore their signal, like some password managers. Each ends when the test says so.
const deaf = `window.calls = []; for (const name of ["get", "create"]) { const own = navigator.credentials[name].bind(navigator.credentials);
	navigator.credentials[name] = (o) => { calls.push(o.mediation || "modal"); const { signal, ...rest } = o;
		return window.hear ? own(rest) : new Promise((answer, stop) => { (window.late ||= []).push({answer, stop}); }); }; }`

func TestASlowPasswordManagerIsNotWaitedForLong(t *testing.T) {
	ctx, base, c, _ := enrolled(t)
	before(t, ctx, deaf)
	for _, kind := range []string{"get", "create"} {
		do(t, ctx, chromedp.Navigate(base+"/page/"+kind))
		press(t, ctx, goButton)
		until(t, ctx, `calls.length === 1`)
		press(t, ctx, stopButton)
		until(t, ctx, `document.querySelector("[data-passkey-status]").textContent.startsWith("Stopped") && document.querySelector("[data-passkey-cancel]").hidden`)
		eval[chromedp.Void](t, ctx, `late[0].answer({id: "late", response: {}}); 0`) // dropped
		c.taken()
		if kind == "get" {
			eval[chromedp.Void](t, ctx, `window.hear = true; 0`)
			press(t, ctx, goButton)
			until(t, ctx, arrived)
			expect(t, c, "begin i1", "finish i1 c1 "+finishGet)
		}
	}
	// Autofill that does not stop must not keep the button from working.
	do(t, ctx, chromedp.Navigate(base+"/page/signin"))
	until(t, ctx, `calls.join() === "conditional"`)
	eval[chromedp.Void](t, ctx, `window.hear = true; 0`)
	press(t, ctx, goButton)
	until(t, ctx, arrived)
	expect(t, c, "finish i1 c0 "+finishGet)
}

func TestMethodsThatThrowOrAreMissingDoNotStopACeremony(t *testing.T) {
	const broken = `() => { throw new TypeError("not here"); }`
	for name, script := range map[string]string{
		"they throw": `PublicKeyCredential.prototype.toJSON = PublicKeyCredential.prototype.getClientExtensionResults = ` + broken + `;
			AuthenticatorAttestationResponse.prototype.getTransports = ` + broken + `;
			PublicKeyCredential.parseCreationOptionsFromJSON = PublicKeyCredential.parseRequestOptionsFromJSON = ` + broken + `;
			PublicKeyCredential.isConditionalMediationAvailable = PublicKeyCredential.signalAllAcceptedCredentials = ` + broken + `;`,
		"they are missing": `delete PublicKeyCredential.prototype.toJSON; delete PublicKeyCredential.prototype.getClientExtensionResults;
			delete AuthenticatorAttestationResponse.prototype.getTransports; delete PublicKeyCredential.isConditionalMediationAvailable;`,
		"they say nothing": `PublicKeyCredential.prototype.toJSON = () => ({}); PublicKeyCredential.prototype.getClientExtensionResults = () => undefined;
			PublicKeyCredential.isConditionalMediationAvailable = () => undefined;`,
	} {
		t.Run(name, func(t *testing.T) {
			base, c := ceremonies(t)
			ctx := browser(t)
			authenticator(t, ctx, true)
			before(t, ctx, script)
			for _, kind := range []string{"create", "get", "signin"} {
				do(t, ctx, chromedp.Navigate(base+"/page/"+kind))
				press(t, ctx, goButton)
				until(t, ctx, arrived)
			}
			posts := c.taken()
			for i, want := range []string{"finish i1 c0 public-key [attestationObject clientDataJSON", "finish i1 c0 " + finishGet, "finish i1 c0 " + finishGet} {
				if len(posts) != 3 || !strings.HasPrefix(posts[i], want) {
					t.Fatalf("posts %q", posts)
				}
			}
		})
	}
}

func TestAPageFromTheCacheAsksTheServerAgain(t *testing.T) {
	base, _ := ceremonies(t)
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(base+"/page/get"))
	eval[chromedp.Void](t, ctx, `window.old = true; dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true})); 0`)
	until(t, ctx, `!window.old && document.readyState === "complete"`)
}
