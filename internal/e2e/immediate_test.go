package e2e

import (
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	cdppage "github.com/chromedp/cdproto/page"
)

// calls keeps in each document how credentials.get was called, and how it ended.
const calls = `if (navigator.credentials) {
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = async (o) => {
    const kind = (o.uiMode || o.mediation || "dialog") + (o.publicKey.allowCredentials?.length ? " with a list" : "");
    try { return await get(o).then((c) => { note(kind + ": ok"); return c; }) } catch (e) { note(kind + ": " + e.name); throw e }
  };
  const note = (s) => sessionStorage.setItem("calls", (sessionStorage.getItem("calls") || "") + s + "; ");
}`

// heard returns what was called since the last time.
func (l *looker) heard() string {
	l.t.Helper()
	return l.eval(`(() => { const s = sessionStorage.getItem("calls") || ""; sessionStorage.removeItem("calls"); return s })()`)
}

// Chromium's own dialog for the passkeys on this device: without a stand-in, and with what follows where it has none.
func TestAStepUpBeginsWithThePasskeysOnThisDevice(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer := l.demo.Config.Issuer.String()
	l.call(func() error {
		_, err := chromedp.Call(l.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: calls})
		return err
	})
	for _, row := range []struct {
		email string
		on    device
		want  string
	}{
		{"ada@example.com", device{synced: true}, "immediate: ok; "},
		{"eve@example.com", device{transport: webauthn.AuthenticatorTransportUsb}, "immediate: NotAllowedError; dialog with a list: ok; "},
	} {
		l.plug(row.on)
		l.open(issuer + "/account")
		l.signUp(issuer, row.email, "Ada Lovelace")
		l.touch(false)
		l.click("passkey-skip")
		l.at("login")
		l.touch(true)
		l.signIn()
		l.at("account")
		l.touch(true)
		l.heard()
		l.open(issuer + "/account/passkeys/add")
		l.at("stepup")
		l.click("passkey-stepup")
		l.wait(`!!document.querySelector("[data-test=passkey-create]")`, "the page after the step-up")
		if got := l.heard(); got != row.want {
			t.Errorf("%s: %q, want %q", row.email, got, row.want)
		}
		l.open(issuer + "/account")
		l.follow("sign-out")
	}
}
