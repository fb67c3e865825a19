package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// credentials waits until the device holds what enough says.
func (c *chrome) credentials(what string, enough func([]*webauthn.Credential) bool) {
	c.t.Helper()
	var kept []*webauthn.Credential
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		c.call(func() error {
			result, err := chromedp.Call(c.ctx, webauthn.GetCredentials,
				webauthn.GetCredentialsParams{AuthenticatorID: c.authenticator})
			kept = result.Credentials
			return err
		})
		if enough(kept) {
			return
		}
	}
	c.t.Fatalf("waited for %s; the device holds %d passkeys", what, len(kept))
}

// What the pages signal reaches the device: chromium's own methods, without a stand-in.
func TestDevicesHearOfChangedNamesAndRemovedPasskeys(t *testing.T) {
	t.Parallel()
	l := newLooker(t)
	issuer, email := l.demo.Config.Issuer.String(), "ada@example.com"
	l.plug(device{synced: true})
	l.open(issuer + "/account")
	l.signUp(issuer, email, "Ada Lovelace")
	l.touch(false)
	l.click("passkey-skip")
	l.at("login")
	l.touch(true)
	l.signIn()
	l.at("account")
	l.eval(`(() => { document.querySelector("input[name=name]").value = "Countess Lovelace"; return "" })()`)
	l.follow("profile-save")
	l.credentials("the new name", func(kept []*webauthn.Credential) bool {
		return len(kept) == 1 && kept[0].UserDisplayName == "Countess Lovelace"
	})
	u := l.user(email)
	keys, err := l.demo.DB.PasskeysOf(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	l.hold(u, 1, nil) // the last one cannot be removed
	if err := l.demo.DB.RemovePasskey(t.Context(), u.ID, keys[0].ID, false); err != nil {
		t.Fatal(err)
	}
	l.open(issuer + "/account/passkeys")
	l.credentials("the removed passkey to be forgotten", func(kept []*webauthn.Credential) bool { return len(kept) == 0 })
}
